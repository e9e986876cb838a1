"""`maze models import`: the old service's SVC and scaler in, a model bundle out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.cli.progress import progress
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from gesture_maze.models.bundle import Bundle
    from gesture_maze.models.hands import Hands
    from gesture_maze.models.train.distillation import Distilled

Opt = typer.Option

PROBES_PER_GESTURE: Final = 20
"""Simulated hands per gesture on which the export is compared with scikit-learn."""
LESSONS_PER_GESTURE: Final = 200
"""Simulated hands per gesture that a network is trained on: a minute on one core."""
ASPECTS: Final = (4 / 3, 9 / 16)
WARNING: Final = (
    "opening a pickle runs whatever code its writer put there, with your rights: a separate process keeps\n"
    "it out of this one, but does not contain it. Import only files from a source that you trust.\n"
)


def models_import(
    svc: Annotated[Path, Opt(help="Pickle or joblib file of the fitted SVC.")],
    scaler: Annotated[Path, Opt(help="File of the fitted MinMaxScaler, of 42 or 63 values.")],
    labels: Annotated[Path, Opt(help='JSON table of its classes: {"16": "like", ...}.')],
    out: Annotated[Path, Opt(help="Folder for the bundle.")] = Path("imported"),
    trust_pickle: Annotated[
        bool, Opt("--trust-pickle", help="You trust both files: opening them runs their code.")
    ] = False,
    layout: Annotated[str, Opt(help="Columns: interleaved (x1, y1, ...) or planar.")] = "interleaved",
    votes: Annotated[bool, Opt("--votes", help="Ignore the SVC's own probabilities.")] = False,
    distill: Annotated[bool, Opt("--distill", help="Also train a fast network on its answers.")] = False,
    seed: Annotated[int, Opt(min=0, help="Seed of the simulated hands and the network.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Convert the old service's model, an SVC behind a min-max scaler, into a bundle that workers can run.

    With --distill, a network of the default kind learns its answers on simulated hands, and is written beside
    it: it is some hundred times as fast, and does not depend on where in the image the hand is.

    Example: [bold]maze models import --svc svc.pkl --scaler mm.pkl --labels table.json --trust-pickle[/bold]
    """
    from gesture_maze.models.legacy.layout import Layout

    if layout not in tuple(Layout):
        raise SettingsError("settings", f"--layout {layout}: choose one of {', '.join(Layout)}")
    if not trust_pickle:
        raise SettingsError("settings", f"pass --trust-pickle if you trust both files: {WARNING.strip()}")
    sys.stderr.write(f"Warning: {WARNING}")
    imported = _import(svc, scaler, labels, Layout(layout), votes, seed)
    imported.bundle.write(out)
    facts = imported.as_dict(out)
    if distill:
        pupil = _distil(imported, seed)
        folder = out.with_name(f"{out.name}-distilled")
        pupil.bundle.write(folder)
        speed = _speed(pupil.bundle, imported.golden)
        facts["distilled"] = {
            "model": pupil.bundle.version, "bundle": str(folder), "agreement": pupil.agreement, **speed,
        }  # fmt: skip
    if as_json:
        print_json(facts)
    else:
        _show(facts)


@dataclass(frozen=True, slots=True)
class _Imported:
    bundle: Bundle
    golden: Hands
    vectors: int
    agreement: float
    warnings: tuple[str, ...]

    def as_dict(self, out: Path) -> dict[str, Any]:
        return {
            "model": self.bundle.version,
            "bundle": str(out),
            "support_vectors": self.vectors,
            "agreement_with_predict": self.agreement,
            "warnings": list(self.warnings),
            **_speed(self.bundle, self.golden),
        }


def _import(svc: Path, scaler: Path, labels: Path, layout: Any, votes: bool, seed: int) -> _Imported:
    from gesture_maze.models.legacy.importer import legacy_bundle, open_pickles, read_labels

    probes = _hands(PROBES_PER_GESTURE, seed + 1)
    golden = _hands(1, seed)
    table = read_labels(labels)
    with progress("Opening the pickles"):
        found = open_pickles(svc, scaler, table, probes.landmarks, layout=layout, votes=votes)
    with progress("Comparing the export"):
        bundle = legacy_bundle(found, probes.landmarks, golden)
    return _Imported(bundle, golden, len(found.svc.vectors), found.agreement, found.warnings)


def _distil(imported: _Imported, seed: int) -> Distilled:
    from gesture_maze.models.classifier import Classifier
    from gesture_maze.models.train.distillation import distil
    from gesture_maze.models.train.trainer import Recipe

    recipe = Recipe()
    lessons, judged = _hands(LESSONS_PER_GESTURE, seed + 2), _hands(PROBES_PER_GESTURE, seed + 3)
    with progress("Distilling", recipe.steps()) as tick:
        return distil(
            Classifier.from_bundle(imported.bundle), lessons, judged, imported.golden, recipe, seed, tick
        )


def _hands(per_gesture: int, seed: int) -> Hands:
    """Return simulated hands: of each gesture `per_gesture` in a wide image and as many in a tall one."""
    import numpy as np

    from gesture_maze.models.hands import Hands
    from gesture_maze.simulator.players import synthesize
    from gesture_maze.wire.gestures import GESTURES

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(GESTURES)), per_gesture)
    wide, tall = (synthesize(labels, rng, aspect=aspect) for aspect in ASPECTS)
    return Hands(np.concatenate([wide.landmarks, tall.landmarks]), np.concatenate([wide.aspect, tall.aspect]))


def _speed(bundle: Bundle, hands: Hands) -> dict[str, float]:
    """Return µs per frame on one thread, in batches of 256 and of 1."""
    import numpy as np

    from gesture_maze.models.classifier import Classifier
    from gesture_maze.models.timing import microseconds_per_frame

    classifier = Classifier.from_bundle(bundle)
    landmarks, aspect = np.resize(hands.landmarks, (256, 21, 3)), np.resize(hands.aspect, 256)

    def run(batch: int) -> object:
        return classifier.classify(landmarks[:batch], aspect[:batch])

    return {
        "us_at_256": round(microseconds_per_frame(run, 256, 0.2), 2),
        "us_at_1": round(microseconds_per_frame(run, 1, 0.2), 1),
    }


def _show(facts: dict[str, Any]) -> None:
    for warning in facts["warnings"]:
        print_line(f"warning    {warning}")
    print_line(
        f"imported   {facts['model']} in {facts['bundle']}: {facts['support_vectors']:,} support vectors"
    )
    print_line(f"answers    {facts['agreement_with_predict']:.1%} as the old model's predict()")
    print_line(f"speed      {facts['us_at_256']:.1f} µs a frame at 256, {facts['us_at_1']:.0f} µs at 1")
    pupil = facts.get("distilled")
    if pupil is None:
        print_line("faster?    --distill trains a network on its answers")
        return
    print_line(f"distilled  {pupil['model']} in {pupil['bundle']}: {pupil['agreement']:.1%} the same answers")
    print_line(f"speed      {pupil['us_at_256']:.1f} µs a frame at 256, {pupil['us_at_1']:.0f} µs at 1")
