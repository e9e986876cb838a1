"""`maze replay`: run captured frames through the worker loop again, and compare the answers."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.declared import faults_by_flag, run_flags, settings_in
from gesture_maze.cli.flags import flags_from
from gesture_maze.cli.options import AsJson
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.printable import amount
from gesture_maze.worker.settings import Settings

if TYPE_CHECKING:
    from gesture_maze.replay.compare import Comparison
    from gesture_maze.replay.golden import Difference
    from gesture_maze.replay.renaming import Renaming
    from gesture_maze.replay.run import Files, ReplaySummary

Opt: Final = partial(typer.Option, allow_from_autoenv=False)
"""Flags of one run: none is read from the environment, so that MAZE_REDIS never makes a replay live."""

DECIDING: Final = ("threshold", "actions", "policy")
"""The same names as in `capture.pool`, copied because the help must not import numpy."""
PARTITIONS: Final = 1
BATCH_FRAMES: Final = 2048


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one `maze replay`."""

    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Captures, one after the other.")]
    redis: Annotated[
        str | None,
        Opt(metavar="URL", help="Send the frames to a live pool. Only read from the command line."),
    ] = None
    speed: Annotated[str, Opt(help="'max', or times the original pace: 1, 10, 0.5.")] = "max"
    out: Annotated[Path | None, Opt(help="Write the answers as JSON lines, in the frames' order.")] = None
    expect: Annotated[Path | None, Opt(help="File of golden answers to compare with.")] = None
    tolerance_ms: Annotated[
        float, Opt(min=0, max=60_000, help="With --expect: how much earlier or later a move may come.")
    ] = 0.0
    bless: Annotated[bool, Opt("--bless", help="Write the golden file instead of comparing.")] = False
    allow_unanswered: Annotated[
        bool, Opt("--allow-unanswered", help="Bless although not every frame was answered.")
    ] = False
    expect_recorded: Annotated[
        bool, Opt("--expect-recorded", help="Exit code 1 if answers differ from the recorded replies.")
    ] = False
    report: Annotated[Path | None, Opt(help="HTML page to write: the differences, with their hands.")] = None
    model: Annotated[
        Path | None, Opt(help="Folder or zip of a model bundle, or 'bundled'. (default: bundled)")
    ] = None
    against: Annotated[
        Path | None, Opt(help="Another bundle, or 'bundled': compare its answers with those of --model.")
    ] = None
    copies: Annotated[int, Opt(min=1, help="Replay each session this many times, under new session ids.")] = 1
    fresh: Annotated[bool, Opt("--fresh", help="New session ids; with --redis they always are.")] = False
    keep_sessions: Annotated[
        bool, Opt("--keep-sessions", help="With --redis: the capture's session ids.")
    ] = False
    partitions: Annotated[
        int | None, Opt(help=f"Partition streams, without --redis. (default: {PARTITIONS})")
    ] = None
    batch_frames: Annotated[
        int | None, Opt(min=1, help=f"Frames per batch, without --redis. (default: {BATCH_FRAMES})")
    ] = None
    skip_bad: Annotated[bool, Opt("--skip-bad", help="Skip invalid lines.")] = False
    as_json: AsJson = False
    deciding: Mapping[str, Any] = field(default_factory=dict)
    """Threshold, actions and policy; what is not given is that of the recorded pool."""

    @property
    def pace(self) -> float | None:
        """Return the factor of `--speed`; None is as fast as possible."""
        if self.speed == "max":
            return None
        try:
            found = float(self.speed)
        except ValueError:
            found = 0.0
        if not 0 < found <= 1000:
            message = f"--speed must be 'max' or a number above 0 and up to 1000, got {self.speed}"
            raise SettingsError("settings", message)
        return found

    def check(self) -> None:
        """Refuse flags that contradict each other.

        Raises:
            SettingsError: `settings`, naming all contradictions.
        """
        here = (self.model, self.deciding or None, self.partitions, self.batch_frames)
        rules = (
            (self.bless and self.expect is None, "--bless needs --expect FILE, the golden file to write"),
            (
                self.report is not None and self.expect is None and self.against is None,
                "--report needs --expect or --against, something to compare with",
            ),
            (
                self.tolerance_ms > 0 and (self.expect is None or self.bless),
                "--tolerance-ms is for a comparison: give --expect without --bless",
            ),
            (
                self.against is not None and any((self.redis, self.expect, self.out, self.expect_recorded)),
                "--against cannot be combined with --redis, --expect, --expect-recorded or --out",
            ),
            (
                self.redis is not None and any(one is not None for one in here),
                "--model, --threshold, --actions, the decision policy, --partitions and --batch-frames are "
                "for a replay without --redis: a live pool has its own",
            ),
            (
                self.keep_sessions and self.redis is None,
                "--keep-sessions is for a replay with --redis",
            ),
        )
        faults = [sentence for wrong, sentence in rules if wrong]
        if self.fresh and self.keep_sessions:
            faults.append("--fresh contradicts --keep-sessions")
        if faults:
            raise SettingsError("settings", "; ".join(faults))


@flags_from(Flags, deciding=run_flags(Settings, DECIDING, "Decisions (default: as the recorded pool)"))
def replay(flags: Flags) -> None:
    """Replay captures through the worker's own loop and scripts; compare the answers with golden ones.

    Without --redis on the command line it runs in this process and touches no server, whatever the
    environment says. The answers do not depend on the speed, on batch sizes or the number of partitions.
    With --redis the frames go to a live pool, under new session ids. Exit codes: 0 done, 1 the answers
    differ from the golden ones, 2 a capture or setting is wrong.

    Threshold, actions and decision policy are those of the recorded pool, which a capture names; those of a
    capture that names none are the defaults of maze worker. The model is the bundled one.

    Example: [bold]maze replay session.jsonl.gz --expect session.golden.jsonl[/bold]
    """
    flags.check()
    run(flags)


def run(flags: Flags) -> None:
    """Run `maze replay` with these flags.

    Raises:
        SettingsError, ModelError: a capture, a setting or a bundle is wrong.
        typer.Exit: 1, if the answers differ from the golden ones.
    """
    from gesture_maze.replay.renaming import Renaming
    from gesture_maze.replay.run import Files, paced

    pace = flags.pace
    source = Files(flags.files, skip_bad=flags.skip_bad)
    renew = flags.fresh or (flags.redis is not None and not flags.keep_sessions)
    renaming = Renaming.fresh(flags.copies) if renew else Renaming(flags.copies)
    blocks = paced(source.blocks(), pace)
    if flags.against is not None:
        _two_models(source, renaming.blocks(blocks), flags)
        return
    summary, differences = _answers(source, blocks, renaming, flags)
    if differences is not None and (differences or flags.report is not None):
        _explain(differences, flags)
    _print(summary, source, differences, as_json=flags.as_json)
    recorded = summary.recorded
    if differences or (flags.expect_recorded and recorded.different):
        raise typer.Exit(1)


def _settings(flags: Flags, model: Path | None) -> Any:
    from gesture_maze.replay.recorded import settings_of

    with faults_by_flag(settings_in(Settings)):
        return settings_of(
            flags.files,
            **flags.deciding,
            partitions=flags.partitions or PARTITIONS,
            batch_frames=flags.batch_frames or BATCH_FRAMES,
            model=None if model is None else str(model),
        )


def _answers(
    source: Files, blocks: Any, renaming: Renaming, flags: Flags
) -> tuple[ReplaySummary, list[Difference] | None]:
    """Replay, and return the summary and the differences; None if nothing is compared."""
    from gesture_maze.capture.files import create
    from gesture_maze.replay.golden import Before, Expected, golden_file, read_golden, require_answered

    expect, bless = flags.expect, flags.bless
    expected = None
    if expect is not None and not bless:
        expected = Expected(read_golden(expect), flags.tolerance_ms)
    takers: list[Any] = []
    with ExitStack() as stack:
        if expected is not None:
            takers.append(lambda answer: expected.compare(json.loads(answer)))
        before = Before(expect) if bless and expect is not None else None
        if before is not None:
            takers.append(before.take)
        if flags.out is not None:
            out = stack.enter_context(create(flags.out))
            takers.append(lambda answer: out.write(answer + b"\n"))
        if bless and expect is not None:
            takers.append(stack.enter_context(golden_file(expect)).write)
        if flags.redis is None:
            summary = _in_process(source, renaming.blocks(blocks), _settings(flags, flags.model), takers)
            _warn_of_model(flags, summary)
        else:
            summary = _live(flags.redis, source, blocks, renaming, takers, patient=flags.pace is None)
        if flags.expect_recorded and not summary.recorded:
            message = "the capture has no replies to expect: record it with maze capture --with-replies"
            raise SettingsError("capture", message)
        if bless and expect is not None and not flags.allow_unanswered:
            require_answered(expect, summary.frames, {**summary.outcomes, "answered": summary.answered})
    if before is not None:
        summary.blessed = before.sentence()
    return summary, None if expected is None else expected.finish()


def _in_process(source: Files, blocks: Any, settings: Any, takers: list[Any]) -> ReplaySummary:
    from gesture_maze.replay.engine import Replay
    from gesture_maze.replay.run import run as replayed

    with Replay(settings) as worker:
        gc.freeze()  # existing objects stay, so that later collections need not scan them
        try:
            return replayed(worker, source, blocks, takers)
        finally:
            gc.unfreeze()


def _live(
    redis: str, source: Files, blocks: Any, renaming: Renaming, takers: list[Any], *, patient: bool
) -> ReplaySummary:
    from gesture_maze.replay.live import run_live

    found = run_live(redis, blocks, source, renaming, patient=patient)
    for answer in found.answers:
        for take in takers:
            take(answer)
    if found.refused:
        _warn(f"{amount(found.refused, 'frame')} dropped: the pool was too far behind")
    if found.foreign:
        _warn(
            f"{amount(found.foreign, 'reply', 'replies')} to frames of other producers: "
            "these sessions are in use"
        )
    return found.summary


def _warn_of_model(flags: Flags, summary: ReplaySummary) -> None:
    from gesture_maze.replay.recorded import other_model

    recorded = None if flags.model else other_model(flags.files, summary.model)
    if recorded is not None:
        _warn(f"recorded with model {recorded}, replayed with {summary.model}: choose with --model")


def _warn(sentence: str) -> None:
    typer.echo(f"warning: {sentence}", err=True)


def _explain(differences: list[Difference], flags: Flags) -> None:
    from gesture_maze.replay.report import IN_REPORT, SHOWN, described, write_html
    from gesture_maze.replay.run import landmarks_of

    report = flags.report
    wanted = {one.key for one in differences[: IN_REPORT if report is not None else SHOWN]}
    hands = landmarks_of(flags.files, wanted, skip_bad=flags.skip_bad)
    if differences and not flags.as_json:
        for line in described(differences, hands):
            print_line(line)
    if report is not None:
        write_html(report, ", ".join(path.name for path in flags.files), differences, hands)


def _print(
    summary: ReplaySummary, source: Files, differences: list[Difference] | None, *, as_json: bool
) -> None:
    if as_json:
        facts = asdict(summary) | {"recorded": summary.recorded.as_dict() if summary.recorded else None}
        facts["differences"] = None if differences is None else len(differences)
        facts["bad"] = source.faults
        print_json(facts)
        return
    for fault in source.faults:
        print_line(f"skipped: {fault}")
    print_line(
        f"{amount(summary.frames, 'frame')} of {amount(summary.sessions, 'session')} "
        f"in {summary.seconds:.2f} s "
        f"({summary.frames_per_s:,.0f}/s), model {summary.model}"
    )
    if summary.settings:
        print_line(f"settings  {'; '.join(f'{name} {_text(it)}' for name, it in summary.settings.items())}")
    for name in ("outcomes", "gestures", "actions", "moves", "rejected"):
        counts = ", ".join(f"{key} {count:,}" for key, count in getattr(summary, name).items() if count)
        print_line(f"{name:9} {counts or 'none'}")
    if summary.bad_lines:
        print_line(f"bad lines {summary.bad_lines:,} skipped")
    if differences is not None and not differences:
        print_line("as expected")
    if summary.blessed:
        print_line(summary.blessed)
    if summary.recorded:
        print_line(f"recorded  {summary.recorded.sentence()}")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={one}" for name, one in value.items())
    return str(value)


def _two_models(source: Files, blocks: Any, flags: Flags) -> None:
    from gesture_maze.replay.compare import compare
    from gesture_maze.replay.engine import Replay
    from gesture_maze.replay.report import IN_REPORT, write_html
    from gesture_maze.replay.run import landmarks_of

    before, after = _settings(flags, flags.model), _settings(flags, flags.against)
    with Replay(before) as one, Replay(after) as other:
        found = compare(one, other, blocks)
    if flags.report is not None:
        wanted = {one.key for one in found.differences[:IN_REPORT]}
        hands = landmarks_of(flags.files, wanted, skip_bad=flags.skip_bad)
        names = found.before, found.after
        write_html(flags.report, " against ".join(names), found.differences, hands, *names)
    if flags.as_json:
        print_json({**found.as_dict(), "sessions": len(source.sessions), "bad_lines": source.skipped})
    else:
        _show_comparison(found)


def _show_comparison(found: Comparison) -> None:
    print_line(f"{amount(found.frames, 'frame')} under {found.before} and under {found.after}")
    print_line(f"gestures flipped on {amount(sum(found.flips.values()), 'frame')}")
    for (one, other), count in found.flips.most_common(20):
        print_line(f"  {one or 'no hand'} -> {other or 'no hand'}  {count:,}")
    changed = sum(found.moves.values())
    print_line(
        f"moves {found.moves_before:,} and {found.moves_after:,}; changed on {amount(changed, 'frame')}"
    )
    for session, count in found.moves.most_common(20):
        print_line(f"  session {session}  {count:,}")
    for minute in sorted(found.minutes):
        print_line(f"  minute {minute}  {found.minutes[minute]:,}")
