"""Options of a command, built from the fields of its settings model.

A model declares each setting once; flag, environment variable, default and help text follow from it:

    deadline_ms: int = 1000
    '''Shed frames older than this.'''

gives `--deadline-ms` and `MAZE_DEADLINE_MS` (or `MAZE_DEADLINE_MS_FILE`), default 1000. A field that is a
dataclass gives one option per field of its own, in a panel of the help. A field with `repr=False` is a
secret: it has no flag that takes its value, only `--NAME-file`. Values are parsed by the model and not by the
command line, so that all faults are reported at once.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gesture_maze.cli.environment import content, variable
from gesture_maze.cli.flags import Group, command
from gesture_maze.wire.errors import SettingsError
from gesture_maze.worker.faults import WrongSettingsError

KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY
METAVARS: Final[Mapping[Any, str]] = {int: "INTEGER", float: "NUMBER", Path: "PATH", dict: "NAME=VALUE,..."}


class SettingsModel(Protocol):
    """A pydantic model whose `of` reports all faults in one `SettingsError`."""

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return settings from keyword values; None stands for the default."""


S = TypeVar("S", bound=SettingsModel)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as a command shows it.

    Attributes:
        path: names of the fields that lead to it, outermost first.
        kind: its type, without None.
        default: value when it is not given.
        help: text for people.
        panel: title of the group in the help; None for the common one.
        secret: whether the value must not appear on a command line.
    """

    path: tuple[str, ...]
    kind: Any
    default: Any
    help: str
    panel: str | None = None
    secret: bool = False

    @property
    def name(self) -> str:
        """Name of the parameter."""
        return self.path[-1]

    @property
    def flag(self) -> str:
        """The option that gives its value, or names the file of a secret."""
        return f"--{self.name.replace('_', '-')}{'-file' if self.secret else ''}"


def options_from(model: type[S]) -> Callable[[Callable[[S], None]], Callable[..., None]]:
    """Return a decorator: the command gets the options of `model`, its body the checked settings."""
    settings = list(settings_in(model))  # type: ignore[arg-type]

    parameters = [one for setting in settings for one in _parameters(setting)]

    def checked(given: Mapping[str, Any]) -> S:
        with faults_by_flag(settings):
            return model.of(**_values(settings, given))

    return lambda run: command(run, parameters, checked)


@contextmanager
def faults_by_flag(settings: Iterable[Setting]) -> Iterator[None]:
    """Name flags in place of settings in what is wrong: `--repeat-ms` for `policy.repeat_ms`."""
    try:
        yield
    except WrongSettingsError as error:
        flags = {one.path: one.flag for one in settings}
        faults = "; ".join(one.sentence(partial(_by_flag, flags)) for one in error.faults)
        raise SettingsError(error.reason, faults) from None


def _by_flag(flags: Mapping[tuple[str, ...], str], place: tuple[str, ...]) -> str:
    """Return the flag of a setting and the part of its value that a place names: `--actions like`."""
    for end in range(len(place), 0, -1):
        if place[:end] in flags:
            return " ".join((flags[place[:end]], *place[end:]))
    return ".".join(place)


def run_flags(model: type[BaseModel], names: Collection[str], panel: str) -> Group:
    """Return some of a model's settings as flags of one run, which the environment does not give.

    Args:
        model: declares the settings.
        names: names of the fields to use; a nested model is used as a whole.
        panel: title of their group in the help, which says where their defaults come from.

    Returns:
        The flags. Their value is a dictionary of keywords of `model`, without those that are not given.
    """
    settings = [one for one in settings_in(model) if one.path[0] in names]
    parameters = [_run_parameter(one, panel) for one in settings]
    return Group(parameters, lambda given: _values(settings, given))


def _run_parameter(setting: Setting, panel: str) -> inspect.Parameter:
    option = typer.Option(
        setting.flag,
        allow_from_autoenv=False,
        help=_escaped(re.sub(r" \(default: .+\)$", "", setting.help)),
        metavar=_metavar(setting),
        rich_help_panel=panel,
    )
    return inspect.Parameter(setting.name, KEYWORD, default=None, annotation=Annotated[str | None, option])


def settings_in(model: type[BaseModel]) -> Iterator[Setting]:
    """Yield the settings that a model declares, in order."""
    texts = field_texts(model)
    for name, field in model.model_fields.items():
        kind = _without_none(field.annotation)
        if is_dataclass(kind):
            assert isinstance(kind, type)
            yield from _nested(name, kind, field.default, _text(texts, name))
        else:
            default = None if field.default is PydanticUndefined else field.default
            if field.default_factory is not None and field.repr:
                default = field.get_default(call_default_factory=True)
            yield Setting((name,), kind, default, _text(texts, name), secret=not field.repr)


def _nested(name: str, kind: type, default: Any, panel: str) -> Iterator[Setting]:
    texts = field_texts(kind)
    hints = inspect.get_annotations(kind, eval_str=True)
    for field in fields(kind):
        value = getattr(default, field.name, None if field.default is MISSING else field.default)
        kind_of_field = _without_none(hints[field.name])
        yield Setting((name, field.name), kind_of_field, value, _text(texts, field.name), panel)


def _text(texts: Mapping[str, str], name: str) -> str:
    return texts.get(name) or name.replace("_", " ").capitalize() + "."


def field_texts(owner: type) -> dict[str, str]:
    """Return the text about each field: the docstring below it, or its line under `Attributes:`."""
    found: dict[str, str] = {}
    for base in reversed(owner.__mro__[:-1]):
        if base.__module__.partition(".")[0] != __name__.partition(".")[0]:
            continue
        section = (base.__doc__ or "").partition("Attributes:")[2]
        for name, text in re.findall(r"^\s+(\w+): (.+(?:\n {12,}.+)*)", section, re.MULTILINE):
            found[name] = " ".join(text.split())
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[field.target.id] = " ".join(text.split())
    return found


def _parameters(setting: Setting) -> Iterator[inspect.Parameter]:
    if not setting.secret:
        yield _parameter(setting, setting.flag)
        return
    yield _parameter(setting, setting.flag.removesuffix("-file"), hidden=True)
    text = f"File that holds {setting.name}, as with {variable(setting.name)}_FILE. {setting.help}"
    file = typer.Option(setting.flag, help=_escaped(text), metavar="PATH")
    yield inspect.Parameter(
        f"{setting.name}_file", KEYWORD, default=None, annotation=Annotated[Path | None, file]
    )


def _parameter(setting: Setting, flag: str, *, hidden: bool = False) -> inspect.Parameter:
    name = setting.name
    option = typer.Option(
        flag,
        envvar=variable(name),
        help=_escaped(setting.help),
        metavar=None if setting.kind is bool else _metavar(setting),
        rich_help_panel=setting.panel,
        hidden=hidden,
    )
    if setting.kind is bool:
        return inspect.Parameter(name, KEYWORD, default=setting.default, annotation=Annotated[bool, option])
    default = None if setting.secret else _as_text(setting.default)
    return inspect.Parameter(name, KEYWORD, default=default, annotation=Annotated[str | None, option])


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _metavar(setting: Setting) -> str:
    if get_origin(setting.kind) is Literal:
        return "|".join(map(str, get_args(setting.kind)))
    if setting.name == "redis":
        return "URL"
    if get_origin(setting.kind) is tuple:
        return "TEXT,..."
    return METAVARS.get(get_origin(setting.kind) or setting.kind, "TEXT")


def _as_text(default: Any) -> str | None:
    """Return a default as it would be given on the command line, or None if there is none."""
    if default is None or default == ():
        return None
    if isinstance(default, dict):
        return ",".join(f"{name}={value}" for name, value in default.items())
    return str(default)


def _without_none(annotation: Any) -> Any:
    """Return the type that remains of `X | None` and of `Annotated[X, ...]`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            [annotation] = [one for one in get_args(annotation) if one is not NoneType]
        else:
            return annotation


def _values(settings: list[Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values as keywords of the model: nested, with lists and mappings parsed."""
    values: dict[str, Any] = {}
    for setting in settings:
        value = given[setting.name]
        if setting.secret and given[f"{setting.name}_file"] is not None:
            value = content(given[f"{setting.name}_file"], setting.flag)
        if value is None:
            continue
        inside = values
        for name in setting.path[:-1]:
            inside = inside.setdefault(name, {})
        inside[setting.name] = _taken_apart(setting.kind, value)
    return values


def _taken_apart(kind: Any, value: Any) -> Any:
    if get_origin(kind) is dict:
        pairs = [one.partition("=") for one in value.split(",") if one.strip()]
        return {name.strip(): text.strip() for name, _, text in pairs}
    if get_origin(kind) is tuple:
        return tuple(one.strip() for one in value.split(",") if one.strip())
    return Path(value) if kind is Path else value
