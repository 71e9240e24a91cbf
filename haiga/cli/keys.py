"""`haiga keys`: API keys made, listed, revoked."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from haiga.cli.options import DataDir, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings, parse_seconds
from haiga.core.access import ApiKey

if TYPE_CHECKING:
    from haiga.services.access import Access

keys = typer.Typer(help="API keys.", no_args_is_help=True, rich_markup_mode=None)
T = TypeVar("T")


@keys.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    workspace: Annotated[str, typer.Option(help="Callers of one workspace share a prompt cache.")] = "default",
    admin: Annotated[bool, typer.Option("--admin", help="The key may administer the server.")] = False,
    expires: Annotated[str | None, typer.Option(help="After how long it ends, as in 30d.", metavar="TIME")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key; its secret is printed once, alone on standard output."""
    lifetime = _lifetime(expires)
    key, secret = _with_access(
        settings_from(context), lambda access: access.create_key(name, workspace, admin, lifetime)
    )
    typer.echo(f"key {key.id} for {key.name} (workspace {key.workspace}); it is not shown again:", err=True)
    typer.echo(secret)


@keys.command("list")
def list_keys(context: typer.Context, data_dir: DataDir = None) -> None:
    """Show every key, never a secret."""
    found = _with_access(settings_from(context), lambda access: access.list())
    if not found:
        typer.echo("no keys; make one with `haiga keys create NAME`", err=True)
        return
    columns = ("id", "name", "key", "workspace", "admin", "created", "state")
    show_table(columns, [_row(key) for key in found])


@keys.command()
def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The key's id, or its name if only one bears it.")],
    data_dir: DataDir = None,
) -> None:
    """Revoke a key; running servers refuse it within seconds."""
    revoked = _with_access(settings_from(context), lambda access: access.revoke(key))
    typer.echo(f"revoked {revoked.id} ({revoked.name})", err=True)


def _with_access(settings: Settings, work: "Callable[[Access], Awaitable[T]]") -> T:
    from haiga.services.access import Access
    from haiga.stores.connect import connect
    from haiga.stores.keys import DatabaseKeys

    async def run() -> T:
        async with connect(settings.data_dir / "haiga.db") as database:
            return await work(Access(DatabaseKeys(database)))

    return asyncio.run(run())


def _lifetime(text: str | None) -> float | None:
    try:
        return None if text is None else parse_seconds(text)
    except ValueError as problem:
        raise typer.BadParameter(f"{problem}, not {text!r}", param_hint="--expires") from None


def _row(key: ApiKey) -> tuple[str, ...]:
    admin = "yes" if key.admin else ""
    return (key.id, key.name, key.hint, key.workspace, admin, _day(key.created_at), _state(key))


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.usable(datetime.now(UTC).timestamp()) else 'expired'} {_day(key.expires_at)}"


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
