"""The model card of a bundle, written from its figures.

A card states what was measured on the available data, and makes no claim about other data.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from gesture_maze.models.dataset import Dataset
from gesture_maze.models.evaluation import Evaluation
from gesture_maze.models.manifest import Figures
from gesture_maze.models.onnx.export import Facts
from gesture_maze.models.steering import actions_line
from gesture_maze.models.verdicts import BIAS
from gesture_maze.wire.gestures import DEFAULT_ACTIONS, NO_GESTURE, parse_action_key
from gesture_maze.wire.printable import amount

NO_USERS: Final = (
    "**The data names no users.** The held-out rows show the same people as the rows that were trained on: "
    "these figures say nothing about other people's hands, and are too good."
)
"""The note of the card and the command on data without user ids."""

KINDS: Final = {
    "mlp": "one hidden layer of ReLU units (several networks whose logits are averaged)",
    "svc": "a support vector classifier (RBF kernel, sigmoid calibration)",
    "hgb": "gradient-boosted trees",
    "knn": "nearest neighbours",
}
"""Words for the kinds of `models.train.fitting`; the scikit-learn network is an mlp, too."""

LICENCES: Final = {
    "hagrid": (
        "Rows of HaGRID are landmarks derived from HaGRID (HAnd Gesture Recognition Image Dataset,\n"
        "https://github.com/hukenovs/hagrid, by Kapitanov, Kvanchiani, Nagaev, Kraynov and Makhliarchuk), "
        "which is\nunder a variant of CC BY-SA 4.0."
    ),
}
"""Start of a source's name -> its attribution."""

WIDTH: Final = 110
"""Most characters of a line of the card, except in tables."""

_SMALL: Final = 30
"""Rows of a gesture below which its figures are marked as uncertain."""

HELD_OUT: Final = "held_out"
"""The split that a bundle is judged by: out-of-fold predictions, no user on both sides."""

ADJUDICATED: Final = "adjudicated"
"""The same rows with the labels that verdicts give them, see `models.verdicts`."""

OTHER_CAMERAS: Final = "other_cameras"
"""Rows of recorders, predicted by models that were trained on none of that recorder's rows."""

ROWS: Final = {
    HELD_OUT: "held out, labels as given",
    ADJUDICATED: "held out, adjudicated labels",
    OTHER_CAMERAS: "other cameras",
    "mirrored": "held out, mirrored",
    "rotated_15": "held out, turned by 15 degrees",
    "rotated_minus_15": "held out, turned by -15 degrees",
    "stretched_8_percent": "held out, 8 % wider",
}
"""Name of a set of figures in the manifest -> its line of the card."""

SOURCES: Final = {
    "hagrid_ann_subsample": "HaGRID, a sample of its annotations with user ids",
    "hagrid_border_rows": "HaGRID, hands near class borders without user ids",
}
"""Name of a source in the data -> what the card calls it; other names stay as they are."""

_HEAD: Final = """# Model card: {version}

Classifies one hand, given as 21 landmarks in MediaPipe's order, as one of {classes} gestures.

- **Gestures**: {gestures}.
{actions}- **Input**: `landmarks` (n, 21, 3) float32, x and y in units of the image's width and height,
  y down; `aspect` (n,) float32, width / height. z is not used.
- **Output**: `label` (n,) int64, a place in the gestures, and `probabilities` (n, {classes}) float32,
  calibrated by one temperature.
- **Model**: {model}, on features that do not depend on translation, scale and mirroring. The features are
  part of the graph.
- **Made by**: `maze train`, seed {seed}, from {rows} rows ({files}; sha256 `{sha256}`).
- **Meant for**: steering a game. Not for sign language, and not for anything where a wrong answer does harm.

## Figures

{people}

{rule}

| rows | n | accuracy | macro F1 | action precision | action recall | false actions | ECE |
|---|---|---|---|---|---|---|---|
"""

_NOTES: Final = """
"False actions" are those on hands labelled `no_gesture`. The temperature and the threshold were fitted to
these rows, which flatters calibration and action figures a little; the accuracy does not depend on them.
"""

_OTHER_CAMERAS: Final = (
    '"Other cameras" are {rows} of recorders without user ids, by models that were trained on none of the '
    "recorder's rows. {recall}The temperature was fitted to both: half of its score is that of the held-out "
    "rows, half that of the recorders, each of which counts the same.\n"
)

_LIMITS: Final = """
## Known limits

- Left and right hands, and mirrored images, are treated alike by construction. A right hand's palm and a left
  hand's back differ only by perspective.
- A hand seen edge-on has no clear side; its features can jump between two forms.
- A wrong `aspect` costs accuracy: 3 to 6 points, measured on the default model.
- Its people are those of the training data. Anything that they do not show was not measured.
"""


Confusion = tuple[str, str, int]
"""True gesture, predicted gesture, number of hands."""


def model_card(
    facts: Facts, evaluation: Evaluation, rule: str, data: Dataset, confusions: Sequence[Confusion]
) -> str:
    """Return the card, in Markdown; `{version}` stays in it, because the version follows from the content.

    Args:
        facts: what the manifest will say.
        evaluation: figures of the held-out rows, by gesture.
        rule: how the threshold was chosen, in a sentence.
        data: the training data, for its people and sources.
        confusions: of the held-out rows, most frequent first.
    """
    mapping = DEFAULT_ACTIONS if facts.actions is None else facts.actions
    known = {key: way for key, way in mapping.items() if parse_action_key(key)[1] in facts.labels}
    head = _HEAD.format(
        version="{version}",
        classes=len(facts.labels),
        gestures=", ".join(facts.labels),
        actions=actions_line(known),
        model=KINDS.get(facts.kind, facts.kind),
        seed=facts.seed,
        rows=facts.training_data.rows,
        files=", ".join(facts.training_data.files),
        sha256=facts.training_data.sha256[:16],
        people=_people(data, facts.evaluation),
        rule=rule,
    )
    splits = "".join(_split_line(name, figures) for name, figures in facts.evaluation.items())
    notes = [_NOTES]
    if ADJUDICATED in facts.evaluation:
        notes.append(f"Adjudicated labels are those that a person judged, on the same rows. {BIAS}\n")
    if OTHER_CAMERAS in facts.evaluation:
        notes.append(_other_cameras(facts.evaluation[OTHER_CAMERAS]))
    if set(facts.evaluation) - {HELD_OUT, ADJUDICATED, OTHER_CAMERAS}:
        notes.append("The other lines are the same hands, altered.\n")
    body = "\n".join(notes) + "\n" + _by_gesture(evaluation) + _mixed_up(confusions) + _LIMITS
    return wrapped(head + splits + body + _sources(data))


def wrapped(card: str) -> str:
    """Return Markdown with long lines broken, except in tables."""
    lines = []
    for line in card.split("\n"):
        if len(line) <= WIDTH or line.startswith("|"):
            lines.append(line)
        else:
            indent = "  " if line.startswith(("- ", "  ")) else ""
            lines += textwrap.wrap(
                line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
    return "\n".join(lines)


def _people(data: Dataset, splits: Mapping[str, Figures]) -> str:
    known = int(np.count_nonzero(data.users != ""))
    if not known:
        return NO_USERS
    users = len(set(data.users[data.users != ""].tolist()))
    words = (
        f"Predictions for {amount(known, 'row')} of {amount(users, 'user')}, by models that were "
        "trained on none of the user's rows."
    )
    others = splits[OTHER_CAMERAS].rows if OTHER_CAMERAS in splits else 0
    if rest := len(data) - known - others:
        words += f" Trained on and not counted: {amount(rest, 'row')} without a user id."
    return words


def _other_cameras(figures: Figures) -> str:
    recall = figures.action_recall
    words = (
        "" if recall is None else f"The right action is taken on {recall:.1%} of their hands that have one. "
    )
    return _OTHER_CAMERAS.format(rows=amount(figures.rows, "row"), recall=words)


def _mixed_up(confusions: Sequence[Confusion]) -> str:
    if not confusions:
        return ""
    words = ", ".join(f"{truth} taken for {answer} ({n})" for truth, answer, n in confusions)
    return f"\nMost frequent mistakes on these rows: {words}.\n"


def _sources(data: Dataset) -> str:
    names, counts = np.unique(data.sources[data.sources != ""], return_counts=True)
    if not len(names):
        return ""
    lines = "".join(
        f"- {SOURCES.get(name, name)}: {amount(count, 'row')}\n"
        for name, count in zip(names, counts, strict=True)
    )
    licences = [text for prefix, text in LICENCES.items() if any(name.startswith(prefix) for name in names)]
    notes = "\n".join(["The bundle holds none of these rows; its golden hands are synthetic.", *licences])
    return f"\n## Sources of the training rows\n\n{lines}\n{notes}\n"


def _split_line(name: str, figures: Figures) -> str:
    numbers = (
        figures.accuracy,
        figures.macro_f1,
        figures.action_precision,
        figures.action_recall,
        figures.false_action_rate,
        figures.ece,
    )
    cells = " | ".join("n/a" if number is None else f"{number:.4f}" for number in numbers)
    return f"| {ROWS.get(name, name)} | {figures.rows} | {cells} |\n"


def _by_gesture(evaluation: Evaluation) -> str:
    lines = ["| gesture | n | precision | recall | F1 |\n", "|---|---|---|---|---|\n"]
    lines += [
        f"| {name} | {one['n']} | {one['precision']:.3f} | {one['recall']:.3f} | {one['f1']:.3f} |\n"
        for name, one in evaluation["per_class"].items()
        if one["n"]
    ]
    return "".join([*lines, *_remarks(evaluation)])


def _remarks(evaluation: Evaluation) -> Iterator[str]:
    few = [name for name, one in evaluation["per_class"].items() if 0 < one["n"] < _SMALL]
    if few:
        yield f"\nFewer than {_SMALL} held-out rows, so these figures are uncertain: {', '.join(few)}.\n"
    if not evaluation["per_class"].get(NO_GESTURE, {"n": 0})["n"]:
        yield (
            "\nNo held-out row is labelled `no_gesture`: false actions were not measured, and a hand at rest "
            "is given one of the gestures.\n"
        )
