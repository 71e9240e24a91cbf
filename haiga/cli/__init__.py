"""The command line and composition root: what names concrete classes and reads settings.

Rule: heavy modules are imported inside the commands that need them, so that `haiga --help` answers at once.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from haiga.cli.audit import audit
from haiga.cli.batch import batch
from haiga.cli.chat import chat
from haiga.cli.config import config
from haiga.cli.image import image
from haiga.cli.keys import keys
from haiga.cli.models import models
from haiga.cli.moderation import moderation
from haiga.cli.run import run
from haiga.cli.serve import serve
from haiga.cli.upstream import upstream
from haiga.cli.usage import usage
from haiga.cli.worker import worker
from haiga.cli.workspaces import workspaces
from haiga.core.errors import HaigaError


class Commands(TyperGroup):
    """Every expected error is one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except HaigaError as error:
            typer.echo(f"haiga: {error}", err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    name="haiga",
    cls=Commands,
    help="One self-hosted server for models you hold yourself.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(worker)
app.command()(chat)
app.command()(run)
app.command()(image)
app.add_typer(batch, name="batch")
app.add_typer(models, name="models")
app.add_typer(moderation, name="moderation")
app.add_typer(upstream, name="upstream")
app.command()(usage)
app.add_typer(config, name="config")
app.add_typer(keys, name="keys")
app.add_typer(workspaces, name="workspaces")
app.add_typer(audit, name="audit")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"haiga {version('haiga')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """What the `haiga` script runs."""
    app()
