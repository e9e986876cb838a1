"""Logs, settings, games and hands of the gateway."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesture_maze.game.mazes import STEPS, generate, solve
from gesture_maze.gateway.game import SIZES, Game, ways_of
from gesture_maze.gateway.poses import ASPECT, hands
from gesture_maze.gateway.settings import Settings, secret_of
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.classifier import Classifier
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, GESTURES, NO_GESTURE
from gesture_maze.worker.library_logs import LibraryHandler
from gesture_maze.worker.logs import Log


def library_lines(count: int, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Log one library message `count` times and return the lines of the gateway's log."""
    handler = LibraryHandler(Log("json", "info"))
    try:
        int("no")
    except ValueError:
        fault = sys.exc_info()
    for _ in range(count):
        handler.handle(logging.LogRecord("uvicorn", logging.WARNING, "", 7, "bad %s\n", ("x" * 9999,), fault))
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_library_log_is_one_event_in_the_log_format_of_the_worker(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = library_lines(1, capsys)
    assert (found["level"], found["event"], found["logger"]) == ("warning", "library_logged", "uvicorn")
    assert found["time"].endswith("Z")
    assert len(found["message"]) <= 500
    assert "ValueError: invalid" in found["traceback"]


def test_library_log_of_repeated_messages_is_sampled(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(library_lines(1000, capsys)) == 1


def test_settings_error_lists_every_fault_and_shows_no_secret(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as faults:
        Settings.of(fps=0, secret="short", colour="red", log_level="loud")
    assert all(word in str(faults.value) for word in ("fps", "secret", "colour", "log_level"))
    assert "short" not in str(faults.value).replace("shorter", "")
    assert Settings.of().secret != Settings.of().secret
    assert "secret" not in repr(Settings.of())
    file = tmp_path / "secret"
    file.write_text("of sixteen letters\n")
    assert secret_of(file) == "of sixteen letters"
    assert secret_of(None) is None
    with pytest.raises(SettingsError, match="secret-file"):
        secret_of(tmp_path / "none")


# --- games and poses


@pytest.mark.parametrize("size", SIZES)
def test_game_ends_at_the_exit(size: Any) -> None:
    game = Game.begin(size, 5)
    way = solve(game.maze)
    for at, step in enumerate(way):
        assert not game.finished
        assert game.step(step, "camera", 10.0 + at)
    assert game.finished
    assert game.time_ms(999.0) == (len(way) - 1) * 1000
    assert not game.step("up", "camera", 99.0)
    assert (game.moves, game.input) == (len(way), "camera")


def test_game_does_not_move_at_walls_or_stops_and_records_easiest_input() -> None:
    game = Game.begin("small", 5)
    wall = next(way for way in STEPS if way not in game.maze.open_ways[0])
    assert game.step(wall, "keyboard", 0.0)
    assert (game.cell, game.moves, game.bumps, game.time_ms(5.0)) == (0, 0, 1, 0)
    assert not game.step("stop", "camera", 0.0)
    way = solve(game.maze)
    game.step(way[0], "camera", 0.0)
    assert game.input == "camera"
    game.step(way[1], "keyboard", 1.0)
    assert game.input == "keyboard"


def test_ways_are_one_hex_digit_per_cell() -> None:
    maze = generate(6, 5, 1)
    bits = [int(digit, 16) for digit in ways_of(maze)]
    assert [{way for at, way in enumerate(STEPS) if bit & 1 << at} for bit in bits] == list(maze.open_ways)


def test_hands_of_the_page_are_classified_as_their_gesture_left_or_right() -> None:
    classifier = Classifier.from_bundle(load_bundle(bundled_path()))
    shown = {name: points for name, points in hands().items() if name in DEFAULT_ACTIONS or name == "fist"}
    right = np.array(list(shown.values()), np.float32)
    left = right * np.float32([-1, 1, 1]) + np.float32([1, 0, 0])
    for points in (right, left):
        labels, sure = classifier.classify(points, np.full(len(points), ASPECT, np.float32))
        assert [GESTURES[label] for label in labels] == list(shown)
        assert sure.min() > 0.9
    rest = np.array([hands()["rest"]], np.float32)
    labels, _ = classifier.classify(rest, np.full(1, ASPECT, np.float32))
    assert GESTURES[labels[0]] == NO_GESTURE
