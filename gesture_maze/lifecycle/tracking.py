"""MLflow: trainings with their data, figures and artifacts, and the roles of their versions.

One registered model, `gesture-maze`; each of its versions is one training, with the bundle, the pipeline and
pictures as artifacts. The model that MLflow itself keeps is the bundle's ONNX graph: nothing that is loaded
from here has to be unpickled. (`pipeline.joblib` is for use in Python; opening it runs its code.)
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gesture_maze.models.bundle import Bundle, load_bundle
from gesture_maze.models.dataset import Dataset
from gesture_maze.models.evaluation import Evaluation
from gesture_maze.models.judged import Judged, reliability
from gesture_maze.models.report.drawing import gallery_svg, matrix_svg, reliability_svg
from gesture_maze.models.report.page import Subject, report_html
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from gesture_maze.models.train.packaging import Shipped
    from gesture_maze.models.train.search import Trial

NAME: Final = "gesture-maze"
"""Name of the experiment and of the registered model."""
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
GALLERY: Final = 12
"""Drawn mistakes per gesture."""
BUNDLE: Final = "bundle"
"""Tag with a version's bundle version, and the folder of its artifacts."""
_SQLITE: Final = "sqlite:///"


@dataclass(frozen=True, slots=True)
class TrackedVersion:
    """One version of the registered model."""

    number: str
    """As MLflow counts them, from 1."""
    model: str
    """The version of its bundle."""
    aliases: tuple[str, ...]
    figures: Mapping[str, float]
    """Metric -> value, of the held-out hands."""
    run: str
    created_ms: int


class Tracking:
    """A tracking server or database.

    Args:
        uri: in MLflow's form, such as `sqlite:///mlflow.db` or `http://host:5000`. The artifacts of an
            SQLite database are kept in the folder `mlartifacts` beside it.
    """

    def __init__(self, uri: str) -> None:
        # set before the import: MLflow would send telemetry to its vendor
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self.uri: Final = uri
        with _quiet():
            import mlflow

            for noisy in ("mlflow", "alembic"):  # after the import, which sets levels of its own
                logging.getLogger(noisy).setLevel(logging.ERROR)
            try:
                with _alone(uri):
                    self._client: Final = mlflow.MlflowClient(uri, uri)
                    self._experiment: Final = self._open_experiment()
            except mlflow.exceptions.MlflowException as error:
                raise SettingsError("settings", f"--tracking-uri {uri}: {error}") from None

    def record(
        self, shipped: Shipped, data: Dataset, settings: Mapping[str, Any], trials: Sequence[Trial] = ()
    ) -> TrackedVersion:
        """Store a training as a new version, which becomes the challenger. The champion stays.

        Args:
            shipped: its bundle and figures.
            data: the data that it was trained on.
            settings: its settings, as parameters of the run.
            trials: the trials of a search.

        Raises:
            SettingsError: `settings`: MLflow reports an error or cannot be reached.
        """
        judged = shipped.judged(data)
        with _quiet(), _alone(self.uri), tempfile.TemporaryDirectory(prefix="gesture-maze-run-") as folder:
            import mlflow

            _write_artifacts(Path(folder), shipped, judged, data, trials)
            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            try:
                name = shipped.bundle.version
                with mlflow.start_run(experiment_id=self._experiment, run_name=name) as run:
                    mlflow.set_tags({BUNDLE: name, "data_sha256": data.sha256, "data": ", ".join(data.names)})
                    mlflow.log_params({**settings, **_parameters(shipped)})
                    mlflow.log_metrics(_metrics(shipped, judged))
                    for fold, figures in enumerate(_by_fold(judged)):
                        mlflow.log_metrics(figures, step=fold)
                    mlflow.log_artifacts(folder)
                    number = _log_model(shipped.bundle)
                self._client.set_model_version_tag(NAME, number, BUNDLE, name)
                self._client.set_registered_model_alias(NAME, CHALLENGER, number)
            except mlflow.exceptions.MlflowException as error:
                raise SettingsError("settings", f"--tracking-uri {self.uri}: {error}") from None
        return self._version(number, run.info.run_id)

    def versions(self) -> list[TrackedVersion]:
        """Return all versions, newest first."""
        with _quiet():
            found = self._client.search_model_versions(f"name = '{NAME}'")
            numbers = sorted(((int(one.version), str(one.run_id)) for one in found), reverse=True)
            return [self._version(str(number), run) for number, run in numbers]

    def find(self, name: str) -> TrackedVersion | None:
        """Return the version with a number, an alias or a bundle version (the newest one), or None."""
        for version in self.versions():
            if name in (version.number, version.model, *version.aliases):
                return version
        return None

    def bundle(self, version: TrackedVersion) -> Bundle:
        """Return the verified bundle of a version.

        Raises:
            ModelError: it is broken.
        """
        with _quiet(), tempfile.TemporaryDirectory(prefix="gesture-maze-run-") as folder:
            return load_bundle(Path(self._client.download_artifacts(version.run, BUNDLE, folder)))

    def appoint(self, version: TrackedVersion, alias: str) -> None:
        """Move an alias to a version. A version that becomes champion is no longer challenger."""
        with _quiet():
            self._client.set_registered_model_alias(NAME, alias, version.number)
            if alias == CHAMPION and CHALLENGER in version.aliases:
                self._client.delete_registered_model_alias(NAME, CHALLENGER)

    def _open_experiment(self) -> str:
        found = self._client.get_experiment_by_name(NAME)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(NAME, artifact_location=_artifacts_of(self.uri)))

    def _version(self, number: str, run: str) -> TrackedVersion:
        # not from the search, whose results have no aliases
        version = self._client.get_model_version(NAME, number)
        return TrackedVersion(
            number=str(version.version),
            model=version.tags.get(BUNDLE, ""),
            aliases=tuple(version.aliases),
            figures=dict(self._client.get_run(run).data.metrics),
            run=run,
            created_ms=int(version.creation_timestamp),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of MLflow about its own dependencies, which its caller cannot change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Hold a lock beside an SQLite database while the body runs; a server needs none.

    MLflow creates its tables when it first opens a database; two processes that do so at once fail.
    """
    if not uri.startswith(_SQLITE):
        yield
        return
    path = Path(uri.removeprefix(_SQLITE))
    if not path.parent.is_dir():
        raise SettingsError("settings", f"--tracking-uri {uri}: there is no folder {path.parent}")
    with path.with_name(f"{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _artifacts_of(uri: str) -> str | None:
    """Return where the artifacts of an SQLite database go; a server decides for itself. MLflow's default
    would be `mlruns` in whatever folder the command was started from.
    """
    if not uri.startswith(_SQLITE):
        return None
    return (Path(uri.removeprefix(_SQLITE)).resolve().parent / "mlartifacts").as_uri()


def _parameters(shipped: Shipped) -> dict[str, Any]:
    manifest = shipped.bundle.manifest
    return {
        "kind": manifest.model_version.rpartition("-")[0],
        "feature_version": manifest.feature_version,
        "temperature": shipped.calibrated.temperature,
        "threshold": manifest.thresholds.act,
        **shipped.fitted.parameters,
    }


def _metrics(shipped: Shipped, judged: Judged) -> dict[str, float]:
    """Return the figures of the held-out hands: overall, by gesture, and altered."""
    found = shipped.evaluation
    metrics = {**_overall(found), "ece": judged.ece(), "export_difference": shipped.export_difference}
    for gesture, figures in found["per_class"].items():
        if figures["n"]:
            metrics |= {
                f"{key}/{gesture}": value
                for key, value in (
                    ("precision", figures["precision"]),
                    ("recall", figures["recall"]),
                    ("f1", figures["f1"]),
                )
            }
    for view, seen in shipped.bundle.manifest.evaluation.items():
        metrics |= {f"{view}/accuracy": seen.accuracy, f"{view}/macro_f1": seen.macro_f1}
    return metrics


def _by_fold(judged: Judged) -> Iterator[dict[str, float]]:
    """Yield the figures of each fold."""
    assert judged.folds is not None, "held-out answers know their fold"
    for fold in range(int(judged.folds.max()) + 1):
        rows = judged.folds == fold
        part = Judged(
            judged.model, judged.threshold, judged.points[rows], judged.labels[rows], judged.users[rows],
            judged.probabilities[rows], judged.gestures,
        )  # fmt: skip
        yield {f"fold/{name}": value for name, value in _overall(part.evaluation()).items()}


def _overall(found: Evaluation) -> dict[str, float]:
    figures = {"rows": float(found["rows"]), "accuracy": found["accuracy"], "macro_f1": found["macro_f1"]}
    action = found["action"]
    shares = (
        ("action_precision", action["precision"]),
        ("action_recall", action["recall"]),
        ("false_action_rate", action["false_action_rate"]),
    )
    return figures | {name: share for name, share in shares if share is not None}


def _write_artifacts(
    folder: Path, shipped: Shipped, judged: Judged, data: Dataset, trials: Sequence[Trial]
) -> None:
    import joblib

    shipped.bundle.write(folder / BUNDLE)
    joblib.dump(shipped.fitted.pipeline, folder / "pipeline.joblib")
    pictures = {
        "pictures/confusion_matrix.svg": matrix_svg(judged.confusion(), judged.gestures),
        "pictures/reliability.svg": reliability_svg(reliability(judged)),
        **{f"errors/{gesture}.svg": svg for gesture, svg in _galleries(judged)},
        "report.html": report_html(data, Subject(judged, shipped.bundle.manifest)),
        "confusion_matrix.json": json.dumps(
            {"labels": judged.gestures, "counts": judged.confusion().tolist()}
        ),
    }
    if trials:
        pictures["trials.json"] = json.dumps([trial.as_dict() for trial in trials], indent=2)
    for name, text in pictures.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _galleries(judged: Judged) -> Iterator[tuple[str, str]]:
    """Yield the name and the drawn mistakes of each gesture that was mistaken for another."""
    for label, name in enumerate(judged.gestures):
        rows = judged.worst(label, GALLERY)
        if len(rows):
            words = [
                f"{judged.gestures[judged.predicted[row]]} {float(judged.confidence[row]):.2f}"
                for row in rows
            ]
            yield name, gallery_svg(list(zip(judged.points[rows], words, strict=True)))


def _log_model(bundle: Bundle) -> str:
    """Log the graph with signature and input example, register it, and return the version's number."""
    import mlflow
    import mlflow.onnx
    import numpy as np
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    def tensor(kind: str, shape: tuple[int, ...], name: str) -> Any:
        return TensorSpec(np.dtype(kind), shape, name)

    classes = len(bundle.manifest.labels)
    signature = ModelSignature(
        inputs=Schema([tensor("float32", (-1, 21, 3), "landmarks"), tensor("float32", (-1,), "aspect")]),
        outputs=Schema(
            [
                tensor("int64", (-1,), "label"),
                tensor("float32", (-1, classes), "probabilities"),
            ]
        ),
    )
    info = mlflow.onnx.log_model(
        onnx.load_model_from_string(bundle.model),
        name="model",
        signature=signature,
        # synthetic hands, as they are in the bundle
        input_example={"landmarks": bundle.golden.landmarks[:3], "aspect": bundle.golden.aspect[:3]},
        registered_model_name=NAME,
        # named, because MLflow would find them by loading the model in another process
        pip_requirements=["onnxruntime", "numpy"],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
    )
    return str(info.registered_model_version)
