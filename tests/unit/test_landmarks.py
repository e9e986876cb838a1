"""Conversion of pictures and videos to recordings, with a stand-in for the browser (see tests/browser)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from gesture_maze.capture.convert import recording_lines
from gesture_maze.landmarks import files
from gesture_maze.landmarks.browser import Found, Tracker, Video
from gesture_maze.landmarks.files import Wanted, look, sources
from gesture_maze.wire.errors import SettingsError

POINTS = [[0.5, 0.25, -0.125]] * 21


class Stand:
    """Stand-in for the tracker that finds a left hand in every other frame of a video."""

    def __init__(self, video: Video | None, *playable: str) -> None:
        self.result = video
        self.playable = playable
        self.chosen: list[Path] = []
        self.seconds: list[float] = []

    def choose(self, paths: list[Path]) -> None:
        self.chosen = paths

    def video(self, at: int) -> Video | None:
        return self.result if self.chosen[at].suffix in self.playable else None

    def at(self, seconds: float) -> Found:
        self.seconds.append(seconds)
        return [{"points": POINTS, "label": "Left"}] if len(self.seconds) % 2 else []

    def picture(self, at: int) -> tuple[float, Found] | None:
        return None if "broken" in self.chosen[at].name else (0.75, [{"points": POINTS, "label": "Right"}])


@contextmanager
def quiet(_title: str, _steps: int | None) -> Iterator[Callable[[], None]]:
    yield lambda: None


def run(stand: Stand, paths: list[Path], wanted: Wanted) -> list[list[dict[str, Any]]]:
    found = look(cast("Tracker", stand), paths, wanted, quiet)
    return [recording_lines(recording, name, fps) for name, fps, recording in found]


def test_video_gives_its_frame_rate_aspect_and_times(tmp_path: Path) -> None:
    stand = Stand(Video(640, 480, 1.0, 25.0), ".mp4")
    (lines,) = run(stand, [tmp_path / "my clip.mp4"], Wanted(label="like"))
    assert len(lines) == 25
    assert [line["t"] for line in lines[:3]] == [0, 40, 80]
    assert {(line["session"], line["aspect"], line["label"]) for line in lines} == {
        ("my-clip", 640 / 480, "like")
    }
    assert [bool(line["landmarks"]) for line in lines[:4]] == [True, False, True, False]
    assert lines[0]["hand"] == "right", "the tracker takes every picture for a mirrored one"
    assert stand.seconds[0] == pytest.approx(0.02)


def test_mirrored_video_keeps_the_side_and_is_marked_as_mirrored(tmp_path: Path) -> None:
    (lines,) = run(Stand(Video(640, 480, 0.1, 30.0), ".mp4"), [tmp_path / "a.mp4"], Wanted(mirrored=True))
    assert (lines[0]["hand"], lines[0]["mirrored"]) == ("left", True)


def test_pictures_of_a_folder_become_one_session_in_name_order(tmp_path: Path) -> None:
    folder = tmp_path / "likes"
    folder.mkdir()
    for name in ("b.png", "a.JPG", "notes.md"):
        (folder / name).touch()
    (lines,) = run(Stand(None), sources([folder]), Wanted())
    assert [(line["source"], line["session"], line["t"]) for line in lines] == [
        ("a.JPG", "likes", 0), ("b.png", "likes", 33),
    ]  # fmt: skip
    assert {line["aspect"] for line in lines} == {0.75}


def test_video_that_the_browser_cannot_play_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def convert(path: Path, out: Path, *_: object) -> Path:
        made.append(out.suffix)
        return out

    monkeypatch.setattr(files, "_converted", convert)
    stand = Stand(Video(640, 480, 0.1, 30.0), ".webm")
    assert len(run(stand, [tmp_path / "a.avi"], Wanted())[0]) == 3
    assert made == [".mp4", ".webm"]
    with pytest.raises(SettingsError, match="cannot play this video, not even after ffmpeg"):
        run(Stand(None), [tmp_path / "a.avi"], Wanted())


def test_video_without_ffmpeg_is_refused_with_a_conversion_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(SettingsError, match=r"convert it \(ffmpeg -i a.avi a.mp4\)"):
        run(Stand(None), [tmp_path / "a.avi"], Wanted())


def test_picture_that_cannot_be_shown_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"broken.png: the browser cannot show this picture"):
        run(Stand(None), [tmp_path / "broken.png"], Wanted())


@pytest.mark.parametrize(("name", "words"), [("a.txt", "must be a picture"), ("none.png", "no such file")])
def test_source_without_pictures_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "a.txt").touch()
    with pytest.raises(SettingsError, match=words):
        sources([tmp_path / name])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match="no pictures and no videos"):
        sources([tmp_path / "empty"])
