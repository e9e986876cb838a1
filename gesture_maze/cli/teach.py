"""`maze teach`: add own gestures to a model, in a page or by commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesture_maze.cli.options import CONTEXT, AsJson
from gesture_maze.cli.printing import print_json, print_line
from gesture_maze.cli.progress import progress
from gesture_maze.cli.reading import Actions, Aspect, show_found
from gesture_maze.wire.errors import SettingsError

if TYPE_CHECKING:
    from gesture_maze.teach.course import Taught

Opt = typer.Option
app = typer.Typer(
    add_completion=False, invoke_without_command=True, rich_markup_mode="rich", context_settings=CONTEXT
)

DEFAULT_FOLDER = Path("gestures")
Data = Annotated[
    Path, Opt("--data", metavar="DIR", help="Folder of the takes; created if it does not exist.")
]
Base = Annotated[
    str, Opt(metavar="MODEL", help="'champion' (of --redis, else the bundled one), 'bundled', or a bundle.")
]
OptionalRedis = Annotated[
    str | None, Opt(metavar="URL", help="Pool whose champion is the base, and to which models are shipped.")
]


@app.callback()
def teach(
    ctx: typer.Context,
    data: Data = DEFAULT_FOLDER,
    base: Base = "champion",
    redis: OptionalRedis = None,
    port: Annotated[int, Opt(min=0, max=65_535, help="Port on 127.0.0.1; 0 picks a free one.")] = 8010,
    browser: Annotated[bool, Opt("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Teach gestures of your own in a local page: record, look, train, try, ship; until Ctrl-C.

    The page works on this machine only and needs no account. A take is a capture file in DIR that holds
    landmarks and no picture. The commands below do the same without the page.

    Example: [bold]maze teach --data gestures --open[/bold]
    """
    if ctx.invoked_subcommand is not None:
        return
    from gesture_maze.teach.server import Options, run

    def show(address: str) -> None:
        print_line(f"open {address}")
        if browser:
            import webbrowser

            webbrowser.open(address)

    run(Options(data, base, redis, port), show)


@app.command(context_settings=CONTEXT)
def record(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, pictures, CSV or JSON.")],
    label: Annotated[str, Opt(help="The gesture that they show; no_gesture for ordinary movement.")],
    consent: Annotated[bool, Opt("--consent", help="The people shown agree that takes are kept.")] = False,
    data: Data = DEFAULT_FOLDER,
    aspect: Aspect = None,
    as_json: AsJson = False,
) -> None:
    """Make takes from files: one from each video and from each recording in a file of landmarks.

    Videos and pictures need a Chromium on this machine, as for 'maze landmarks'; captures and landmarks of
    any layout need nothing.

    Example: [bold]maze teach record swipe-1.mp4 swipe-2.mp4 --label swipe --consent[/bold]
    """
    from gesture_maze.teach.files import take_files
    from gesture_maze.teach.takes import CONSENT, Takes

    if not consent:
        raise SettingsError("settings", f"--consent is needed: {CONSENT}")
    takes = take_files(Takes(data), files, label, aspect, progress, lambda line: show_found([line]))
    facts = [
        {"id": one.id, "label": one.label, "hands": len(one.points), "file": str(one.path)} for one in takes
    ]
    if as_json:
        print_json(facts)
        return
    for one in facts:
        print_line(f"{one['file']}: {one['hands']} hands of {one['label']}")


@app.command(context_settings=CONTEXT)
def look(
    data: Data = DEFAULT_FOLDER,
    delete: Annotated[list[str] | None, Opt(metavar="ID", help="Delete a take.")] = None,
    relabel: Annotated[list[str] | None, Opt(metavar="ID=NAME", help="Change the gesture of a take.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the takes and how varied they are; delete or relabel some first.

    'maze teach train' says which ones are doubtful.

    Example: [bold]maze teach look --relabel 1a2b3c4d=swipe --delete 5e6f7a8b[/bold]
    """
    from gesture_maze.teach.classroom import summary
    from gesture_maze.teach.takes import Takes

    takes = Takes(data)
    for one in delete or []:
        takes.delete(one)
    for one in relabel or []:
        take, _, name = one.partition("=")
        takes.relabel(take, name)
    found = [{key: value for key, value in summary(take).items() if key != "shown"} for take in takes.all()]
    if as_json:
        print_json(found)
        return
    _print_takes(found)


def _print_takes(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("Take", "Gesture", "Seconds", "Hands", "Varied", "For more variety")
    for one in found:
        varied = one["variety"]
        table.add_row(
            one["id"], one["label"], f"{one['seconds']:.1f}", str(one["hands"]),
            f"{100 * varied['total']:.0f} %", varied["prompt"],
        )  # fmt: skip
    Console().print(table)


@app.command(context_settings=CONTEXT)
def train(
    data: Data = DEFAULT_FOLDER,
    base: Base = "champion",
    redis: OptionalRedis = None,
    out: Annotated[Path | None, Opt(help="Folder for the bundle. (default: DIR/bundles/VERSION)")] = None,
    seed: Annotated[int, Opt(min=0, help="The same takes and seed give the same bundle.")] = 0,
    actions: Actions = None,
    as_json: AsJson = False,
) -> None:
    """Train the base on all takes, judge each take by a model trained without it, and write a bundle.

    Example: [bold]maze teach train --data gestures --actions swipe=up,like=down --out swipe-model[/bold]
    """
    from gesture_maze.teach.classroom import Classroom

    room = Classroom.open(data, base, redis)
    with progress("Training", 100) as tick:
        shown = 0

        def advance(done: float) -> None:
            nonlocal shown
            while shown < round(100 * done):
                shown += 1
                tick()

        taught = room.train(advance, seed, actions)
    folder = room.path_of(taught.bundle)
    if out is not None:
        taught.bundle.write(out)
        folder = out
    if as_json:
        print_json(taught.as_dict() | {"bundle": str(folder)})
    else:
        _print_taught(taught, folder)


def _print_taught(taught: Taught, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from gesture_maze.cli.evaluate import percent

    table = Table("Gesture", "Right", "Right and sure enough to act", title="Takes that were held out")
    for name in taught.trained:
        table.add_row(name, percent(taught.accuracy[name]), percent(taught.acting[name]))
    console = Console()
    console.print(table)
    for sentence in (one.sentence() for group in (taught.confusions, taught.close) for one in group):
        print_line(f"{sentence}.")
    for take, verdict in taught.verdicts.items():
        if verdict.doubtful:
            print_line(
                f"Take {take} is doubtful: {100 * verdict.right:.0f} % right, "
                f"{100 * verdict.looks_share:.0f} % looks like {verdict.looks_like}."
            )
    print_line(taught.kept.sentence())
    ways = ", ".join(f"{name} {way}" for name, way in taught.bundle.manifest.mapping.items())
    print_line(f"Moves: {ways}; workers take them unless they are started with --actions.")
    print_line(f"Model {taught.bundle.version} is in {folder}. Ship it: maze teach ship {folder} --redis URL")


@app.command(context_settings=CONTEXT)
def ship(
    model: Annotated[str, typer.Argument(metavar="FOLDER", help="A bundle that 'maze teach train' wrote.")],
    redis: Annotated[str, Opt(metavar="URL", help="Pool to ship the model to.")] = "redis://127.0.0.1:6379/0",
    challenger: Annotated[
        bool, Opt("--challenger", help="As challenger: its answers are not published.")
    ] = False,
    share: Annotated[float, Opt(min=0.0, max=1.0, help="Share of the frames that a challenger sees.")] = 0.1,
    accept_fall: Annotated[
        bool, Opt("--accept-fall", help="Ship although the base loses more than 0.3 points of accuracy.")
    ] = False,
) -> None:
    """Promote a taught model in a pool, as 'maze promote' does, or make it the challenger.

    A model whose training cost its base more than 0.3 points of accuracy is refused without --accept-fall.

    Example: [bold]maze teach ship gestures/bundles/taught-1a2b3c4d5e --challenger[/bold]
    """
    from gesture_maze.cli.promote import promote
    from gesture_maze.models.gates import MAX_FALL

    limit = 1.0 if accept_fall else MAX_FALL
    promote(model=model, redis=redis, shadow=challenger, share=share, max_fall=limit)
