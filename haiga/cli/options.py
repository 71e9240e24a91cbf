"""Flags out of the settings table, and settings out of flags."""

import os
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from haiga.cli.configuration import read_file
from haiga.config import TABLE, Said, Settings, read_settings
from haiga.core.errors import Invalid

One = str | None


def option(name: str) -> Any:
    """The typer option of one setting; its default is told in the help and applied by `read_settings`."""
    row = TABLE[name]
    told = f"{row.help} [default: {row.default}]" if row.default and not row.switch else row.help
    return typer.Option(row.flag, help=told, metavar=row.metavar or None, show_default=False)


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the flags of these settings, in their order, behind its own. It takes them together, as `flags`,
    and reads them by `settings_from`."""

    def given(command: Callable[..., None]) -> Callable[..., None]:
        *own, _ = signature(command).parameters.values()
        command.__signature__ = Signature([*own, *map(_parameter, names)])  # type: ignore[attr-defined]
        return command

    return given


def _parameter(name: str) -> Parameter:
    row = TABLE[name]
    kind: Any = bool if row.switch else list[str] | None if row.many else One
    default = False if row.switch else None
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option(name)])


def settings_from(context: typer.Context) -> Settings:
    """The settings under the flags of the command that runs; a bad one ends the program with exit code 2."""
    try:
        return read_again(context)
    except Invalid as error:
        typer.echo(f"haiga: {error}", err=True)
        raise typer.Exit(2) from None


def read_again(context: typer.Context) -> Settings:
    """The settings as flags, environment and file say them now. Raises Invalid."""
    said = said_to(context)
    return read_settings(said.flags, said.environment, said.file, said.path)


def said_to(context: typer.Context) -> Said:
    """What the command that runs was told, in all ways. Raises Invalid for a file that cannot be read."""
    flags = {name: _text(name, value) for name, value in context.params.items()}
    named = context.params.get("config") or os.environ.get("HAIGA_CONFIG")
    path = Path(named).expanduser() if named else None
    return Said(flags, os.environ, read_file(path) if path else {}, path)


def _text(name: str, value: object) -> str | None:
    """A flag's value as text; None for one that was not given."""
    if not value or name not in TABLE:
        return None
    if isinstance(value, list | tuple):
        return ",".join(value)
    return TABLE[name].switch if value is True else str(value)


Config = Annotated[
    One, typer.Option("--config", help="A TOML file of settings, by the names of docs/settings.md.", metavar="FILE")
]
DataDir = Annotated[One, option("data_dir")]
Database = Annotated[One, option("database")]
Context = Annotated[One, option("context")]
KvMemory = Annotated[One, option("kv_memory")]
Weights = Annotated[One, option("weights")]
Cache = Annotated[One, option("cache")]
Offline = Annotated[bool, option("offline")]
PoliciesFile = Annotated[One, option("policies")]
ModerationClassifier = Annotated[One, option("moderation_classifier")]
Url = Annotated[One, option("url")]
