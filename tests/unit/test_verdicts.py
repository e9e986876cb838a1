"""Verdicts on rows: reading, rejection for another file, and figures reported beside given labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from gesture_maze.cli.evaluate import evaluate
from gesture_maze.cli.options import CONTEXT
from gesture_maze.cli.train import train
from gesture_maze.models.bundle import bundled_path, load_bundle
from gesture_maze.models.dataset import read_dataset
from gesture_maze.models.verdicts import BIAS, read_verdicts
from gesture_maze.wire.errors import SettingsError
from tests.support.hands import hands, write_csv

GOOD = "row,label,verdict,why\n0,like,exclude,edge-on\n1,palm,relabel:like,thumb up\n2,no_gesture,keep,\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "verdicts.csv"
    path.write_text(text)
    return path


def run(command: Any, *words: object) -> Any:
    app = typer.Typer()
    app.command(context_settings=CONTEXT)(command)
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def test_verdicts_applied_exclude_and_relabel_rows(tmp_path: Path) -> None:
    data = read_dataset([write_csv(tmp_path / "hands.csv", hands(10))])
    verdicts = read_verdicts(written(tmp_path, GOOD), data)
    counted, labels = verdicts.apply(np.array([2, 1, 0, 3]), data.labels[[2, 1, 0, 3]])
    assert counted.tolist() == [True, True, False, True]
    assert data.gestures[labels[1]] == "like"
    assert verdicts.summary() == {"relabelled": 1, "excluded": 1, "kept": 1, "bias": BIAS}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row,label\n0,like\n", "column 'verdict' is missing"),
        ("row,label,verdict\n0,palm,keep\n", "belong to another file"),
        ("row,label,verdict\n99,like,keep\n", "'row' must be an integer from 0 to 29, found '99'"),
        ("row,label,verdict\n-1,like,keep\n", "'row' must be an integer"),
        ("row,label,verdict\n0,like,perhaps\n", "got 'perhaps'"),
        ("row,label,verdict\n0,like,relabel:wave\n", "got 'relabel:wave'"),
        ("row,label,verdict\n0,like,keep\n0,like,exclude\n", "row 3: duplicate verdict on row 0"),
    ],
)
def test_verdicts_that_do_not_match_data_are_rejected(tmp_path: Path, text: str, words: str) -> None:
    data = read_dataset([write_csv(tmp_path / "hands.csv", hands(10))])
    with pytest.raises(SettingsError, match=words):
        read_verdicts(written(tmp_path, text), data)


def test_verdicts_with_missing_file_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        read_verdicts(tmp_path / "none.csv", hands())


def test_evaluate_with_verdicts_reports_given_and_adjudicated_figures(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "hands.csv", hands(10))
    words = (source, "--model", bundled_path(), "--verdicts", written(tmp_path, GOOD))
    report = json.loads(run(evaluate, *words, "--json").stdout)
    assert report["rows"] == 30
    assert report["adjudicated"]["rows"] == 29
    assert report["adjudicated"]["excluded"] == 1
    assert report["adjudicated"]["bias"] == BIAS
    tables = run(evaluate, *words).stdout
    assert "as given" in tables
    assert "adjudicated" in tables
    assert "flatter" in tables


def test_train_with_verdicts_writes_both_figures_to_card(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "hands.csv", hands())
    verdicts = written(tmp_path, "row,label,verdict\n0,like,exclude\n")
    out = tmp_path / "out"
    words = (source, "--out", out, "--epochs", 1, "--folds", 2, "--tracking-uri", "none", "--json")
    report = json.loads(run(train, *words, "--verdicts", verdicts).stdout)
    bundle = load_bundle(out)
    assert bundle.manifest.evaluation["held_out"].rows == 120
    assert bundle.manifest.evaluation["adjudicated"].rows == report["adjudicated"]["rows"] == 119
    assert BIAS in " ".join(bundle.card.split())
    assert "Clopper-Pearson" in bundle.card
    assert bundle.manifest.labels == ("palm", "like", "no_gesture")
