"""`haiga keys`: API keys made, listed, changed, rotated, revoked."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from haiga.cli.acting import operator
from haiga.cli.limits import (
    Budget,
    Concurrent,
    Families,
    Itpm,
    Models,
    Otpm,
    PolicyFlag,
    RoleFlag,
    Rpm,
    ScopeTags,
    changed_limits,
    changed_policy,
    changed_scope,
    role_of,
    told,
)
from haiga.cli.options import Database, DataDir, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings, parse_seconds
from haiga.core.access import ApiKey, Scope
from haiga.core.limits import Limits

if TYPE_CHECKING:
    from haiga.services.keyring import Keyring

keys = typer.Typer(help="API keys.", no_args_is_help=True, rich_markup_mode=None)
T = TypeVar("T")
Named = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its name if only one bears it.")]


@keys.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    workspace: Annotated[str, typer.Option(help="Callers of one workspace share a prompt cache.")] = "default",
    role: RoleFlag = None,
    admin: Annotated[bool, typer.Option("--admin", help="Short for --role admin.")] = False,
    expires: Annotated[str | None, typer.Option(help="After how long it ends, as in 30d.", metavar="TIME")] = None,
    families: Families = None,
    allowed: Models = None,
    tags: ScopeTags = None,
    policy: PolicyFlag = None,
    rpm: Rpm = None,
    itpm: Itpm = None,
    otpm: Otpm = None,
    concurrent: Concurrent = None,
    budget: Budget = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Make a key; its secret is printed once, alone on standard output."""
    lifetime = _seconds("--expires", expires)
    scope, chosen = changed_scope(Scope(), families, allowed, tags), role_of(role, admin)
    limits = changed_limits(Limits(), context)
    key, secret = with_keyring(
        settings_from(context),
        lambda keyring: keyring.create_key(
            name,
            workspace,
            chosen == "admin",
            lifetime,
            readonly=chosen == "readonly",
            scope=scope,
            limits=limits,
            policy=changed_policy(None, policy),
        ),
    )
    typer.echo(f"key {key.id} for {key.name} (workspace {key.workspace}); it is not shown again:", err=True)
    typer.echo(secret)


@keys.command("list")
def list_keys(context: typer.Context, data_dir: DataDir = None, database: Database = None) -> None:
    """Show every key, never a secret."""
    found = with_keyring(settings_from(context), lambda keyring: keyring.list())
    if not found:
        typer.echo("no keys; make one with `haiga keys create NAME`", err=True)
        return
    columns = ("id", "name", "key", "workspace", "role", "scope", "limits", "created", "state")
    show_table(columns, [_row(key) for key in found])


@keys.command("set")
def set_key(
    context: typer.Context,
    key: Named,
    name: Annotated[str | None, typer.Option(help="Another name.", metavar="NAME")] = None,
    role: RoleFlag = None,
    expires: Annotated[
        str | None, typer.Option(help="After how long from now it ends; 'none' for never.", metavar="TIME")
    ] = None,
    families: Families = None,
    allowed: Models = None,
    tags: ScopeTags = None,
    policy: PolicyFlag = None,
    rpm: Rpm = None,
    itpm: Itpm = None,
    otpm: Otpm = None,
    concurrent: Concurrent = None,
    budget: Budget = None,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Change what a key may do; what is not named stays. Running servers follow within seconds."""
    lifetime = _seconds("--expires", None if expires == "none" else expires)

    async def change(keyring: "Keyring") -> ApiKey:
        old = await keyring.find(key)
        chosen = role_of(role) if role else old.role
        ends = old.expires_at if expires is None else None if lifetime is None else int(_now() + lifetime)
        return await keyring.change(
            replace(
                old,
                name=name or old.name,
                admin=chosen == "admin",
                readonly=chosen == "readonly",
                expires_at=ends,
                scope=changed_scope(old.scope, families, allowed, tags),
                limits=changed_limits(old.limits, context),
                policy=changed_policy(old.policy, policy),
            )
        )

    changed = with_keyring(settings_from(context), change)
    policed = f"; policy {changed.policy}" if changed.policy else ""
    limited = told(changed.limits) or "no limits"
    typer.echo(f"{changed.id} ({changed.name}): {_scope(changed)}; {limited}{policed}", err=True)


@keys.command()
def rotate(
    context: typer.Context,
    key: Named,
    grace: Annotated[str, typer.Option(help="How long the old secret goes on.", metavar="TIME")] = "24h",
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Give a key a new secret, printed once; it stays the same key, with its limits and its usage."""
    seconds = _seconds("--grace", grace) or 0.0
    rotated, secret = with_keyring(settings_from(context), lambda keyring: keyring.rotate(key, seconds))
    until = datetime.fromtimestamp(rotated.former_until or 0, UTC).strftime("%Y-%m-%d %H:%M UTC")
    typer.echo(f"key {rotated.id} ({rotated.name}): the old secret works until {until}; the new one:", err=True)
    typer.echo(secret)


@keys.command()
def revoke(context: typer.Context, key: Named, data_dir: DataDir = None, database: Database = None) -> None:
    """Revoke a key; running servers refuse it within seconds."""
    revoked = with_keyring(settings_from(context), lambda keyring: keyring.revoke(key))
    typer.echo(f"revoked {revoked.id} ({revoked.name})", err=True)


def with_keyring(settings: Settings, work: "Callable[[Keyring], Awaitable[T]]") -> T:
    from haiga.services.keyring import Keyring
    from haiga.stores.connect import connect
    from haiga.stores.keys import DatabaseKeys

    async def run() -> T:
        async with connect(settings.records) as database:
            return await work(Keyring(DatabaseKeys(database), actor=operator()))

    return asyncio.run(run())


def _seconds(flag: str, text: str | None) -> float | None:
    try:
        return None if text is None else parse_seconds(text)
    except ValueError as problem:
        raise typer.BadParameter(f"{problem}, not {text!r}", param_hint=flag) from None


def _row(key: ApiKey) -> tuple[str, ...]:
    policed = f"; policy {key.policy}" if key.policy else ""
    told_of = (key.id, key.name, key.hint, key.workspace, key.role, _scope(key) + policed, told(key.limits))
    return (*told_of, day(key.created_at), _state(key))


def _scope(key: ApiKey) -> str:
    parts = (key.scope.families, key.scope.models)
    told = " on ".join(",".join(part) or "all" for part in parts) if any(parts) else "all"
    return f"{told} tagged {','.join(key.scope.tags)}" if key.scope.tags else told


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {day(key.revoked_at)}"
    if key.paused:
        return "paused"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.usable(_now()) else 'expired'} {day(key.expires_at)}"


def day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def _now() -> float:
    return datetime.now(UTC).timestamp()
