"""Lets a producer's entries carry a W3C `traceparent`, so that workers' spans join the game server's trace.

Nothing of a tracing library is needed here: whoever has one says what to write.

```python
from opentelemetry import propagate
from gesture_maze.producer import tracing

def current() -> str | None:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")

tracing.carry(current)
```
"""

from __future__ import annotations

from collections.abc import Callable

from gesture_maze.wire.keys import TRACEPARENT

Source = Callable[[], str | None]

_source: Source | None = None


def carry(source: Source | None) -> None:
    """Ask `source` for the current traceparent with every entry from now on; None ends it.

    Give None for what is not sampled: the field then stays out of the entry, and workers do nothing.
    """
    global _source
    _source = source


def fields() -> tuple[bytes | str, ...]:
    """Name and value to be added to an entry, or nothing."""
    if _source is None:
        return ()
    traceparent = _source()
    return () if traceparent is None else (TRACEPARENT, traceparent)
