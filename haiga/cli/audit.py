"""`haiga audit`: the log of what was done to the server, read, handed on, verified."""

import asyncio
import csv
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from haiga.cli.options import Database, DataDir, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings, parse_list, parse_seconds
from haiga.core.audit import Actor, AuditFilter, AuditLine

if TYPE_CHECKING:
    from haiga.services.audit import Audit, Verdict

audit = typer.Typer(help="The audit log: who did what to the server.", no_args_is_help=True, rich_markup_mode=None)
T = TypeVar("T")
Expected = Annotated[
    list[str] | None,
    typer.Option(
        "--expect", help="A digest that was written down before, by its line; repeatable.", metavar="NUMBER:DIGEST"
    ),
]
COLUMNS = ("number", "time", "action", "subject", "by", "kind", "address", "request", "details", "digest")


@audit.command("list")
def list_lines(
    context: typer.Context,
    last: Annotated[str, typer.Option(help="How far back, as in 12h or 30d.", metavar="TIME")] = "30d",
    action: Annotated[
        str, typer.Option(help="Only these, as in 'api_key.created,login.failed'.", metavar="NAMES")
    ] = "",
    by: Annotated[str, typer.Option(help="Only what these keys (ids) or users did.", metavar="NAMES")] = "",
    about: Annotated[str, typer.Option(help="Only what was done to these.", metavar="NAMES")] = "",
    limit: Annotated[int, typer.Option(help="How many lines at most.", min=1)] = 50,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Show what was done to the server, the newest last."""
    among = (parse_list(action), parse_list(by), parse_list(about))
    wanted = AuditFilter(limit, None, None, _since(last), None, *among)
    found = with_audit(settings_from(context), lambda log: log.page(wanted))
    if not found:
        typer.echo(f"nothing was done in the last {last}", err=True)
        return
    show_table(("line", "time", "what", "to", "by", "details"), [_row(line) for line in reversed(found)])


@audit.command()
def export(
    context: typer.Context,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV instead of one JSON object a line.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Write the whole log to standard output, oldest line first, digests included."""
    write = _csv() if as_csv else _json

    async def copy(log: "Audit") -> None:
        async for line in log.lines():
            write(_fields(line))

    with_audit(settings_from(context), copy)


@audit.command()
def verify(
    context: typer.Context, expect: Expected = None, data_dir: DataDir = None, database: Database = None
) -> None:
    """Find lines that were changed, removed, inserted or moved; ends with exit code 1 when there are such."""
    known = dict(map(_digest, expect or []))
    verdict: Verdict = with_audit(settings_from(context), lambda log: log.verify(known))
    for fault in verdict.faults:
        typer.echo(f"haiga: {fault}", err=True)
    if verdict.faults:
        raise typer.Exit(1)
    chain = verdict.chain
    first = f" (lines before {chain.gone + 1} were forgotten in their time)" if chain.gone else ""
    typer.echo(f"{verdict.count:,} lines, each as it was written{first}")
    if chain.last:
        typer.echo(f"to be sure of that later: haiga audit verify --expect {chain.last}:{chain.digest}")


def with_audit(settings: Settings, work: "Callable[[Audit], Awaitable[T]]") -> T:
    async def run() -> T:
        async with opened_audit(settings) as log:
            return await work(log)

    return asyncio.run(run())


@asynccontextmanager
async def opened_audit(settings: Settings) -> "AsyncIterator[Audit]":
    from haiga.services.audit import Audit
    from haiga.stores.audit import DatabaseAudit
    from haiga.stores.connect import connect

    async with connect(settings.records) as database:
        yield Audit(DatabaseAudit(database))


def _since(last: str) -> int:
    try:
        return int(time.time() - parse_seconds(last))
    except ValueError as problem:
        raise typer.BadParameter(f"{problem}, not {last!r}", param_hint="--last") from None


def _digest(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest:
        raise typer.BadParameter(f"expected NUMBER:DIGEST, not {text!r}", param_hint="--expect")
    return int(number), digest


def _row(line: AuditLine) -> tuple[str, ...]:
    deed = line.deed
    details = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in deed.details.items())
    return (str(line.number), _time(deed.at), deed.action, deed.subject, _by(deed.actor), details)


def _by(actor: Actor) -> str:
    return " ".join(part for part in (actor.kind, actor.id, f"({actor.address})" if actor.address else "") if part)


def _fields(line: AuditLine) -> dict[str, Any]:
    deed, actor = line.deed, asdict(line.deed.actor)
    told = (line.number, _time(deed.at), deed.action, deed.subject, actor["id"], actor["kind"])
    return dict(zip(COLUMNS, (*told, actor["address"], actor["request"], deed.details, line.digest), strict=True))


def _json(fields: dict[str, Any]) -> None:
    typer.echo(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def _csv() -> Callable[[dict[str, Any]], None]:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    return lambda fields: writer.writerow(fields | {"details": json.dumps(fields["details"], ensure_ascii=False)})


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
