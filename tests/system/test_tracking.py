"""MLflow: a training run is tracked completely, aliases move, and its server shows the run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

from gesture_maze.cli.main import build
from gesture_maze.embedded.ports import free_port
from gesture_maze.lifecycle.tracking import CHALLENGER, CHAMPION, NAME, Tracking
from gesture_maze.lifecycle.training import Trained, TrainOptions, golden_hands, train
from gesture_maze.models.train.fitting import Settings
from gesture_maze.models.train.packaging import Shipped
from gesture_maze.models.train.search import search, ship
from gesture_maze.models.train.trainer import Recipe
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.redis.registry import ModelRegistry
from tests.support.hands import hands, write_csv
from tests.support.servers import Server, wait_until

pytestmark = pytest.mark.slow

QUICK = Settings(Recipe(hidden=8, members=1, epochs=1, batch_rows=32), folds=2, seed=1)
DATA = hands(noise=1.0)
"""Noise at which hands of different gestures are confused."""


FIRST_USE = """
import os, sys, warnings

warnings.simplefilter("ignore")  # MLflow warns about its own dependencies
from gesture_maze.lifecycle.tracking import Tracking

users = []
for _ in range(3):
    user = os.fork()
    if user == 0:
        Tracking(sys.argv[1]).versions()
        sys.exit(0)
    users.append(user)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(user, 0)[1]) for user in users))
"""
"""Three processes use one database for the first time at once; forked, as importing MLflow takes seconds."""


@pytest.fixture(scope="session")
def used_first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The database after `FIRST_USE`: creating its tables takes seconds, so tests copy the file."""
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    words = [sys.executable, "-W", "ignore", "-c", FIRST_USE, f"sqlite:///{path}"]
    return path, subprocess.run(words, capture_output=True, text=True, timeout=170, check=False)


@pytest.fixture
def uri(used_first: tuple[Path, object], tmp_path: Path) -> str:
    shutil.copy(used_first[0], tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture(scope="module")
def shipped() -> tuple[Shipped, Any]:
    trials = search(DATA, QUICK, ("knn",), lambda: None)
    return ship(trials[0], DATA, QUICK, golden_hands(1), lambda: None), trials


@pytest.mark.timeout(180)
def test_three_first_uses_of_one_database_at_once_all_succeed(
    used_first: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    assert used_first[1].returncode == 0, used_first[1].stderr


def test_tracked_training_is_complete(uri: str, shipped: tuple[Shipped, Any], tmp_path: Path) -> None:
    tracking = Tracking(uri)
    version = tracking.record(shipped[0], DATA, {"seed": 1, "folds": 2}, shipped[1])
    assert (version.number, version.aliases) == ("1", (CHALLENGER,))
    assert version.figures["accuracy"] == pytest.approx(shipped[0].evaluation["accuracy"])
    assert {"ece", "f1/like", "recall/palm", "fold/macro_f1", "false_action_rate"} <= version.figures.keys()
    assert tracking.bundle(version).files == shipped[0].bundle.files
    again = Tracking(uri).record(shipped[0], DATA, {})
    tracking.appoint(again, CHAMPION)
    aliases = {one.number: one.aliases for one in tracking.versions()}
    assert aliases == {"2": (CHAMPION,), "1": ()}
    assert (tracking.find(CHAMPION), tracking.find("1")) == (tracking.versions()[0], tracking.versions()[1])
    assert tracking.find(version.model) == tracking.versions()[0]
    assert tracking.find("unknown") is None
    assert not list(tmp_path.glob("mlruns"))


def test_train_command_tracks_its_run(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = TrainOptions([write_csv(tmp_path / "hands.csv", DATA)], tmp_path / "out", folds=2, epochs=1)

    class Silence:
        def __enter__(self) -> Any:
            return lambda: None

        def __exit__(self, *_: object) -> None: ...

    trained: Trained = train(options, lambda *_: Silence())  # type: ignore[arg-type, return-value]
    assert trained.tracked is not None
    assert trained.tracked.model == trained.shipped.bundle.version
    assert trained.tracked == Tracking(uri).versions()[0]


def test_model_promoted_from_mlflow_moves_its_alias(
    uri: str, shipped: tuple[Shipped, Any], server: Server
) -> None:
    tracking = Tracking(uri)
    kept = tracking.record(shipped[0], DATA, {})
    app, env = build(("promote", "models")), {"MAZE_REDIS": str(server.url), "MAZE_TRACKING_URI": uri}
    done = CliRunner(env={**env, "COLUMNS": "250"}).invoke(app, ["promote", "1", "--max-us-per-frame", "99"])
    assert done.exit_code == 0, done.output
    assert ModelRegistry(server.client).roles().champion == kept.model
    assert [one.aliases for one in tracking.versions()] == [(CHAMPION,)]
    listed = CliRunner(env={**env, "COLUMNS": "250"}).invoke(app, ["models", "tracked"])
    assert kept.model in listed.output
    assert "champion" in listed.output
    listed = CliRunner(env=env).invoke(app, ["models", "tracked", "--json"])
    assert json.loads(listed.stdout)[0]["figures"]["macro_f1"] == kept.figures["macro_f1"]


def test_tracking_without_a_server_reports_it() -> None:
    with pytest.raises(SettingsError, match="--tracking-uri nonsense://x"):
        Tracking("nonsense://x")


def get(url: str, **parameters: str) -> Any:
    with urllib.request.urlopen(f"{url}?{urlencode(parameters)}", timeout=10) as answer:
        data: bytes = answer.read()
    return json.loads(data) if answer.headers.get_content_type() == "application/json" else data


def up(url: str) -> bool:
    try:
        return bool(get(f"{url}/health"))
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.mark.timeout(120)  # its imports alone take 10 s on a busy machine
def test_mlflow_server_shows_the_run(uri: str, shipped: tuple[Shipped, Any], tmp_path: Path) -> None:
    version = Tracking(uri).record(shipped[0], DATA, {"seed": 1}, shipped[1])
    port = free_port()
    # without MLflow's seven job processes, which this test does not use
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1"]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--workers", "1", "--default-artifact-root", str(tmp_path / "x")],
            stdout=log, stderr=log, env={**os.environ, **quiet}, start_new_session=True,
        )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: up(base), 90)
        api = f"{base}/api/2.0/mlflow"
        run = get(f"{api}/runs/get", run_id=version.run)["run"]
        metrics = {one["key"]: one["value"] for one in run["data"]["metrics"]}
        assert metrics["macro_f1"] == pytest.approx(shipped[0].evaluation["macro_f1"])
        assert {one["key"]: one["value"] for one in run["data"]["params"]}["kind"] == "knn"
        history = get(f"{api}/metrics/get-history", run_id=version.run, metric_key="fold/accuracy")
        assert [one["step"] for one in history["metrics"]] == [0, 1]
        named = get(f"{api}/registered-models/alias", name=NAME, alias=CHALLENGER)["model_version"]
        assert (named["version"], named["run_id"]) == ("1", version.run)
        for folder, wanted in (
            ("", {"bundle", "errors", "pictures", "pipeline.joblib", "report.html", "trials.json"}),
            ("bundle", {"bundle/manifest.json", "bundle/model.onnx"}),
            ("pictures", {"pictures/confusion_matrix.svg", "pictures/reliability.svg"}),
        ):
            files = get(f"{api}/artifacts/list", run_id=version.run, path=folder)["files"]
            assert wanted <= {one["path"] for one in files}
        picture = get(f"{base}/get-artifact", run_id=version.run, path="pictures/confusion_matrix.svg")
        assert b"<svg" in picture
        assert b"MLflow" in get(f"{base}/"), "the page itself"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
