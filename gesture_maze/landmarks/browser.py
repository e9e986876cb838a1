"""A headless browser that runs the page's hand tracker on files of this machine; nothing leaves it.

The page and the tracker are given to the browser by playwright, without a server and without a network.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gesture_maze
from gesture_maze.version import install_hint
from gesture_maze.wire.errors import SettingsError

HERE: Final = Path(__file__).parent
TRACKER: Final = Path(gesture_maze.__file__).parent / "page" / "vendor" / "hands"
ADDRESS: Final = "http://localhost/"
"""Address of the page in the browser; every request is answered from files."""
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)
MODELS: Final = ("lite", "full")
TIMEOUT_MS: Final = 120_000
"""The tracker's first picture compiles it, which takes seconds on a slow machine."""
SUFFIXES: Final = {".js": "text/javascript", ".html": "text/html", ".wasm": "application/wasm"}

Found = list[dict[str, Any]]
"""Hands of one picture: `points` (21 lists of x, y, z) and `label`, MediaPipe's handedness."""


@dataclass(frozen=True, slots=True)
class Video:
    """A video as the browser plays it.

    Attributes:
        width, height: in pixels, as shown.
        seconds: how long it is.
        fps: measured frames per second; None if the browser shows no frames.
    """

    width: int
    height: int
    seconds: float
    fps: float | None


class Tracker:
    """The tracker in an open page. All methods raise playwright's errors if the browser ends.

    Args:
        page: of playwright.
    """

    def __init__(self, page: Any) -> None:
        self._page: Final = page

    def choose(self, paths: Sequence[Path]) -> None:
        """Give the page the files that it may read, by position."""
        self._page.set_input_files("#files", [str(path) for path in paths])

    def video(self, at: int) -> Video | None:
        """Open a video; return None if the browser cannot play it."""
        found = self._page.evaluate("at => extract.video(at)", at)
        return None if found is None else Video(**found)

    def at(self, seconds: float) -> Found:
        """Return the hands at a time of the video."""
        found: Found = self._page.evaluate("seconds => extract.at(seconds)", seconds)
        return found

    def picture(self, at: int) -> tuple[float, Found] | None:
        """Return the aspect of a picture and its hands, or None if the browser cannot show it."""
        found = self._page.evaluate("at => extract.picture(at)", at)
        return None if found is None else (found["width"] / found["height"], found["hands"])


@contextmanager
def open_tracker(model: str = "full", hands: int = 1) -> Iterator[Tracker]:
    """Open a browser with the tracker for the duration of the `with` block.

    Args:
        model: one of `MODELS`.
        hands: most hands per picture, 1 or 2.

    Raises:
        SettingsError: `settings`: playwright, a browser or the tracker is not installed, or does not start.
    """
    if not (TRACKER / "hands.js").exists():
        raise SettingsError("settings", f"the hand tracker is not in {TRACKER}: run 'make web' in a checkout")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        raise SettingsError(
            "settings", f"landmarks of pictures need playwright: {install_hint('browser')}"
        ) from None
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=_installed(), args=FLAGS)
        except Error as error:
            raise SettingsError(
                "settings",
                f"no browser starts ({_first_line(error)}): install chromium, or run "
                "'playwright install chromium'",
            ) from None
        try:
            page = browser.new_context().new_page()
            page.set_default_timeout(TIMEOUT_MS)
            page.route("**/*", _answer)
            page.goto(f"{ADDRESS}extract.html")
            page.evaluate("options => extract.open(options)", {"model": MODELS.index(model), "most": hands})
            yield Tracker(page)
        except Error as error:
            message = f"the hand tracker failed in the browser: {_first_line(error)}"
            raise SettingsError("settings", message) from None
        finally:
            browser.close()


def _installed() -> str | None:
    """Return the path of a browser on this machine; None leaves the choice to playwright."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _answer(route: Any) -> None:
    """Answer a request of the page with one of our files; everything else is refused."""
    url = route.request.url
    name = url.removeprefix(ADDRESS).partition("?")[0]
    folder = TRACKER if name.startswith("tracker/") else HERE
    path = folder / name.removeprefix("tracker/")
    if not url.startswith(ADDRESS) or path.parent != folder or not path.is_file():
        route.abort()
        return
    route.fulfill(path=path, content_type=SUFFIXES.get(path.suffix, "application/octet-stream"))
