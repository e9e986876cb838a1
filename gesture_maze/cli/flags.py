"""Options of a command, built from the fields of a dataclass.

For a command with more flags than a signature can show. Each field is annotated like a parameter of a typer
command, `Annotated[int, typer.Option(help="...")]`, and the body gets one object instead of many arguments.
Commands whose flags are the settings of a process use `gesture_maze.cli.declared` instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar, get_type_hints

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Group:
    """Options that are declared elsewhere, and fill one field of a dataclass.

    Attributes:
        parameters: of the command.
        build: returns the field's value, from the values of all parameters by name.
    """

    parameters: Sequence[inspect.Parameter]
    build: Callable[[Mapping[str, Any]], Any]


def flags_from(model: type[F], **groups: Group) -> Callable[[Callable[[F], None]], Callable[..., None]]:
    """Return a decorator: the command gets the options of the dataclass `model`, its body an instance.

    Args:
        model: the dataclass.
        groups: options of fields that are not annotated as options, by the field's name.
    """
    hints = get_type_hints(model, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(model)  # type: ignore[arg-type]
        if field.name not in groups
    ]
    own = [one.name for one in parameters]
    parameters += [one for group in groups.values() for one in group.parameters]

    def build(given: dict[str, Any]) -> F:
        grouped = {name: group.build(given) for name, group in groups.items()}
        return model(**{name: given[name] for name in own}, **grouped)

    return lambda run: command(run, parameters, build)


def command(
    run: Callable[[F], None], parameters: Sequence[inspect.Parameter], build: Callable[[dict[str, Any]], F]
) -> Callable[..., None]:
    """Return a function that has `parameters` as its signature for typer, and calls `run(build(their
    values))`."""

    def called(**given: Any) -> None:
        run(build(given))

    called.__name__, called.__doc__, called.__module__ = run.__name__, run.__doc__, run.__module__
    called.__annotations__ = {one.name: one.annotation for one in parameters}
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called
