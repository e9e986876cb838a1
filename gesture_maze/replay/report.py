"""Show differences in the terminal, and as one HTML file with the hands drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from gesture_maze.replay.drawing import braille, svg
from gesture_maze.replay.golden import Difference, Key
from gesture_maze.wire.printable import amount

SHOWN: Final = 10
"""Differences drawn in the terminal; a hand takes eleven lines."""
IN_REPORT: Final = 500
"""Differences drawn in a report: 3 kB each."""

Hands = Mapping[Key, tuple[Any, float]]
"""Landmarks (21, 3) and aspect by session and seq."""

_STYLE: Final = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222 }
table { border-collapse: collapse }
td, th { border-bottom: 1px solid #ddd; padding: .4em .8em; text-align: left }
.hand line { stroke: #567; stroke-width: 2 } .hand circle { fill: #c40 }
.changed { background: #fdd } code { font-size: 13px }
"""


def words(answer: Mapping[str, Any] | None) -> str:
    """Return an answer as a few words."""
    if answer is None:
        return "not answered"
    gesture = answer.get("gesture") or "no hand"
    shown = f"{gesture} ({float(answer.get('confidence') or 0):.3f})"
    return f"{shown}, action {answer.get('action') or '-'}, move {answer.get('move') or '-'}"


def described(differences: Sequence[Difference], hands: Hands) -> list[str]:
    """Return lines with the first differences, their hands, and the number of each kind."""
    lines = []
    for one in differences[:SHOWN]:
        at_s = one.offset_ms / 1000
        lines.append(f"session {one.session}  seq {one.seq}  at {at_s:.3f} s: {', '.join(one.changed)}")
        lines.append(f"  expected  {words(one.expected)}")
        lines.append(f"  got       {words(one.got)}")
        if one.key in hands:
            lines += [f"    {row}" for row in braille(*hands[one.key])]
    if len(differences) > SHOWN:
        lines.append(f"... and {len(differences) - SHOWN:,} more")
    kinds = Counter(kind for one in differences for kind in one.changed)
    sessions = len({one.session for one in differences})
    counted = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
    differ = f"{amount(len(differences), 'frame')} of {amount(sessions, 'session')}"
    lines.append(f"different: {differ} ({counted})")
    return lines


def write_html(
    path: Path,
    title: str,
    differences: Sequence[Difference],
    hands: Hands,
    before: str = "expected",
    after: str = "got",
) -> None:
    """Write one self-contained page that loads nothing and runs no script.

    Raises:
        OSError: it cannot be written.
    """
    rows = "\n".join(_row(one, hands) for one in differences[:IN_REPORT])
    more = len(differences) - IN_REPORT
    rest = f"<p>... and {more:,} more.</p>" if more > 0 else ""
    path.write_text(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n"
        f"<p>Different: {amount(len(differences), 'frame')}.</p>\n"
        f"<table><tr><th>session</th><th>seq</th><th>time</th><th>{escape(before)}</th>"
        f"<th>{escape(after)}</th><th>hand</th></tr>\n{rows}\n</table>{rest}</html>\n",
        encoding="utf-8",
    )


def _row(one: Difference, hands: Hands) -> str:
    drawn = svg(*hands[one.key]) if one.key in hands else svg(np.zeros((21, 3), np.float32), 1.0)
    return (
        f"<tr><td><code>{escape(one.session)}</code></td><td>{one.seq}</td>"
        f"<td>{one.offset_ms / 1000:.3f} s</td><td>{_answer(one.expected, one.changed)}</td>"
        f"<td>{_answer(one.got, one.changed)}</td><td>{drawn}</td></tr>"
    )


def _answer(answer: Mapping[str, Any] | None, changed: Sequence[str]) -> str:
    if answer is None:
        return '<span class="changed">not answered</span>'
    parts = []
    for name in ("gesture", "confidence", "action", "move"):
        text = f"{name} {escape(str(answer.get(name)))}"
        parts.append(f'<span class="changed">{text}</span>' if name in changed else text)
    return "<br>".join(parts)
