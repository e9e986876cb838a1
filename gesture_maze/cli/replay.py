"""`maze replay`: captured frames through the worker loop again, and what changed."""

from __future__ import annotations

import gc
import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from gesture_maze.replay.compare import Comparison
    from gesture_maze.replay.golden import Difference
    from gesture_maze.replay.run import Files, ReplaySummary

Opt = typer.Option


def replay(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Captures, one after the other.")],
    redis: Annotated[
        str | None, Opt(metavar="URL", help="Onto a live pool. (default: in this process, no server)")
    ] = None,
    speed: Annotated[str, Opt(help="max, or times the original pace: 1, 10, 0.5.")] = "max",
    out: Annotated[Path | None, Opt(help="Write the answers here, JSON lines in the frames' order.")] = None,
    expect: Annotated[Path | None, Opt(help="Golden answers to compare with.")] = None,
    bless: Annotated[bool, Opt("--bless", help="Write the golden file instead of comparing.")] = False,
    report: Annotated[Path | None, Opt(help="Write the differences as HTML, with the hands drawn.")] = None,
    model: Annotated[Path | None, Opt(help="Folder or zip of a bundle. (default: the bundled one)")] = None,
    against: Annotated[Path | None, Opt(help="Another bundle: what changes from --model to it.")] = None,
    copies: Annotated[int, Opt(min=1, help="Replay each session so often, under new session ids.")] = 1,
    fresh: Annotated[bool, Opt("--fresh", help="New session ids, for a pool that knows these.")] = False,
    threshold: Annotated[float | None, Opt(help="Least confidence of an action.")] = None,
    partitions: Annotated[int, Opt(help="Partition streams, without --redis.")] = 1,
    batch_frames: Annotated[int, Opt(min=1, help="Frames per batch to aim at, without --redis.")] = 2048,
    skip_bad: Annotated[bool, Opt("--skip-bad", help="Pass over lines that break the contract.")] = False,
    as_json: AsJson = False,
) -> None:
    """Replay captures through the worker's own loop and scripts; compare the answers with golden ones.

    Without --redis it runs in this process, with no server. The answers do not depend on the speed, on batch
    sizes or the number of partitions. Exit codes: 0, 1 the answers differ from the golden ones, 2 a capture
    or setting is wrong.

    Example: [bold]maze replay session.jsonl.gz --expect session.golden.jsonl[/bold]
    """
    run(locals())


def run(flags: dict[str, Any]) -> None:
    """Do what the flags of `maze replay` say.

    Raises:
        SettingsError, ModelError: a capture, a setting or a bundle is wrong.
        typer.Exit: 1, where the answers differ from the golden ones.
    """
    from gesture_maze.replay.run import Files, copied, paced

    _check(flags)
    pace, redis, copies = _pace(flags["speed"]), flags["redis"], flags["copies"]
    source = Files(flags["files"], skip_bad=flags["skip_bad"])
    tag = _tag() if flags["fresh"] or (redis and copies > 1) else ""
    blocks = paced(copied(source.blocks(), copies, tag), pace)
    if flags["against"] is not None:
        _two_models(source, blocks, flags)
        return
    summary, differences = _answers(source, blocks, pace, flags)
    if differences is not None and (differences or flags["report"] is not None):
        _explain(differences, flags)
    _print(summary, source, differences, as_json=flags["as_json"])
    if differences:
        raise typer.Exit(1)


def _check(flags: dict[str, Any]) -> None:
    faults = []
    if flags["bless"] and flags["expect"] is None:
        faults.append("--bless needs --expect FILE, the golden file to write")
    if flags["report"] is not None and flags["expect"] is None and flags["against"] is None:
        faults.append("--report needs --expect or --against, something to compare with")
    if flags["against"] is not None and (flags["redis"] or flags["expect"] or flags["out"]):
        faults.append("--against stands alone: without --redis, --expect and --out")
    if flags["redis"] is not None and flags["model"] is not None:
        faults.append("--model is for a replay without --redis: a live pool has its own")
    if faults:
        raise SettingsError("settings", "; ".join(faults))


def _pace(speed: str) -> float | None:
    if speed == "max":
        return None
    try:
        found = float(speed)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1000:
        raise SettingsError("settings", f"--speed {speed}: 'max', or a number above 0 and up to 1000")
    return found


def _tag() -> str:
    from os import urandom

    return f"{urandom(3).hex()}-"


def _settings(flags: dict[str, Any], model: Path | None) -> Any:
    from gesture_maze.replay.engine import replay_settings

    chosen = {name: flags[name] for name in ("threshold", "partitions", "batch_frames")}
    return replay_settings(**chosen, model=None if model is None else str(model))


def _answers(
    source: Files, blocks: Any, pace: float | None, flags: dict[str, Any]
) -> tuple[ReplaySummary, list[Difference] | None]:
    """Replay; the summary, and what differs where something is compared."""
    from gesture_maze.capture.files import create
    from gesture_maze.replay.golden import Expected, read_golden

    expect, bless = flags["expect"], flags["bless"]
    expected = Expected(read_golden(expect)) if expect is not None and not bless else None
    takers: list[Any] = []
    with ExitStack() as stack:
        if expected is not None:
            takers.append(lambda answer: expected.compare(json.loads(answer)))
        for path in (flags["out"], expect if bless else None):
            if path is not None:
                file = stack.enter_context(create(path))
                takers.append(lambda answer, file=file: file.write(answer + b"\n"))
        if flags["redis"] is None:
            summary = _in_process(source, blocks, _settings(flags, flags["model"]), takers)
        else:
            summary = _live(flags["redis"], source, blocks, takers, patient=pace is None)
    return summary, None if expected is None else expected.finish()


def _in_process(source: Files, blocks: Any, settings: Any, takers: list[Any]) -> ReplaySummary:
    from gesture_maze.replay.engine import Replay
    from gesture_maze.replay.run import run as replayed

    with Replay(settings) as worker:
        gc.freeze()  # what is there now stays: it need not be looked at again with every thousand frames
        try:
            return replayed(worker, source, blocks, takers)
        finally:
            gc.unfreeze()


def _live(redis: str, source: Files, blocks: Any, takers: list[Any], *, patient: bool) -> ReplaySummary:
    from gesture_maze.replay.live import run_live

    summary, answers, refused = run_live(redis, blocks, source, patient=patient, keep=True)
    for answer in answers:
        for take in takers:
            take(answer)
    if refused:
        print_line(f"{refused:,} frames were dropped: the pool was too far behind")
    return summary


def _explain(differences: list[Difference], flags: dict[str, Any]) -> None:
    from gesture_maze.replay.report import IN_REPORT, SHOWN, described, write_html
    from gesture_maze.replay.run import landmarks_of

    files, report = flags["files"], flags["report"]
    wanted = {one.key for one in differences[: IN_REPORT if report is not None else SHOWN]}
    hands = landmarks_of(files, wanted, skip_bad=flags["skip_bad"])
    if differences and not flags["as_json"]:
        for line in described(differences, hands):
            print_line(line)
    if report is not None:
        write_html(report, ", ".join(path.name for path in files), differences, hands)


def _print(
    summary: ReplaySummary, source: Files, differences: list[Difference] | None, *, as_json: bool
) -> None:
    if as_json:
        facts = asdict(summary)
        facts["differences"] = None if differences is None else len(differences)
        facts["bad"] = source.faults
        print_json(facts)
        return
    for fault in source.faults:
        print_line(f"passed over: {fault}")
    print_line(
        f"{summary.frames:,} frames of {summary.sessions:,} sessions in {summary.seconds:.2f} s "
        f"({summary.frames_per_s:,.0f}/s), model {summary.model}"
    )
    for name in ("outcomes", "gestures", "actions", "moves", "rejected"):
        counts = ", ".join(f"{key} {count:,}" for key, count in getattr(summary, name).items() if count)
        print_line(f"{name:9} {counts or 'none'}")
    if summary.bad_lines:
        print_line(f"bad lines {summary.bad_lines:,} passed over")
    if differences is not None and not differences:
        print_line("as expected")


def _two_models(source: Files, blocks: Any, flags: dict[str, Any]) -> None:
    from gesture_maze.replay.compare import compare
    from gesture_maze.replay.engine import Replay
    from gesture_maze.replay.report import IN_REPORT, write_html
    from gesture_maze.replay.run import landmarks_of

    before, after = _settings(flags, flags["model"]), _settings(flags, flags["against"])
    with Replay(before) as one, Replay(after) as other:
        found = compare(one, other, blocks)
    if flags["report"] is not None:
        wanted = {one.key for one in found.differences[:IN_REPORT]}
        hands = landmarks_of(flags["files"], wanted, skip_bad=flags["skip_bad"])
        names = found.before, found.after
        write_html(flags["report"], " against ".join(names), found.differences, hands, *names)
    if flags["as_json"]:
        print_json({**found.as_dict(), "sessions": len(source.sessions), "bad_lines": source.skipped})
    else:
        _show_comparison(found)


def _show_comparison(found: Comparison) -> None:
    print_line(f"{found.frames:,} frames under {found.before} and under {found.after}")
    print_line(f"gestures flipped on {sum(found.flips.values()):,} frames")
    for (one, other), count in found.flips.most_common(20):
        print_line(f"  {one or 'no hand'} -> {other or 'no hand'}  {count:,}")
    changed = sum(found.moves.values())
    print_line(f"moves {found.moves_before:,} and {found.moves_after:,}; changed on {changed:,} frames")
    for session, count in found.moves.most_common(20):
        print_line(f"  session {session}  {count:,}")
    for minute in sorted(found.minutes):
        print_line(f"  minute {minute}  {found.minutes[minute]:,}")
