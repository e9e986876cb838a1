"""`maze classify`: hands in each input format, and one answer per hand."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from gesture_maze.cli.classify import classify
from gesture_maze.cli.evaluate import evaluate
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.wire.errors import MazeError
from gesture_maze.wire.gestures import GESTURES

app = typer.Typer()
for command in (classify, evaluate):  # Typer expects no command name in an app of one command
    app.command()(command)


def run(*words: object, **options):
    return CliRunner().invoke(app, list(map(str, words)), **options)


def a_hand() -> list[list[float]]:
    return load_bundle(bundled_path()).golden.landmarks[0].tolist()


@pytest.mark.parametrize("as_lines", [False, True])
def test_classify_of_hands_and_frames_answers_each(as_lines):
    hand = a_hand()
    items = [hand, {"landmarks": hand, "aspect": 1.0}, {"landmarks": []}, [point[:2] for point in hand]]
    text = "\n".join(map(json.dumps, items)) if as_lines else json.dumps(items)
    found = run("classify", "--json", "--aspect", "1", input=text)
    first, second, empty, flat = map(json.loads, found.stdout.splitlines())
    assert first == second == flat
    assert first["gesture"] in GESTURES
    assert empty["gesture"] is None
    assert "no hand" in run("classify", "--aspect", "4:3", input=text).stdout


def test_classify_of_a_hand_from_a_file_prints_one_answer(tmp_path):
    file = tmp_path / "hand.json"
    file.write_text(json.dumps(a_hand()))
    (answer,) = run("classify", file, "--aspect", "1.3333", "--json").stdout.splitlines()
    assert set(json.loads(answer)) == {"gesture", "label", "confidence", "action", "model"}


def test_classify_of_pictures_prints_their_names_and_a_count(tmp_path):
    item = {"labels": ["like"], "landmarks": [a_hand()]}
    pictures = {"4f1c-a": item, "4f1c-b": {"labels": ["fist"], "landmarks": [[]]}}
    (tmp_path / "like.json").write_text(json.dumps(pictures))
    found = run("classify", tmp_path / "like.json", "--aspect", "1").stdout
    assert all(name in found for name in pictures)
    assert found.splitlines()[-1].startswith("1 hand, ")
    assert found.splitlines()[-1].endswith(" with an action; 1 frame without a hand")


def test_evaluate_with_a_report_says_where_it_is(tmp_path):
    (tmp_path / "hands.json").write_text(json.dumps({"aspect": 1, "like": a_hand()}))
    report = tmp_path / "report.html"
    assert f"maze: wrote {report}" in run("evaluate", tmp_path / "hands.json", "--report", report).stderr
    assert report.exists()


def test_classify_of_normalised_points_without_aspect_is_refused():
    found = run("classify", input=json.dumps(a_hand()))
    assert "--aspect 640x480" in str(found.exception)


def test_classify_of_a_csv_table_prints_an_answer(tmp_path):
    header = ",".join(f"{axis}{point}" for point in range(21) for axis in "xyz")
    row = ",".join(str(number) for point in a_hand() for number in point)
    (tmp_path / "hand.csv").write_text(f"{header}\n{row}\n")
    found = run("classify", tmp_path / "hand.csv", "--aspect", "4:3", "--json")
    (answer,) = found.stdout.splitlines()
    assert json.loads(answer)["gesture"] in GESTURES
    assert "hand.csv: xyz" in found.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[1, 2]",
        "{}",
        '{"landmarks": [[1, 2]]}',
        '{"landmarks": [], "aspect": 0}',
        "[[[NaN, 1]]]",
        "3",
    ],
)
def test_classify_of_invalid_input_is_refused(text):
    found = run("classify", input=text)
    assert isinstance(found.exception, MazeError)
