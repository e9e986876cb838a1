"""The gateway's log on standard error, for people or as JSON lines with the keys of a worker's."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

HUMAN: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"


class JsonLines(logging.Formatter):
    """One object per event: `time`, `level`, `event`, `logger` and, of a fault, where it was."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.removesuffix("+00:00") + "Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["fault"] = self.formatException(record.exc_info)
        return json.dumps(line)


def open_log(log_format: str, log_level: str) -> None:
    """Everything that is logged in this process goes there."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter(HUMAN))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    # each socket that comes and goes would be several lines
    logging.getLogger("maze.gateway.sockets").setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
