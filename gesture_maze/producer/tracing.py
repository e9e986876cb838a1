"""Add a W3C `traceparent` to a producer's entries, so that workers' spans join the game server's trace.

No tracing library is needed here: a program that has one passes a function that returns the current context.

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
    """Call `source` for the current traceparent with every entry from now on; None ends it.

    It returns None if the frame is not sampled: the field is then left out of the entry.
    """
    global _source
    _source = source


def fields() -> tuple[bytes | str, ...]:
    """Return the field to be added to an entry, as name and value, or nothing."""
    if _source is None:
        return ()
    traceparent = _source()
    return () if traceparent is None else (TRACEPARENT, traceparent)
