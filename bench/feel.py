"""How a game feels: the time from a gesture to its move, and the number of wrong moves.

`python bench/feel.py CAPTURE... [--skip SESSION] [--model BUNDLE] [--picture OUT.svg] [--json OUT.json]`

Compares the decision policy with the previous one (`policy_before.py`), on the hands of the captures and on
simulated players, at 30, 15, 7.5 and 5 frames/s. A capture is used if its frames have a `label`, the gesture
that the person was asked to show. Each clip must have one label. The model classifies all hands once; after
that only the policy runs.

| figure | what |
|---|---|
| start | a clip, or a player's change of gesture, whose gesture stands for an action |
| onset | first of three consecutive frames (at 30 frames/s) that the model reads as that gesture |
| time | from the onset to the first move of that action; `never`: none while the gesture was asked for |
| wrong | changes with a move that neither the gesture before nor the one after stands for |
| false | directions a minute while only gestures without an action are shown |
| broken | stops a minute while one gesture is asked for, after it has settled |
| two people | times a minute that the direction changes while the camera sees two people by turns |
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import policy_before
from feel_hands import Source, Start, Track, recorded, simulated, spliced, starts_of, two_people

from gesture_maze.wire.replies import MOVES
from gesture_maze.worker import policy
from gesture_maze.worker.assembly import load_classifier
from gesture_maze.worker.rules import Rules

STEPS = {30: 1, 15: 2, 7.5: 4, 5: 6}
"""Frames per second -> step between the frames used of a recording at 30 frames/s."""
STOP = MOVES.index("stop")
LATE_MS = 500
"""Time after a change during which the action of the previous gesture does not count as wrong."""
DEFAULTS = {"before": 120, "evidence": 1000}
"""The default bound of each policy."""
EVIDENCE = (500, 700, 850, 1000, 1200, 1400, 1700, 2000)
SETTLE_MS = (0, 30, 60, 90, 120, 160, 200, 250)

Moves = list[tuple[int, int]]
"""Time of each move in ms, and its code."""
Play = Callable[[Track], Moves]


def by_evidence(bound: int = 1000, *, follow: bool = False) -> Play:
    """Return the current policy, which knows where the hands are if `follow`."""
    rules = policy.Policy(Rules(settle_evidence=bound))

    def play(track: Track) -> Moves:
        decide = policy.Hold().decide
        sizes = track.sizes if follow else [0.0] * len(track.ms)
        frames = zip(track.ms, track.actions, track.confidences, track.places, sizes, strict=True)
        return [(frame[0], move) for frame in frames if (move := decide(rules, *frame))]

    return play


def by_time(settle_ms: int = DEFAULTS["before"]) -> Play:
    """Return the previous policy."""
    rules = policy_before.Policy(policy_before.Rules(settle_ms=settle_ms))

    def play(track: Track) -> Moves:
        decide = policy_before.Hold().decide
        frames = zip(track.ms, track.actions, track.confidences, strict=True)
        return [(frame[0], move) for frame in frames if (move := decide(rules, *frame))]

    return play


def during(start: Start, moves: Moves) -> Moves:
    """Return the moves that were made while a gesture was asked for."""
    return [(ms, move) for ms, move in moves if start.begin_ms <= ms <= start.end_ms]


def judge_starts(tracks: Sequence[Track], play: Play, step: int) -> dict[str, float]:
    """Measure the time to move and the stops while held, from each phase of a slower camera."""
    times: list[int] = []
    starts = stops = held_ms = 0
    for track, phase in ((track, phase) for track in tracks for phase in range(step)):
        moves = play(track.every(step, phase))
        for start in starts_of(track):
            starts += 1
            made = during(start, moves)
            first_ms = next((ms for ms, move in made if move == start.action), None)
            if first_ms is not None:
                times.append(max(first_ms - start.onset_ms, 0))
                held_ms += start.end_ms - first_ms
                stops += sum(move == STOP and ms > first_ms for ms, move in made)
    return {
        "starts": starts,
        "median_ms": float(np.median(times)),
        "mean_ms": float(np.mean(times)),
        "p95_ms": float(np.quantile(times, 0.95)),
        "never_percent": 100 * (1 - len(times) / starts),
        "broken_per_minute": stops / held_ms * 60_000,
    }


def judge(source: Source, play: Play, step: int) -> dict[str, float]:
    """Measure one policy at one frame rate."""
    changes = wrong = false = 0
    minutes = 0.0
    for track in source.changes:
        moves = play(track.every(step, 0))
        for start in starts_of(track):
            if start.begin_ms == track.ms[0]:
                continue
            changes += 1
            wrong += any(
                move not in (STOP, start.action) and (move != start.before or ms > start.begin_ms + LATE_MS)
                for ms, move in during(start, moves)
            )
    for track in source.negatives:
        minutes += (track.ms[-1] - track.ms[0]) / 60_000
        false += sum(move != STOP for _, move in play(track.every(step, 0)))
    return judge_starts(source.starts, play, step) | {
        "changes": changes,
        "wrong_per_1000": 1000 * wrong / changes,
        "minutes": minutes,
        "false_per_minute": false / minutes if minutes else 0.0,
    }


def judge_two_people(tracks: Sequence[Track], play: Play) -> float:
    """Return the changes of direction per minute."""
    changes = sum(len(list(groupby(move for _, move in play(track) if move != STOP))) - 1 for track in tracks)
    return changes / sum((track.ms[-1] - track.ms[0]) / 60_000 for track in tracks)


def compare(sources: dict[str, Source]) -> dict[str, Any]:
    """Measure both policies: a table of their defaults, and curves over their bounds."""
    policies = {"before": by_time(), "evidence": by_evidence()}
    table = [
        {"hands": hands, "fps": fps, "policy": name, **judge(source, play, step)}
        for hands, source in sources.items()
        for fps, step in STEPS.items()
        for name, play in policies.items()
    ]
    curves = [
        {"hands": hands, "fps": fps, "policy": name, "bound": bound, **judge(source, make(bound), step)}
        for hands, source in sources.items()
        for fps, step in STEPS.items()
        for name, make, bounds in (("before", by_time, SETTLE_MS), ("evidence", by_evidence, EVIDENCE))
        for bound in bounds
    ]
    return {"table": table, "curves": curves}


def alternating(tracks: Sequence[Track]) -> dict[str, float]:
    """Return the changes of direction per minute with two people, by policy."""
    policies = {
        "before": by_time(),
        "evidence": by_evidence(),
        "evidence, one hand": by_evidence(follow=True),
    }
    return {name: judge_two_people(tracks, play) for name, play in policies.items()}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table as Markdown."""
    print(
        "| hands | frames/s | policy | starts | median | mean | p95 | never | changes | wrong per 1,000 "
        "| minutes | false a minute | broken a minute |"
    )
    print("|---" * 13 + "|")
    for row in rows:
        print(
            f"| {row['hands']} | {row['fps']} | {row['policy']} | {row['starts']:,} "
            f"| {row['median_ms']:.0f} | {row['mean_ms']:.0f} | {row['p95_ms']:.0f} "
            f"| {row['never_percent']:.1f} % | {row['changes']:,} | {row['wrong_per_1000']:.1f} "
            f"| {row['minutes']:.0f} | {row['false_per_minute']:.2f} | {row['broken_per_minute']:.1f} |"
        )


def draw(curves: Sequence[dict[str, Any]], out: Path) -> None:
    """Draw one row per kind of hands: time over the bound, then errors over the time."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(point["hands"] for point in curves))
    figure = Figure(figsize=(13, 4 * len(kinds)), layout="constrained")
    for row, hands in enumerate(kinds):
        own = [point for point in curves if point["hands"] == hands]
        times, wrong, false = (figure.add_subplot(len(kinds), 3, 3 * row + column) for column in (1, 2, 3))
        _draw_times(times, own)
        times.set_title(f"{hands} hands")
        for axes, figure_name in ((wrong, "wrong_per_1000"), (false, "false_per_minute")):
            _draw_errors(axes, [point for point in own if point["fps"] == max(STEPS)], figure_name)
            axes.set_title(f"{hands} hands, {max(STEPS)} frames/s")
        wrong.set_ylabel("wrong per 1,000 changes")
        false.set_ylabel("false moves a minute")
    figure.savefig(out, dpi=110)


def _draw_times(axes: Any, points: Sequence[dict[str, Any]]) -> None:
    for number, fps in enumerate(STEPS):
        colour = f"C{number}"
        curve = [point for point in points if point["fps"] == fps and point["policy"] == "evidence"]
        bounds = [point["bound"] for point in curve]
        axes.plot(bounds, [point["mean_ms"] for point in curve], "o-", color=colour, label=f"{fps} frames/s")
        (default,) = (
            point
            for point in points
            if (point["fps"], point["policy"], point["bound"]) == (fps, "before", DEFAULTS["before"])
        )
        axes.axhline(default["mean_ms"], color=colour, linestyle="--", linewidth=1)
    axes.set(xlabel="settle_evidence (dashed: the policy before)", ylabel="mean time from onset to move, ms")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _draw_errors(axes: Any, points: Sequence[dict[str, Any]], name: str) -> None:
    for policy_name, colour, below in (("before", "tab:gray", -12), ("evidence", "tab:blue", 6)):
        curve = [point for point in points if point["policy"] == policy_name]
        label = f"{policy_name} ({'settle_ms' if policy_name == 'before' else 'settle_evidence'})"
        axes.plot([p["mean_ms"] for p in curve], [p[name] for p in curve], "o-", color=colour, label=label)
        bounds = [point["bound"] for point in curve]
        for point in curve:
            if point["bound"] not in (bounds[0], DEFAULTS[policy_name], bounds[-1]):
                continue  # more names than these would cover each other
            at = (point["mean_ms"], point[name])
            axes.annotate(
                point["bound"], at, (0, below), textcoords="offset points", fontsize=7, color=colour,
                rotation=45,
            )  # fmt: skip
    axes.set_xlabel("mean time from onset to move, ms")
    axes.margins(y=0.15)
    axes.legend(fontsize=8)


def main() -> None:
    """Measure, print and draw."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("captures", type=Path, nargs="*", help="captures whose frames have a label")
    options.add_argument(
        "--skip", action="append", default=[], help="a session whose label is not what it shows"
    )
    options.add_argument("--model", help="folder or zip of a model bundle; default: the bundled one")
    options.add_argument("--picture", type=Path, help="where to draw the curves, .png or .svg")
    options.add_argument("--json", type=Path, help="where to write all figures")
    chosen = options.parse_args()
    classifier = load_classifier(chosen.model)
    sources = {}
    if chosen.captures:
        sources["recorded"] = spliced(recorded(chosen.captures, set(chosen.skip), classifier))
    sources["simulated"] = simulated(classifier)
    report = {
        "model": classifier.version,
        **compare(sources),
        "two_people": alternating(two_people(classifier)),
    }
    print(f"Model {classifier.version}. Times in ms from the onset to the move.\n")
    print_table(report["table"])
    print("\nTwo people, changes of direction a minute:")
    for name, changes in report["two_people"].items():
        print(f"- {name}: {changes:.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if chosen.picture:
        draw(report["curves"], chosen.picture)


if __name__ == "__main__":
    main()
