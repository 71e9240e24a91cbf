"""`haiga workspaces`: workspaces made, listed, limited, archived, deleted."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from haiga.cli.acting import operator
from haiga.cli.keys import day, with_keyring
from haiga.cli.limits import Budget, Concurrent, Itpm, Otpm, Rpm, changed_limits, told
from haiga.cli.options import Database, DataDir, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings
from haiga.core.access import Workspace
from haiga.core.limits import Limits

if TYPE_CHECKING:
    from haiga.services.keyring import Keyring

workspaces = typer.Typer(
    help="Workspaces: who shares a cache, data and limits.", no_args_is_help=True, rich_markup_mode=None
)
Named = Annotated[str, typer.Argument(metavar="WORKSPACE", help="The workspace's name or id.")]


@workspaces.command("list")
def list_workspaces(context: typer.Context, data_dir: DataDir = None, database: Database = None) -> None:
    """Show every workspace."""
    found = with_keyring(settings_from(context), lambda keyring: keyring.workspaces())
    if not found:
        typer.echo("no workspaces; one is made with `haiga workspaces create NAME`, or with its first key", err=True)
        return
    show_table(("name", "id", "limits", "created", "state"), [_row(each) for each in found])


@workspaces.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    rpm: Rpm = None,
    itpm: Itpm = None,
    otpm: Otpm = None,
    concurrent: Concurrent = None,
    budget: Budget = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Make a workspace; its limits hold for all of its keys together."""
    limits = changed_limits(Limits(), context)
    made = with_keyring(settings_from(context), lambda keyring: keyring.create_workspace(name, limits))
    typer.echo(f"workspace {made.name} ({made.id}): {told(made.limits) or 'no limits'}", err=True)


@workspaces.command("set")
def set_workspace(
    context: typer.Context,
    workspace: Named,
    rpm: Rpm = None,
    itpm: Itpm = None,
    otpm: Otpm = None,
    concurrent: Concurrent = None,
    budget: Budget = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Change a workspace's limits; what is not named stays. Running servers follow within seconds."""

    async def change(keyring: "Keyring") -> Workspace:
        old = await keyring.workspace(workspace)
        limits = changed_limits(old.limits, context)
        return await keyring.change_workspace(replace(old, limits=limits))

    changed = with_keyring(settings_from(context), change)
    typer.echo(f"workspace {changed.name}: {told(changed.limits) or 'no limits'}", err=True)


@workspaces.command()
def archive(context: typer.Context, workspace: Named, data_dir: DataDir = None, database: Database = None) -> None:
    """Let none of a workspace's keys work any more; what it holds stays."""
    archived = with_keyring(settings_from(context), lambda keyring: keyring.archive(workspace))
    typer.echo(f"archived {archived.name}", err=True)


@workspaces.command()
def delete(
    context: typer.Context,
    workspace: Named,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Delete a workspace and all that is kept of it: keys, answers, conversations, batches, files, usage."""
    settings = settings_from(context)
    found = with_keyring(settings, lambda keyring: keyring.workspace(workspace))
    if not yes:
        typer.confirm(f"delete workspace {found.name} and all that is kept of it?", abort=True, err=True)
    gone = asyncio.run(_erase(settings, found))
    told = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in gone.items() if count)
    typer.echo(f"deleted workspace {found.name}: {told}", err=True)


async def _erase(settings: Settings, workspace: Workspace) -> Mapping[str, int]:
    from haiga.engines.native import tier
    from haiga.services.erasure import Erasure
    from haiga.services.files import Files
    from haiga.services.keyring import Keyring
    from haiga.stores.blobs import DiskBlobs
    from haiga.stores.connect import connect
    from haiga.stores.erasure import erase
    from haiga.stores.files import DatabaseFiles
    from haiga.stores.keys import DatabaseKeys

    async with connect(settings.records) as opened:
        files = Files(DatabaseFiles(opened), DiskBlobs(settings.data_dir / "blobs"))
        erasure = Erasure(
            Keyring(DatabaseKeys(opened)), partial(erase, opened), files.sweep, partial(tier.erase, settings.cold)
        )
        return (await erasure.delete(workspace.id, operator()))[1]


def _row(workspace: Workspace) -> tuple[str, ...]:
    state = "active" if workspace.archived_at is None else f"archived {day(workspace.archived_at)}"
    return (workspace.name, workspace.id, told(workspace.limits), day(workspace.created_at), state)
