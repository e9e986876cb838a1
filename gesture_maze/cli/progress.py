"""Progress bars on standard error, shown at a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(title: str, steps: int | None = None) -> Iterator[Callable[[], None]]:
    """Show a bar on standard error while the body runs, if that is a terminal.

    Args:
        title: shown before the bar.
        steps: how often the yielded function is called; None if it is unknown, for a moving bar.

    Yields:
        A function that advances the bar by one step.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(title, total=steps)
        yield lambda: bars.advance(task)
