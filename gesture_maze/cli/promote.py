"""`maze promote`: a model becomes the champion, or the challenger, of a running pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import DEFAULT_REDIS, AsJson, OptionalTrackingUri, RedisUrl
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.cli.progress import progress
from gesture_maze.cli.reading import Aspect, Labels, Layout

if TYPE_CHECKING:
    from gesture_maze.lifecycle.promotion import Passed

Opt = typer.Option
MaxFall = Annotated[
    float, Opt(help="Largest accepted fall of the accuracy of a taught model's base in its training.")
]


def promote(
    model: Annotated[
        str, typer.Argument(metavar="VERSION|FOLDER", help="A bundle, 'bundled', or a version in Redis.")
    ],
    redis: RedisUrl = DEFAULT_REDIS,
    data: Annotated[Path | None, Opt(help="Labelled hands to compare it with the champion on.")] = None,
    layout: Layout = None,
    aspect: Aspect = None,
    labels: Labels = None,
    max_drop: Annotated[float, Opt(help="Largest accepted drop of accuracy and action precision.")] = 0.002,
    max_us_per_frame: Annotated[float, Opt(help="Longest accepted time per frame, in batches of 256.")] = 5.0,
    max_fall: MaxFall = 0.003,
    shadow: Annotated[
        bool, Opt("--shadow", help="As challenger: beside the champion; its answers are not published.")
    ] = False,
    share: Annotated[float, Opt(min=0.0, max=1.0, help="Share of the frames that a challenger sees.")] = 0.1,
    keep: Annotated[int, Opt(min=1, help="Bundles kept in Redis.")] = 5,
    tracking_uri: OptionalTrackingUri = None,
    force: Annotated[bool, Opt("--force", help="Promote although a check fails.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a model and make every worker of the pool use it, without a pause and without losing a frame.

    It must be whole, give its golden outputs here, be fast enough and, with --data, not be worse than the
    champion. Workers check it again for themselves and refuse a broken one, even if it was forced.
    'maze rollback' goes back. Exit codes: 0 promoted, 2 refused.

    Example: [bold]maze promote my-bundle --data landmarks.csv.gz[/bold]
    """
    from gesture_maze.lifecycle import tracked
    from gesture_maze.lifecycle.promotion import Gates, challenge, check, find, forced, sources
    from gesture_maze.lifecycle.promotion import promote as appoint
    from gesture_maze.models.dataset import Reading
    from gesture_maze.worker.redis.attach import attached

    gates = Gates(data, max_drop, max_us_per_frame, Reading(layout, aspect, labels), max_fall)
    with attached(redis) as client:
        found = find(model, [*sources(client), *tracked.source(tracking_uri)])
        with progress("Checking"):
            passed = (forced if force else check)(found, client, gates)
        if shadow:
            challenge(client, passed, share, keep)
        else:
            appoint(client, passed, keep)
    tracked.appoint(tracking_uri, passed.version, "challenger" if shadow else "champion")
    _report(passed, share if shadow else None, as_json)


def as_dict(passed: Passed, share: float | None) -> dict[str, Any]:
    """Return what `--json` prints, with `share` for a challenger."""
    return {
        "model": passed.version,
        "role": "champion" if share is None else "challenger",
        "share": share,
        "us_per_frame": passed.us_per_frame,
        "accuracy": passed.accuracy,
        "champion_accuracy": passed.champion_accuracy,
        "forced_over": passed.fault and passed.fault.reason,
    }


def _report(passed: Passed, share: float | None, as_json: bool) -> None:
    if as_json:
        print_json(as_dict(passed, share))
        return
    role = "champion" if share is None else f"challenger of {100 * share:g} % of the frames"
    print_line(f"{passed.version} is the {role} now.")
    if passed.us_per_frame is not None:
        print_line(f"{passed.us_per_frame:.2f} µs per frame in batches of 256")
    if passed.accuracy is not None:
        print_line(f"accuracy {passed.accuracy:.4f}, the champion's was {passed.champion_accuracy:.4f}")
    if passed.fault is not None:
        print_line(f"forced, although: {passed.fault}")
