"""`maze evaluate --report`: one self-contained HTML page: no script, no font, no link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gesture_maze.models.dataset import Dataset
from gesture_maze.models.judged import Judged, Paired, compare, reliability
from gesture_maze.models.manifest import Manifest
from gesture_maze.models.report.drawing import hand_svg, matrix_svg, reliability_svg
from gesture_maze.wire.gestures import Action
from gesture_maze.wire.printable import amount

WORST_SHOWN: Final = 6
TYPICAL_SHOWN: Final = 2
DIFFERENT_SHOWN: Final = 18
SIGNIFICANT: Final = 0.05

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root{color-scheme:light}*{box-sizing:border-box}
body{margin:0;background:#f4f6fa;color:#1f2430;font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 60px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:19px;margin:0 0 12px}
p{margin:6px 0;max-width:80ch}.dim{color:#667089}code{font-size:13px}
section{background:#fff;border:1px solid #e3e7ef;border-radius:12px;padding:20px 22px;margin-top:18px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin-top:18px}
.tile{background:#fff;border:1px solid #e3e7ef;border-radius:12px;padding:12px 16px}
.tile b{display:block;font-size:23px;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{color:#667089;font-size:13px}
.note{border-left:4px solid #f0a202;background:#fff8e6;padding:8px 14px;border-radius:6px;margin-top:16px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:5px 14px 5px 0;text-align:right;border-bottom:1px solid #edf0f5}
th{color:#667089;font-weight:550;font-size:13px}th:first-child,td:first-child{text-align:left}
.bar{display:inline-block;height:8px;border-radius:4px;background:#2f6fed;vertical-align:middle}
.wide{overflow-x:auto}.row{display:flex;flex-wrap:wrap;gap:14px}
.hand{text-align:center;font-size:12px;color:#667089;width:112px}
.hand svg{background:#f8f9fc;border-radius:10px}
.hand.wrong b{color:#d6453d}.hand b{color:#1f2430;display:block;font-weight:600}
.gesture{border-top:1px solid #edf0f5;padding:12px 0}.gesture h3{font-size:15px;margin:0 0 8px}
.pair{display:flex;flex-wrap:wrap;gap:30px;align-items:flex-start}
.up{color:#1d7a46}.down{color:#d6453d}
@media print{body{background:#fff}section{break-inside:avoid}}
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with its manifest, judged."""

    judged: Judged
    manifest: Manifest


def report_html(
    data: Dataset,
    subject: Subject,
    against: Subject | None = None,
    *,
    actions: Mapping[str, Action] | None = None,
) -> str:
    """Return the report on a model on labelled hands, compared with another model if one is given.

    Args:
        data: the hands that both were judged on.
        subject: the model that the report is about.
        against: the one to compare it with.
        actions: gesture name -> action, for both; None for the subject's own mapping.
    """
    judged = subject.judged
    mapping = judged.actions if actions is None else actions
    parts = [_head(data, subject), _tiles(judged, mapping)]
    if against is not None:
        parts.append(_comparison(judged, against.judged, mapping))
    parts += [_gestures(judged, mapping), _confusion(judged), _reliability(judged), _gallery(judged)]
    return _page(f"Model {judged.model}", "".join(parts))


def _page(title: str, body: str) -> str:
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        # nothing may be fetched, whatever a label or a file name contains
        f"<meta http-equiv='Content-Security-Policy' content=\"{_POLICY}\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _head(data: Dataset, subject: Subject) -> str:
    users = len(set(data.users[data.users != ""].tolist()))
    known = f", {amount(users, 'user')}" if users else ", no user ids"
    trained_on = subject.manifest.training_data
    seen = trained_on is not None and (
        trained_on.sha256 == data.sha256 or bool(set(trained_on.file_sha256) & set(data.file_sha256))
    )
    note = (
        "<p class='note'>The model was trained on these very rows: the figures show how well it "
        "remembers them, and nothing about other people's hands. The model card has figures for "
        "held-out rows.</p>"
    )
    return (
        f"<h1>Model {escape(subject.judged.model)}</h1>"
        f"<p class='dim'>on {escape(', '.join(data.names))}: {amount(len(data), 'hand')}{known}; "
        f"it acts from a confidence of {subject.judged.threshold:.2f}; sha256 of the data "
        f"<code>{data.sha256[:16]}</code></p>" + (note if seen else "")
    )


def _tiles(judged: Judged, actions: Mapping[str, Action]) -> str:
    found = judged.evaluation(actions)
    action = found["action"]
    tiles = (
        ("accuracy", _percent(found["accuracy"])),
        ("macro F1", _percent(found["macro_f1"])),
        ("action precision", _percent(action["precision"])),
        ("action recall", _percent(action["recall"])),
        ("false actions", _percent(action["false_action_rate"])),
        ("calibration error", _percent(judged.ece())),
    )
    cells = "".join(f"<div class='tile'><b>{value}</b><span>{name}</span></div>" for name, value in tiles)
    return f"<div class='tiles'>{cells}</div>"


def _comparison(first: Judged, second: Judged, actions: Mapping[str, Action]) -> str:
    paired = compare(first, second)
    one, other = first.evaluation(actions), second.evaluation(actions)
    rows = [
        ("accuracy", one["accuracy"], other["accuracy"], True),
        ("macro F1", one["macro_f1"], other["macro_f1"], True),
        ("action precision", one["action"]["precision"], other["action"]["precision"], True),
        ("action recall", one["action"]["recall"], other["action"]["recall"], True),
        ("false actions", one["action"]["false_action_rate"], other["action"]["false_action_rate"], False),
        ("calibration error", first.ece(), second.ece(), False),
    ]
    rows += [
        (f"F1 of {name}", figures["f1"], other["per_class"][name]["f1"], True)
        for name, figures in one["per_class"].items()
        if figures["n"] and abs(figures["f1"] - other["per_class"][name]["f1"]) >= 0.0005
    ]
    lines = (
        (escape(name), _percent(mine), _percent(theirs), _change(mine, theirs, more_is_better))
        for name, mine, theirs, more_is_better in rows
    )
    heads = ("", escape(first.model), escape(second.model), "difference")
    return (
        f"<section><h2>Against {escape(second.model)}</h2>{_verdict(paired)}"
        f"<div class='wide'>{_table(heads, lines)}</div>{_different(first, second)}</section>"
    )


def _verdict(paired: Paired) -> str:
    low, high = paired.interval
    unit = "users, hands without one singly" if paired.by_user else "hands, as if all of different people"
    if paired.p_value < SIGNIFICANT:
        better = "better" if paired.only_first > paired.only_second else "worse"
        words = f"It is {better}, and the difference is statistically significant"
    else:
        words = "These hands show no significant difference between the two"
    return (
        f"<p><b>{words}</b>: {amount(paired.only_first, 'hand')} only this model gets right, "
        f"{paired.only_second:,} only the other (both {paired.both:,}, neither {paired.neither:,}). "
        f"McNemar's exact test, two-sided: {paired.p_text()}. "
        f"Accuracy {_points(paired.difference)} points, 95 % interval {_points(low)} to {_points(high)} "
        f"(bootstrap over {unit}).</p>"
    )


def _different(first: Judged, second: Judged) -> str:
    (rows,) = np.nonzero(first.right != second.right)
    if not len(rows):
        return ""
    surest = rows[np.argsort(-np.maximum(first.confidence[rows], second.confidence[rows]), kind="stable")]
    cards = "".join(
        _card(
            first.points[row],
            f"{first.gestures[first.labels[row]]}",
            f"{first.gestures[first.predicted[row]]} | {second.gestures[second.predicted[row]]}",
            wrong=not first.right[row],
        )
        for row in surest[:DIFFERENT_SHOWN]
    )
    shown = min(len(rows), DIFFERENT_SHOWN)
    return (
        f"<h3>Where only one is right</h3><p class='dim'>{shown} of {len(rows):,}: the label, then this "
        f"model | the other; red where this one is wrong.</p><div class='row'>{cards}</div>"
    )


def _gestures(judged: Judged, actions: Mapping[str, Action]) -> str:
    lines = (
        (
            escape(name),
            actions.get(name, ""),
            f"{one['n']:,}",
            _percent(one["precision"]),
            _percent(one["recall"]),
            f"<span class='bar' style='width:{90 * one['f1']:.0f}px'></span>",
            _percent(one["f1"]),
        )
        for name, one in judged.evaluation()["per_class"].items()
        if one["n"]
    )
    heads = ("gesture", "action", "hands", "precision", "recall", "", "F1")
    return f"<section><h2>By gesture</h2><div class='wide'>{_table(heads, lines)}</div></section>"


def _confusion(judged: Judged) -> str:
    matrix = matrix_svg(judged.confusion(), judged.gestures)
    return f"<section><h2>Confusion matrix</h2><div class='wide'>{matrix}</div></section>"


def _reliability(judged: Judged) -> str:
    bins = reliability(judged)
    lines = (
        (f"{one.low:.2f} to {one.high:.2f}", f"{one.n:,}", f"{one.confidence:.3f}", _percent(one.accuracy))
        for one in bins
        if one.n
    )
    table = _table(("confidence", "hands", "mean", "right"), lines)
    return (
        f"<section><h2>Reliability</h2><p>On the dashed line, confidence equals accuracy: of the hands "
        f"at 0.9, nine in ten are right. Expected calibration error {_percent(judged.ece())}, "
        f"{len(bins)} bins.</p>"
        f"<div class='pair'>{reliability_svg(bins)}<div class='wide'>{table}</div></div></section>"
    )


def _gallery(judged: Judged) -> str:
    parts = []
    for label, name in enumerate(judged.gestures):
        count = int(np.sum(judged.labels == label))
        if not count:
            continue
        mistakes = int(np.sum((judged.labels == label) & ~judged.right))
        rows = [*judged.typical(label, TYPICAL_SHOWN), *judged.worst(label, WORST_SHOWN)]
        cards = "".join(_example(judged, row) for row in rows)
        parts.append(
            f"<div class='gesture'><h3>{escape(name)} <span class='dim'>{mistakes:,} of {count:,} taken "
            f"for another</span></h3><div class='row'>{cards}</div></div>"
        )
    return (
        f"<section><h2>Hands</h2><p class='dim'>Of each gesture up to {TYPICAL_SHOWN} right answers and "
        f"the {WORST_SHOWN} worst mistakes, with the model's answer and its confidence.</p>"
        f"{''.join(parts)}</section>"
    )


def _example(judged: Judged, row: np.int64) -> str:
    answer, confidence = judged.gestures[judged.predicted[row]], float(judged.confidence[row])
    return _card(judged.points[row], answer, f"{confidence:.3f}", wrong=not judged.right[row])


def _card(points: NDArray[np.float64], strong: str, dim: str, *, wrong: bool) -> str:
    kind = "hand wrong" if wrong else "hand"
    return f"<div class='{kind}'>{hand_svg(points, 104)}<b>{escape(strong)}</b>{escape(dim)}</div>"


def _table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{one}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"


def _change(mine: float | None, theirs: float | None, more_is_better: bool) -> str:
    if mine is None or theirs is None:
        return "-"
    change = round(100 * (mine - theirs), 2)
    kind = "" if not change else "up" if (change > 0) == more_is_better else "down"
    return f"<span class='{kind}'>{change:+.2f}</span>"
