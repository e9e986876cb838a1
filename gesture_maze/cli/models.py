"""`maze models`: the models in Redis, their figures, and which of them live workers use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gesture_maze.cli.models_import import models_import
from gesture_maze.cli.models_tracked import models_tracked
from gesture_maze.cli.options import CONTEXT, DEFAULT_REDIS, AsJson, RedisUrl
from gesture_maze.cli.printing import cell, print_json, print_line, print_table, text_table

if TYPE_CHECKING:
    from redis import Redis

    from gesture_maze.worker.redis.registry import ModelRegistry

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    context_settings=CONTEXT,
    help="""List the models in Redis: champion, previous, challenger, figures, and the workers that use each.

With --shadow: how the challenger answers frames of the champion.

Example: [bold]maze models --shadow[/bold]""",
)

app.command("import", context_settings=CONTEXT)(models_import)
app.command("tracked", context_settings=CONTEXT)(models_tracked)

JUDGED_ON: Final = {"held_out": "held-out people", "own_takes": "held-out takes"}
"""Splits whose figures are shown, the first that a model has, and their names for people. A taught model has
figures of its takes only, none of the data of its base."""
ROLES: Final = ("champion", "previous", "challenger")
SHOWN_PAIRS: Final = 20


@app.callback()
def models(
    ctx: typer.Context,
    redis: RedisUrl = DEFAULT_REDIS,
    shadow: Annotated[bool, typer.Option("--shadow", help="Compare challenger and champion.")] = False,
    as_json: AsJson = False,
) -> None:
    """List models."""
    if ctx.invoked_subcommand is not None:
        return
    from gesture_maze.worker.redis.attach import attached

    with attached(redis) as client:
        found = trial_of(client) if shadow else listing(client)
    if as_json:
        print_json(found)
    elif shadow:
        _show_trial(found)
    else:
        _show(found)


def listing(client: Redis) -> dict[str, Any]:
    """Return the models in Redis, newest first, then those that workers use and Redis does not keep."""
    from gesture_maze.worker.redis.registry import ModelRegistry
    from gesture_maze.worker.redis.status import StatusReader

    registry = ModelRegistry(client)
    roles = registry.roles()
    workers: dict[str, list[str]] = {}
    for worker in StatusReader(client).read().workers:
        workers.setdefault(worker.model, []).append(worker.worker)
    given_ms = registry.versions()
    named = [version for role in ROLES if (version := getattr(roles, role)) is not None]
    versions = list(dict.fromkeys([*given_ms, *named, *workers]))
    return {
        "champion": roles.champion,
        "previous": roles.previous,
        "challenger": roles.challenger,
        "share": roles.share if roles.challenger else None,
        "mixed": len(workers) > 1,
        "models": [
            {
                "version": version,
                "roles": [role for role in ROLES if getattr(roles, role) == version],
                "since": _time(given_ms.get(version)),
                "workers": workers.get(version, []),
                **facts_of(registry, version),
            }
            for version in versions
        ],
    }  # fmt: skip


def facts_of(registry: ModelRegistry, version: str) -> dict[str, Any]:
    """Return what the manifest says; `fault` is the reason why the bundle cannot be used, or None."""
    from gesture_maze.models.bundle import load_zip
    from gesture_maze.wire.errors import ModelError

    facts: dict[str, Any] = dict.fromkeys(("bytes", "threshold", "rows", "judged_on", "figures", "fault"))
    data = registry.bundle(version)
    if data is None:
        return facts | {"fault": "not_found"}
    facts["bytes"] = len(data)
    try:
        manifest = load_zip(data).manifest
    except ModelError as error:
        return facts | {"fault": error.reason}
    split = next(filter(manifest.evaluation.__contains__, JUDGED_ON), None)
    figures = None if split is None else manifest.evaluation[split]
    return facts | {
        "threshold": manifest.thresholds.act,
        "rows": manifest.training_data and manifest.training_data.rows,
        "judged_on": split,
        "figures": figures and figures.model_dump(),
    }


def trial_of(client: Redis) -> dict[str, Any]:
    """Return champion and challenger side by side; shares are 0 to 1, None before the first frame.

    Raises:
        SettingsError: there is no challenger, or no champion.
    """
    from gesture_maze.wire.errors import SettingsError
    from gesture_maze.worker.redis.registry import ModelRegistry
    from gesture_maze.worker.redis.status import StatusReader
    from gesture_maze.worker.serving.shadow import Trial

    registry = ModelRegistry(client)
    roles = registry.roles()
    if roles.challenger is None:
        raise SettingsError("settings", "there is no challenger: set one with 'maze promote MODEL --shadow'")
    champions = [roles.champion] if roles.champion else StatusReader(client).read().models
    if not champions:
        message = (
            f"{roles.challenger} is the challenger, but there is no champion to compare it with: start a "
            "worker, or 'maze promote bundled'"
        )
        raise SettingsError("settings", message)
    trial = Trial.of(registry.shadow(str(champions[0]), roles.challenger))
    flipped = sum(trial.flips.values())
    return {
        "champion": champions[0],
        "challenger": roles.challenger,
        "share": roles.share,
        "frames": trial.frames,
        "agreed": trial.agreed,
        "agreement": trial.agreed / trial.frames if trial.frames else None,
        "flips": flipped,
        "flip_rate": flipped / trial.frames if trial.frames else None,
        "pairs": _rows(trial.pairs),
        "actions": _rows(trial.flips),
    }


def _rows(pairs: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    return [{"champion": mine, "challenger": other, "frames": n} for (mine, other), n in pairs.items()]


def _time(ms: int | None) -> str | None:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") if ms else None


def _show(found: dict[str, Any]) -> None:
    if not found["models"]:
        print_line("No models in Redis, and no workers. Workers begin with the bundled model.")
        return
    columns = ("version", "role", "accuracy", "macro F1", "judged on", "threshold", "workers", "fault")
    table = text_table(columns, whole=("version",))
    for one in found["models"]:
        figures = one["figures"] or {}
        # a worker's own bundle need not be in Redis; only what has a role must be
        fault = one["fault"] if one["roles"] or one["since"] else None
        cells = (
            one["version"], ", ".join(one["roles"]) or None, figures.get("accuracy"), figures.get("macro_f1"),
            JUDGED_ON.get(one["judged_on"]), one["threshold"], len(one["workers"]), fault,
        )  # fmt: skip
        table.add_row(*map(cell, cells))
    print_table(table)
    if found["mixed"]:
        print_line(
            "Workers use different models. During a promotion this lasts a second; if it lasts longer, some"
        )
        print_line("have refused the champion: see their logs and maze_models_refused_total.")


def _show_trial(trial: dict[str, Any]) -> None:
    print_line(
        f"challenger {trial['challenger']} beside champion {trial['champion']}, "
        f"{100 * trial['share']:g} % of the frames: {trial['frames']:,} hands"
    )
    if not trial["frames"]:
        return
    print_line(
        f"they agree on {100 * trial['agreement']:.2f} %, and differ in the action on {trial['flips']:,}"
    )
    differing = [row for row in trial["pairs"] if row["champion"] != row["challenger"]]
    for title, rows in (("Gestures that differ", differing), ("Actions that differ", trial["actions"])):
        table = text_table(("champion", "challenger", "frames", "share"), right=("frames", "share"))
        table.title, table.title_justify = title, "left"
        for row in rows[:SHOWN_PAIRS]:
            share = f"{100 * row['frames'] / trial['frames']:.2f} %"
            table.add_row(*map(cell, (row["champion"], row["challenger"], f"{row['frames']:,}", share)))
        if rows:
            print_table(table)
