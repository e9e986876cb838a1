"""The model card of a bundle, written from its figures."""

from __future__ import annotations

from typing import Final

from gesture_maze.models.evaluation import Evaluation
from gesture_maze.models.onnx.export import Facts
from gesture_maze.models.manifest import Figures

_HEAD: Final = """# Model card: {version}

Classifies one hand, given as 21 landmarks in MediaPipe's order, as one of 18 gestures or `no_gesture`.

- **Input**: `landmarks` (n, 21, 3) float32, x and y in units of the image's width and height, y down;
  `aspect` (n,) float32, width / height. z is read and not used: its unit differs between detectors.
- **Output**: `label` (n,) int64 and `probabilities` (n, 19) float32, calibrated by one temperature.
- **Model**: one hidden layer of ReLU units (several networks whose logits are averaged), on features that are
  free of translation, scale and mirroring. The features are part of the graph.
- **Made by**: `maze train`, seed {seed}, from {rows} rows ({files}; sha256 `{sha256}`).
- **Meant for**: steering a game. Not for sign language, and not for anything where a wrong answer does harm.

## Figures

Predictions for rows that the predicting model was not trained on. Where the data has user ids, no user is on
both sides, and rows without one are trained on but not counted here.
An action is given from a confidence of {threshold:.3f}.

| held-out rows | n | accuracy | macro F1 | action precision | action recall | false actions | ECE |
|---|---|---|---|---|---|---|---|
"""

_TAIL: Final = """
The other lines of the first table are the same hands, altered. "False actions" are those on hands that show
no gesture. The temperature and the threshold were fitted to these rows, which flatters calibration and action
figures a little; the accuracy does not depend on them.

## Known limits

- Some labels of the data are wrong: hands labelled `three` that show four fingers, `no_gesture` hands with a
  thumb up. Such rows count as errors here, and as confident ones, which is what bounds the action precision.
- What is mixed up most: `three` with `four` (both steer the maze), seldom with `three2`; `palm` with `stop`,
  and `stop` with `stop_inverted`; `mute` with `one` and `peace_inverted`.
- Left and right hands, and mirrored images, are treated alike by construction. So a right hand's palm and a
  left hand's back differ only by perspective: the `inverted` gestures rest on that.
- A hand seen edge-on (`mute` most often) has no clear side; its features can jump between two forms.
- A wrong `aspect` costs accuracy: the line `stretched_8_percent` shows how much.
- Its people are those of the training data. Other ages, gloves, missing fingers were not measured.

## Data and licence

The bundled model is trained on landmarks derived from HaGRID (HAnd Gesture Recognition Image Dataset,
https://github.com/hukenovs/hagrid, by Kapitanov, Kvanchiani, Nagaev, Kraynov and Makhliarchuk), which is
under a variant of CC BY-SA 4.0. The bundle holds no row of it; its golden hands are synthetic.
"""


def model_card(facts: Facts, evaluation: Evaluation) -> str:
    """Return the card, in Markdown; `{version}` is left in it, for the version follows from the content.

    Args:
        facts: what the manifest will say.
        evaluation: of the held-out rows, for the figures by gesture.
    """
    head = (
        _HEAD.replace("{seed}", str(facts.seed))
        .replace("{rows}", str(facts.training_data.rows))
        .replace("{files}", ", ".join(facts.training_data.files))
        .replace("{sha256}", facts.training_data.sha256[:16])
        .replace("{threshold:.3f}", f"{facts.thresholds.act:.3f}")
    )
    splits = "".join(_split_line(name, figures) for name, figures in facts.evaluation.items())
    return head + splits + "\n" + _by_gesture(evaluation) + _TAIL


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
    return f"| {name} | {figures.rows} | {cells} |\n"


def _by_gesture(evaluation: Evaluation) -> str:
    lines = ["| gesture | n | precision | recall | F1 |\n", "|---|---|---|---|---|\n"]
    lines += [
        f"| {name} | {one['n']} | {one['precision']:.3f} | {one['recall']:.3f} | {one['f1']:.3f} |\n"
        for name, one in evaluation["per_class"].items()
        if one["n"]
    ]
    return "".join(lines)
