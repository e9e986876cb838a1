"""`maze capture`: record a live system; show, draw, convert, cut, join and change captures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import CONTEXT, DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.cli.reading import Aspect, Labels, Layout, show_found
from gesture_maze.wire.errors import SettingsError
from gesture_maze.wire.printable import amount

if TYPE_CHECKING:
    from gesture_maze.capture.recorder import Progress

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    context_settings=CONTEXT,
    help="""Record a live system without disturbing it; show, plot, convert, trim, join and mutate captures.

Example: [bold]maze capture --redis redis://127.0.0.1:6379/0 --out session.jsonl.gz --seconds 60[/bold]""",
)

Opt = typer.Option
Capture = Annotated[Path, typer.Argument(metavar="FILE", help="A capture; .gz and .zst are unpacked.")]
Out = Annotated[Path, Opt(help="Capture to write; compressed if it ends with .gz or .zst.")]
SkipBad = Annotated[bool, Opt("--skip-bad", help="Skip invalid lines.")]
Model = Annotated[Path | None, Opt(help="Folder or zip of a model bundle, or 'bundled'. (default: bundled)")]


@app.callback()
def capture(
    ctx: typer.Context,
    redis: RedisUrl = DEFAULT_REDIS,
    out: Annotated[Path | None, Opt(help="File to write; compressed if it ends with .gz or .zst.")] = None,
    sessions: Annotated[str | None, Opt(help="Only sessions that match this pattern: 'team-a-*'.")] = None,
    seconds: Annotated[float | None, Opt(min=0.1, help="Duration in s. (default: until Ctrl-C)")] = None,
    with_replies: Annotated[bool, Opt("--with-replies", help="Keep each frame's reply with it.")] = False,
    anonymise: Annotated[bool, Opt("--anonymise", help="Rename sessions to player-1, player-2, ...")] = False,
    as_json: AsJson = False,
) -> None:
    """Record, unless a command of the group is given."""
    if ctx.invoked_subcommand is not None:
        return
    if out is None:
        raise SettingsError("settings", "--out FILE is needed: the capture to write")
    from gesture_maze.capture.recorder import Names, Recorder
    from gesture_maze.capture.stream import CaptureStream
    from gesture_maze.capture.writer import CaptureWriter
    from gesture_maze.load.stopping import stop_signals

    stream, names = CaptureStream(redis), Names(sessions, anonymise=anonymise)
    with stop_signals() as stop, CaptureWriter(out) as writer:
        recorder = Recorder(stream, writer, names, with_replies=with_replies)
        try:
            progress = recorder.run(stop, seconds, _show_progress)
        finally:
            stream.close()
    _report(progress, out, as_json=as_json)
    if not progress.frames:
        why = f"none of {names.seen} sessions matches {sessions!r}" if names.seen else "no frame arrived"
        typer.echo(f"maze: nothing was recorded: {why}", err=True)


def _show_progress(progress: Progress) -> None:
    end = " \r" if sys.stderr.isatty() else "\n"  # the blank covers the end of a longer line
    size = progress.bytes_written
    shown = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
    sys.stderr.write(
        f"{amount(progress.frames, 'frame')}, {amount(progress.sessions, 'session')}, "
        f"{shown}, {progress.seconds:.0f} s{end}"
    )
    sys.stderr.flush()


def _report(progress: Progress, out: Path, *, as_json: bool) -> None:
    facts = {
        "out": str(out),
        "frames": progress.frames,
        "sessions": progress.sessions,
        "bytes": out.stat().st_size,
        "bad_entries": progress.bad_entries,
        "reconnects": progress.reconnects,
        "seconds": round(progress.seconds, 2),
    }
    if as_json:
        print_json(facts)
        return
    print_line(
        f"{out}: {amount(progress.frames, 'frame')} of {amount(progress.sessions, 'session')}, "
        f"{facts['bytes']:,} bytes"
    )
    if progress.bad_entries:
        print_line(f"not recorded because invalid: {amount(progress.bad_entries, 'frame')}")
    if progress.reconnects:
        print_line(f"the connection to Redis was lost {amount(progress.reconnects, 'time')}")


@app.command(context_settings=CONTEXT)
def show(
    file: Capture,
    model: Model = None,
    limit: Annotated[int, Opt(min=1, help="Show this many sessions at most.")] = 40,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Show each session's frames, gaps, gestures and moves, and a timeline.

    In a timeline U, D, L and R are moves, s is a stop, . frames without a move, blank no frames.

    Example: [bold]maze capture show session.jsonl.gz[/bold]
    """
    from gesture_maze.replay.summary import show as show_view
    from gesture_maze.replay.summary import view

    found = view(file, model=_text(model), skip_bad=skip_bad)
    if as_json:
        print_json(found.as_dict())
    else:
        show_view(found, limit)


@app.command(context_settings=CONTEXT)
def plot(
    file: Capture,
    out: Annotated[Path, Opt(help="Picture to write: .png, .svg or .pdf.")],
    session: Annotated[str | None, Opt(help="Session to plot. (default: the only one)")] = None,
    model: Model = None,
    skip_bad: SkipBad = False,
) -> None:
    """Draw confidence and moves of one session over time, and the hand at the moves.

    Example: [bold]maze capture plot session.jsonl.gz --session player-1 --out player-1.png[/bold]
    """
    from gesture_maze.replay.plot import frames_of
    from gesture_maze.replay.plot import plot as draw

    name, frames = frames_of(file, session, model=_text(model), skip_bad=skip_bad)
    draw(frames, f"{file.name}: {name}", out)
    print_line(f"{out}: {amount(len(frames), 'frame')} of {name}")


@app.command(context_settings=CONTEXT)
def convert(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Folders, landmark files or stream dumps.")
    ],
    out: Out,
    fps: Annotated[float, Opt(min=0.1, max=1000, help="Frame rate of files without times.")] = 30.0,
    aspect: Aspect = None,
    layout: Layout = None,
    labels: Labels = None,
    as_json: AsJson = False,
) -> None:
    """Make a capture from landmark files in any layout, or from dumps of the streams.

    The layout is found by the header or the keys: CSV, JSON and parquet with one hand, two hands or one
    landmark per row, MediaPipe results, HaGRID annotations. Each file is one session, or several if it holds
    several recordings or hands. A dump is what redis-cli --no-raw XRANGE 'frames:{3}' - + prints.

    Example: [bold]maze capture convert recordings/ --out recordings.jsonl.gz --aspect 640x480[/bold]
    """
    from gesture_maze.capture.convert import Conversion
    from gesture_maze.capture.convert import convert as lines

    how = Conversion(fps, aspect, layout, labels)
    _write(out, lines(sources, how, show_found), {"source": "converted"}, as_json=as_json)


@app.command(context_settings=CONTEXT)
def mutate(
    file: Capture,
    out: Out,
    drop: Annotated[float, Opt(help="Share of frames left out, 0 to 1.")] = 0.0,
    duplicate: Annotated[float, Opt(help="Share of frames duplicated.")] = 0.0,
    reorder: Annotated[float, Opt(help="Share of frames swapped with the next of their session.")] = 0.0,
    corrupt: Annotated[float, Opt(help="Share of lines damaged so that they are invalid.")] = 0.0,
    no_hand: Annotated[float, Opt(help="Share of frames without their hand, in bursts.")] = 0.0,
    jitter: Annotated[float, Opt(help="Noise on the landmarks: standard deviation in image widths.")] = 0.0,
    jitter_ms: Annotated[float, Opt(help="Noise on the times: standard deviation, ms.")] = 0.0,
    mirror: Annotated[bool, Opt("--mirror", help="Mirror every image.")] = False,
    rescale: Annotated[float, Opt(help="Factor to scale hands by.")] = 1.0,
    seed: Annotated[int, Opt(min=0, help="Seed of the changes.")] = 1,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Make a harder capture from one: drop, duplicate, reorder, corrupt, shake, mirror, rescale, hide hands.

    The same seed gives the same file.

    Example: [bold]maze capture mutate a.jsonl.gz --out b.jsonl.gz --drop 0.2 --no-hand 0.05 --seed 7[/bold]
    """
    from gesture_maze.capture.mutate import Mutation
    from gesture_maze.capture.mutate import mutate as mutated
    from gesture_maze.capture.reader import CaptureReader

    wish = Mutation(drop, duplicate, reorder, corrupt, no_hand, jitter, jitter_ms, mirror, rescale)
    _require_other(out, [file])
    with CaptureReader(file, skip_bad=skip_bad) as reader:
        lines = mutated((line.values for line in reader.frames()), wish, seed)
        _write(out, lines, reader.header, as_json=as_json)


@app.command(context_settings=CONTEXT)
def trim(
    file: Capture,
    out: Out,
    from_s: Annotated[float, Opt("--from", min=0, help="Start, in s since the capture began.")] = 0.0,
    to_s: Annotated[float | None, Opt("--to", min=0, help="End, in s. (default: the capture's)")] = None,
    sessions: Annotated[str | None, Opt(help="Only sessions that match this pattern: 'team-a-*'.")] = None,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Cut a part out of a capture, by time and by session.

    Example: [bold]maze capture trim long.jsonl.gz --out short.jsonl.gz --from 12.5 --to 20[/bold]
    """
    from gesture_maze.capture.edit import Part
    from gesture_maze.capture.edit import trim as trimmed
    from gesture_maze.capture.reader import CaptureReader

    _require_other(out, [file])
    with CaptureReader(file, skip_bad=skip_bad) as reader:
        part = Part(from_s, to_s, sessions)
        _write(out, trimmed(reader.frames(), part), reader.header, as_json=as_json)


@app.command(context_settings=CONTEXT)
def join(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Captures, in order.")],
    out: Out,
    gap: Annotated[float, Opt(min=0, help="Pause between two captures, in s.")] = 1.0,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Join captures into one, one after the other.

    A session found in several captures keeps its id if its seq continues to rise. Otherwise the later ones
    are renamed, by a number at the end, so that no frame becomes a duplicate.

    Example: [bold]maze capture join a.jsonl.gz b.jsonl.gz --out both.jsonl.gz[/bold]
    """
    from gesture_maze.capture.edit import Join
    from gesture_maze.capture.pool import POOL, common_pool

    _require_other(out, files)
    joined, pool = Join(files, gap, skip_bad=skip_bad), common_pool(files)
    header = {"source": "joined"} if pool is None else {"source": "joined", POOL: pool}
    _write(out, joined.lines(), header, as_json=as_json)
    if pool is None:
        typer.echo(
            f"maze: {out} names no settings of a pool: its parts have none, or different ones", err=True
        )
    for new, old in joined.renamed.items():
        typer.echo(f"maze: session {old} exists already, renamed to {new}", err=True)


@app.command(name="to-csv", context_settings=CONTEXT)
def to_csv(
    file: Capture,
    out: Annotated[Path, Opt(help="Table to write; compressed if it ends with .gz or .zst.")],
    label: Annotated[str | None, Opt(help="Gesture of all frames. (default: each frame's label)")] = None,
    label_from: Annotated[
        str, Opt(metavar="WHERE", help="Where labels come from: label, session or reply.")
    ] = "label",
    labels: Labels = None,
    every: Annotated[int, Opt(min=1, help="Keep every n-th hand of a session.")] = 1,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Make labelled rows from a capture, for maze evaluate and maze train.

    The rows have x, y and z in one unit, the session as user_id, and the file as source. Frames without a
    hand are left out.

    Example: [bold]maze capture to-csv swipes.jsonl.gz --label swipe --out swipes.csv[/bold]
    """
    from gesture_maze.capture.files import create
    from gesture_maze.capture.reader import CaptureReader
    from gesture_maze.capture.rows import Rows
    from gesture_maze.readers.labels import read_label_map

    _require_other(out, [file])
    rows = Rows(label, label_from, {} if labels is None else read_label_map(labels), every)
    with CaptureReader(file, skip_bad=skip_bad) as reader, create(out) as table, _complete(out):
        for line in rows.lines(file.name, reader.frames()):
            table.write(line.encode() + b"\n")
    written = sum(rows.written.values())
    if as_json:
        left_out = {"without_hand": rows.skipped, "without_reply": rows.unanswered}
        print_json({"out": str(out), "rows": written, "labels": rows.written, **left_out})
        return
    counts = ", ".join(f"{name} {count:,}" for name, count in sorted(rows.written.items()))
    without_reply = f", without a reply: {rows.unanswered:,}" if rows.unanswered else ""
    print_line(
        f"{out}: {amount(written, 'row')} ({counts}); frames without a hand left out: {rows.skipped:,}"
        f"{without_reply}"
    )


def _require_other(out: Path, files: list[Path]) -> None:
    """Refuse to write the file that is read."""
    if out.exists() and any(file.exists() and out.samefile(file) for file in files):
        raise SettingsError("settings", "--out must be another file than the one that is read")


@contextmanager
def _complete(out: Path) -> Iterator[None]:
    """Delete a file that is being written if a fault of what is read leaves it incomplete."""
    try:
        yield
    except SettingsError:
        if out.is_file() and not out.is_symlink():
            out.unlink()
        raise


def _write(out: Path, lines: Any, header: dict[str, Any], *, as_json: bool) -> None:
    from gesture_maze.capture.writer import CaptureWriter

    writer = CaptureWriter(out, header)  # outside: a file that cannot be opened stays as it is
    with _complete(out), writer:
        for line in lines:
            writer.write_text(line)
    facts = {"out": str(out), "frames": writer.frames, "bytes": out.stat().st_size}
    if as_json:
        print_json(facts)
    else:
        print_line(f"{out}: {amount(writer.frames, 'frame')}, {facts['bytes']:,} bytes")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
