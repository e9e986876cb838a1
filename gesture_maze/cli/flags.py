"""Options of a command, built from the fields of a dataclass.

For a command with more flags than a signature can show. Each field is annotated as a parameter of a typer
command would be, `Annotated[int, typer.Option(help="...")]`, and the body gets one object instead of many
arguments. Commands whose flags are the settings of a process use `gesture_maze.cli.declared` instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

F = TypeVar("F")


def flags_from(model: type[F]) -> Callable[[Callable[[F], None]], Callable[..., None]]:
    """Return a decorator: the command gets the options of the dataclass `model`, its body an instance."""
    hints = get_type_hints(model, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(model)  # type: ignore[arg-type]
    ]

    return lambda run: command(run, parameters, lambda given: model(**given))


def command(
    run: Callable[[F], None], parameters: Sequence[inspect.Parameter], build: Callable[[dict[str, Any]], F]
) -> Callable[..., None]:
    """Return a function that typer takes for one with `parameters`; it runs `run(build(their values))`."""

    def called(**given: Any) -> None:
        run(build(given))

    called.__name__, called.__doc__, called.__module__ = run.__name__, run.__doc__, run.__module__
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called
