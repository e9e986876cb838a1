"""The model card of a taught bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gesture_maze.models.train.card import wrapped
from gesture_maze.teach.judging import Confusion, Likeness
from gesture_maze.teach.kept import Kept
from gesture_maze.wire.printable import amount

if TYPE_CHECKING:
    from gesture_maze.teach.takes import Take

_HEAD: Final = """# Model card: {{version}}

The model {base}, taught by takes of people's own hands: {names}.

- **Takes**: {takes}, {hands}. The bundle holds none of them; its golden hands are synthetic.
  The drawing of a new gesture is the median of its hands.
- **Consent**: the header of each take states it.
- **Method**: the base's hidden layer and outputs are kept; hidden units beside them and additions to the
  outputs of the gestures above are trained. Simulated hands of the published gestures, and hands drawn from
  the shapes of people's hands, stand for the base's training rows.
- **Actions**: those of the base.
- **Threshold**: {act:.3f}.
- **Meant for**: the people who recorded the takes, steering a game. Other people's hands were not measured.

## Figures of the takes

Each take was judged by a model that was trained without it. It is the same person in the same place: on
another day, expect less.

| gesture | takes | hands | right | right and above the threshold |
|---|---|---|---|---|
"""

_TAIL: Final = """
{kept} Of these hands, {changed:.2%} get another answer than from the base.

# The base

The rest of this card is the base's. Its figures hold for its own gestures, less the fall above where drawn
hands are like real ones.

"""


@dataclass(frozen=True, slots=True)
class Summary:
    """The content of the card; see `teach.course.Taught`."""

    base: str
    takes: Sequence[Take]
    trained: Sequence[str]
    accuracy: dict[str, float | None]
    acting: dict[str, float | None]
    confusions: Sequence[Confusion]
    close: Sequence[Likeness]
    kept: Kept
    act: float


def taught_card(summary: Summary, base_card: str) -> str:
    """Return the card, in Markdown; `{version}` stays in it, because the version follows from the content."""
    head = _HEAD.format(
        base=summary.base,
        names=", ".join(summary.trained),
        takes=amount(len(summary.takes), "take"),
        hands=amount(sum(len(take.points) for take in summary.takes), "hand"),
        act=summary.act,
    )
    table = "".join(_lines(summary))
    words = "".join(f"- {one.sentence()}.\n" for one in summary.confusions)
    mixed = f"\nConfusions of at least 2 %:\n\n{words}" if words else "\nNo confusion of 2 % or more.\n"
    if all(share is None for share in summary.accuracy.values()):
        mixed = "\nNo take could be held out: every gesture has one take only.\n"
    near = "".join(f"- {one.sentence()}.\n" for one in summary.close)
    mixed += f"\nClose to other gestures:\n\n{near}" if near else ""
    tail = _TAIL.format(kept=summary.kept.sentence(), changed=summary.kept.changed)
    inner = base_card.replace("\n## ", "\n### ").replace("# Model card: ", "## ", 1)
    return wrapped(head + table + mixed + tail) + inner


def _lines(summary: Summary) -> Iterator[str]:
    for name in summary.trained:
        mine = [take for take in summary.takes if take.label == name]
        hands = sum(len(take.points) for take in mine)
        shares = (_percent(summary.accuracy[name]), _percent(summary.acting[name]))
        yield f"| {name} | {len(mine)} | {hands} | {shares[0]} | {shares[1]} |\n"


def _percent(share: float | None) -> str:
    return "one take only" if share is None else f"{share:.1%}"
