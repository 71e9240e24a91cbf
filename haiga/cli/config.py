"""`haiga config`: what a configuration file says, and what holds."""

from pathlib import Path
from typing import Annotated

import typer

from haiga.cli.configuration import read_file
from haiga.cli.options import Config, said_to
from haiga.cli.table import show_table
from haiga.config import TABLE, Said, Settings
from haiga.core.errors import HaigaError, Invalid

MASK = "********"
config = typer.Typer(no_args_is_help=True, help="The settings and the file of them.", rich_markup_mode=None)


@config.command()
def check(path: Annotated[Path, typer.Argument(metavar="FILE", help="A TOML file of settings.")]) -> None:
    """Check a configuration file, and the files of prices, routes and tools that it names. Starts nothing."""
    said = Said(file=read_file(path), path=path)
    problems = [problem for name in said.file if (problem := _problem(said, name))]
    for problem in problems:
        typer.echo(f"haiga: {problem}", err=True)
    if problems:
        raise typer.Exit(1)
    _check_files(Settings(**{name: said.value(name) for name in TABLE}))
    typer.echo(f"{path}: well (settings: {len(said.file)})")


@config.command()
def show(context_: typer.Context, config: Config = None) -> None:
    """Every setting, its value and where it comes from. Secrets are masked."""
    said = said_to(context_)
    rows = [(name, *_shown(said, name)) for name in TABLE]
    show_table(("setting", "value", "from"), rows)


def _shown(said: Said, name: str) -> tuple[str, str]:
    where, text = said.of(name)
    return MASK if text and TABLE[name].secret else text or "", where


def _problem(said: Said, name: str) -> HaigaError | None:
    try:
        said.value(name)
    except Invalid as problem:
        return problem
    return None


def _check_files(settings: Settings) -> None:
    """Raises Invalid for what `haiga serve` would not start with."""
    from haiga.cli.moderating import read_policies
    from haiga.cli.routes import read_routes
    from haiga.cli.tools import read_tools
    from haiga.services.prices import read_prices

    read_tools(settings.tools, settings.offline)
    read_routes(settings.routes)
    read_policies(settings.policies)
    if settings.prices:
        read_prices(settings.prices)
