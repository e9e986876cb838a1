"""`maze dead`: list, show, redrive and purge frames that were rejected or buried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.flags import flags_from
from gesture_maze.cli.options import CONTEXT, DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import cell, print_error, print_json, print_line, print_table, text_table
from gesture_maze.wire.printable import amount

if TYPE_CHECKING:
    from gesture_maze.worker.redis.dead_letters import DeadLetter, DeadLetters

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    context_settings=CONTEXT,
    help="""List frames that were rejected or buried, newest first; show, redrive or purge them.

'maze dead show ID' has the worker, the entry and the fields of one.

Example: [bold]maze dead --reason bad_json --limit 5[/bold]""",
)

Partition = Annotated[int | None, typer.Option(help="Only dead letters of this partition.")]
Reason = Annotated[str | None, typer.Option(help="Only dead letters with this reason, such as bad_json.")]


@dataclass(frozen=True, slots=True)
class Selection:
    """The flags of a command on several dead letters."""

    names: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters, from 'maze dead'.")
    ] = None
    redis: RedisUrl = DEFAULT_REDIS
    every: Annotated[
        bool, typer.Option("--all", help="All dead letters, or all that --partition and --reason select.")
    ] = False
    partition: Partition = None
    reason: Reason = None
    as_json: AsJson = False


SHOWN_BYTES: Final = 2000
"""Bytes of each field that `show` prints."""


@app.callback()
def dead(
    ctx: typer.Context,
    redis: RedisUrl = DEFAULT_REDIS,
    partition: Partition = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of dead letters to list.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters."""
    if ctx.invoked_subcommand is not None:
        return
    with _dead_letters(redis) as dead_letters:
        found = dead_letters.newest(partition, reason, limit)
        others = "" if found else _others(dead_letters, partition, reason)
    if as_json:
        print_json([as_dict(dead_letter) for dead_letter in found])
    elif found:
        _show_table(found)
    else:
        print_line(f"No dead letters{others}.")


@app.command(context_settings=CONTEXT)
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a dead letter, from 'maze dead'.")],
    redis: RedisUrl = DEFAULT_REDIS,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with all its fields.

    Example: [bold]maze dead show 3/1700000000000-0[/bold]
    """
    with _dead_letters(redis) as dead_letters:
        dead_letter = _named(dead_letters, name)
    facts = {**as_dict(dead_letter), "fields": _fields(dead_letter)}
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if key != "fields":
            print_line(f"{key:10} {'-' if value is None else value}")
    for field, text in _fields(dead_letter).items():
        print_line(f"field {field!r}: {text}")


@app.command(context_settings=CONTEXT)
@flags_from(Selection)
def redrive(selection: Selection) -> None:
    """Add dead letters to their streams again, oldest first. Doing it twice has the same effect as once.

    An invalid frame is rejected again. A frame whose session has sent a higher seq since, or that the pool
    has seen within the last minute, is counted as a duplicate.

    Example: [bold]maze dead redrive --all --reason killed_worker[/bold]
    """
    with _dead_letters(selection.redis) as dead_letters:
        chosen, others = _chosen(dead_letters, selection)
        moved = {dead_letter.name: dead_letters.redrive(dead_letter) for dead_letter in reversed(chosen)}
    entries = [{"id": name, "entry": entry} for name, entry in moved.items() if entry is not None]
    if selection.as_json:
        print_json({"redriven": len(entries), "entries": entries})
    else:
        print_line(f"{amount(len(entries), 'dead letter')} redriven{others}.")
    _warn_invalid([one for one in chosen if moved[one.name] is not None and one.is_invalid])


@app.command(context_settings=CONTEXT)
@flags_from(Selection)
def purge(selection: Selection) -> None:
    """Delete dead letters permanently.

    Example: [bold]maze dead purge --all --partition 3[/bold]
    """
    with _dead_letters(selection.redis) as dead_letters:
        chosen, others = _chosen(dead_letters, selection)
        gone = dead_letters.purge(chosen)
    if selection.as_json:
        print_json({"purged": gone})
    else:
        print_line(f"{amount(gone, 'dead letter')} purged{others}.")


@contextmanager
def _dead_letters(url: str) -> Iterator[DeadLetters]:
    from gesture_maze.worker.redis.attach import attached
    from gesture_maze.worker.redis.dead_letters import DeadLetters
    from gesture_maze.worker.redis.status import partition_count

    with attached(url) as client:
        yield DeadLetters(client, partition_count(client))


def _named(dead_letters: DeadLetters, name: str) -> DeadLetter:
    from gesture_maze.wire.errors import SettingsError
    from gesture_maze.worker.redis.dead_letters import parse_name

    dead_letter = dead_letters.get(*parse_name(name))
    if dead_letter is None:
        message = f"there is no dead letter {name}: it was redriven or purged, or never existed"
        raise SettingsError("settings", message)
    return dead_letter


def _chosen(dead_letters: DeadLetters, selection: Selection) -> tuple[list[DeadLetter], str]:
    """Return the selected dead letters that still exist, newest first; and if there are none, the end of a
    sentence that says what there is instead."""
    from gesture_maze.wire.errors import SettingsError
    from gesture_maze.worker.redis.dead_letters import parse_name

    names, partition, reason = selection.names or [], selection.partition, selection.reason
    if bool(names) == selection.every:
        raise SettingsError(
            "settings", "give the ids of dead letters, or --all (with --partition or --reason)"
        )
    if selection.every:
        chosen = dead_letters.newest(partition, reason)
    else:
        found = [dead_letters.get(*parse_name(name)) for name in dict.fromkeys(reversed(names))]
        chosen = [dead_letter for dead_letter in found if dead_letter is not None]
    return chosen, "" if chosen else _others(dead_letters, partition, reason)


def _others(dead_letters: DeadLetters, partition: int | None, reason: str | None) -> str:
    """Return the end of a sentence: the selection that matched nothing, and what there is instead."""
    words = "" if partition is None else f" on partition {partition}"
    words += "" if reason is None else f" with reason {reason}"
    if not words:
        return ""
    there = ", ".join(f"{name} ({n:,})" for name, n in dead_letters.counts().items())
    return f": none{words}; there are {there}" if there else f": none{words}"


def _warn_invalid(redriven: list[DeadLetter]) -> None:
    """Warn about redriven frames that workers of the same version reject again."""
    if redriven:
        reasons = ", ".join(sorted({one.reason for one in redriven}))
        print_error(
            f"warning: {amount(len(redriven), 'frame')} were invalid ({reasons}): the workers reject "
            f"such a frame again, unless a newer version accepts it; see 'maze dead show ID'"
        )


def as_dict(dead_letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as `--json` prints it, without its fields."""
    from gesture_maze.worker.redis.dead_letters import preview

    seen = preview(dead_letter)
    return {
        "id": dead_letter.name,
        "partition": dead_letter.partition,
        "written": datetime.fromtimestamp(dead_letter.written_ms / 1000, UTC).isoformat(
            timespec="milliseconds"
        ),
        "reason": dead_letter.reason or None,
        "entry": dead_letter.entry or None,
        "worker": dead_letter.worker or None,
        "session": seen.session,
        "seq": seen.seq,
        "t": seen.t,
    }


def _show_table(found: list[DeadLetter]) -> None:
    columns = ("id", "written", "reason", "session", "seq")
    table = text_table(columns, whole=("id", "written", "reason"), right=("seq",))
    for dead_letter in found:
        written = datetime.fromtimestamp(dead_letter.written_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        facts = as_dict(dead_letter) | {"written": written}
        table.add_row(*(cell(facts[name]) for name in columns))
    print_table(table)


def _fields(dead_letter: DeadLetter) -> dict[str, str]:
    """Return the fields for people: text unchanged, binary values as their length and first bytes."""
    return {
        _text(name): _text(value)
        for name, value in zip(dead_letter.fields[::2], dead_letter.fields[1::2], strict=False)
    }


def _text(raw: bytes) -> str:
    try:
        text = raw[:SHOWN_BYTES].decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and (text or not raw):
        return text if len(raw) <= SHOWN_BYTES else f"{text}... ({len(raw)} bytes)"
    return f"{len(raw)} bytes: {raw[:24].hex(' ')}{' ...' if len(raw) > 24 else ''}"
