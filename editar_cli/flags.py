"""From groups of flags to commands, and where the values of flags come from.

A group is a frozen dataclass whose fields are flags; a command that takes one has all its flags.
A value is the command line's, else that of ``EDITAR_<FLAG>`` in the environment, else that of
``--config FILE``, else the default.
"""

import difflib
import inspect
import json
import os
import tomllib
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from editar_cli.errors import UsageError

# Flags about this one call, which no configuration file can hold.
_OF_ONE_CALL = frozenset({"config", "save-config", "dry-run", "help"})
_COMMANDS = ("edit", "translate")
"""Commands that a configuration file may have a table for."""


class Group:
    """Base of the groups; their fields are ``Annotated[type, typer.Option(...)]``."""

    @property
    def settings(self) -> dict[str, Any]:
        """What results depend on: by default all that is not as it would be without flags.

        So a flag that is new in a later version changes nothing where it is not given. A group
        about something else, such as where results go, says so by a property of its own.
        """
        group: Any = self
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(group)}
        return {name: value for name, (value, default) in values.items() if value != default}


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are groups are spelt out, flag by flag, for Typer."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type[Group], list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and issubclass(hint, Group):
            flags = list(_parameters_of(hint))
            groups[parameter.name] = hint, [flag.name for flag in flags]
            parameters += flags
        else:
            parameters.append(
                parameter.replace(
                    annotation=_with_environment(hint, parameter.name),
                    kind=inspect.Parameter.KEYWORD_ONLY,
                )
            )

    def run(**values: Any) -> None:
        context = values.pop("context")
        if (file := values.pop("save_config", None)) is not None:
            _save(context, file)
        values.pop("config", None)
        for name, (group, members) in groups.items():
            values[name] = group(**{member: values.pop(member) for member in members})
        command(**values)

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    extra = [context, *_parameters_of(_Configuration)]
    every = [*parameters, *extra]
    signature = inspect.Signature(every)
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, __name__
    return run


def _parameters_of(group: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=_with_environment(hints[field.name], field.name),
        )


def _with_environment(hint: Any, name: str) -> Any:
    """The same option, with its variable in the environment."""
    kind, *extras = get_args(hint)
    (option,) = extras
    # An option has its flags as default (see Typer); an argument has no variable.
    if not isinstance(option, type(typer.Option())):
        return hint
    option = copy(option)
    flag = _flag_of([option.default, *(option.param_decls or ())], name)
    if flag not in _OF_ONE_CALL or flag == "config":
        option.envvar = f"EDITAR_{flag.replace('-', '_').upper()}"
        # One sentence in the help says it for all.
        option.show_envvar = False
    return Annotated[kind, option]


def _flag_of(words: list[Any], name: str) -> str:
    """``json`` of the words "--json", "-j", or of the name ``json_lines`` where there are none."""
    for word in words:
        if isinstance(word, str) and word.startswith("--"):
            return word.split("/")[0].removeprefix("--")
    return name.replace("_", "-")


def _flags(context: typer.Context) -> dict[str, str]:
    """Flag -> name of the parameter, for all flags of a command that a file may hold."""
    found = {}
    for parameter in context.command.params:
        flag = _flag_of(list(parameter.opts), parameter.name or "")
        if parameter.param_type_name == "option" and flag not in _OF_ONE_CALL:
            found[flag] = parameter.name or ""
    return found


def _read(context: typer.Context, file: Path | None) -> Path | None:
    """Take the values of a configuration file as defaults of this command."""
    if file is None:
        return None
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"--config {file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {file}: is no TOML: {error}") from error
    here = context.command.name or ""
    known = _flags(context)
    parent = context.parent.command if context.parent is not None else None
    others = getattr(parent, "commands", {})
    elsewhere: set[str] = set()
    for name in _COMMANDS:
        if name in others:
            for parameter in others[name].params:
                elsewhere.add(_flag_of(list(parameter.opts), parameter.name or ""))
    own: dict[str, Any] = {}
    for key, value in table.items():
        if key in _COMMANDS and isinstance(value, dict):
            continue
        flag = key.replace("_", "-")
        if flag in known:
            own[flag] = value
        elif flag not in elsewhere or flag in _OF_ONE_CALL:
            raise UsageError(_unknown(file, key, [*known, *_COMMANDS]))
    for key, value in table.get(here, {}).items() if here in _COMMANDS else ():
        flag = key.replace("_", "-")
        if flag not in known:
            raise UsageError(_unknown(file, f"{here}.{key}", list(known)))
        own[flag] = value
    for flag, value in own.items():
        if isinstance(value, dict):
            raise UsageError(f"--config {file}: {flag} must be a value, not a table")
    context.default_map = {
        **(context.default_map or {}),
        **{known[flag]: value for flag, value in own.items()},
    }
    return file


def _unknown(file: Path, key: str, known: list[str]) -> str:
    word = key.rsplit(".", 1)[-1].replace("_", "-")
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"; do you mean {near[0]}?" if near else ""
    return f"--config {file}: {key} is no flag that a file can hold{hint}"


def _save(context: typer.Context, file: Path) -> None:
    """Write what was given, by whatever way, as a configuration file."""
    lines = []
    for flag, name in _flags(context).items():
        source = context.get_parameter_source(name)
        value = context.params.get(name)
        if source is not None and source.name != "DEFAULT" and value not in (None, (), []):
            lines.append(f"{flag} = {_toml(value)}\n")
    heading = f"# editar {context.command.name} --config {file.name}\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        part.write_text(heading + f"[{context.command.name}]\n" + "".join(lines), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise UsageError(f"--save-config {file}: cannot be written: {error.strerror}") from error


def _toml(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    # A JSON string is a TOML string, but for the one control sign that JSON leaves as it is.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with values of flags, in it or in its table [edit] or [translate].",
        is_eager=True,
        callback=_read,
    ),
]
SaveConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--save-config", metavar="FILE", help="Write the flags given as a file for --config."
    ),
]


@dataclass(frozen=True, kw_only=True)
class _Configuration:
    """What every command with groups has beside them."""

    config: ConfigOption = None
    save_config: SaveConfigOption = None
