"""`haiga usage`: what requests used and cost, as a table."""

import asyncio
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from haiga.cli.options import Database, DataDir, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings, parse_seconds
from haiga.core.limits import DOLLAR
from haiga.core.records import Question, Total

DAY = 86400
BY = ("key", "model", "workspace", "day", "family", "endpoint", "tier", "outcome")
COUNTED = ("requests", "input", "cache write", "cache read", "output", "images", "dollars")


def usage(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="What to add up by.", metavar="|".join(BY))] = "model",
    last: Annotated[str, typer.Option(help="How far back, as in 12h or 30d.", metavar="TIME")] = "7d",
    workspace: Annotated[str | None, typer.Option(help="Only this workspace.", metavar="NAME")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV instead of a table.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Show what requests used and cost: tokens by kind, and US dollars."""
    if by not in BY:
        raise typer.BadParameter(f"expected one of {', '.join(BY)}, not {by!r}", param_hint="--by")
    try:
        since = int(time.time() - parse_seconds(last))
    except ValueError as problem:
        raise typer.BadParameter(f"{problem}, not {last!r}", param_hint="--last") from None
    only = {} if workspace is None else {"workspace": (workspace,)}
    grouped = () if by == "day" else (by,)
    question = Question(since, 2**53, DAY if by == "day" else None, grouped, only)
    totals, names = asyncio.run(_ask(settings_from(context), question))
    rows = [(_group(total, names), *_counts(total)) for total in totals]
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([(by, *COUNTED), *rows])
    elif rows:
        show_table((by, *COUNTED), [*_told(rows), *_told([("all", *_sums(totals))])])
    else:
        typer.echo(f"nothing was asked in the last {last}", err=True)


async def _ask(settings: Settings, question: Question) -> tuple[list[Total], dict[str, str]]:
    """The totals, and the names of keys by id."""
    from haiga.stores.connect import connect
    from haiga.stores.keys import DatabaseKeys
    from haiga.stores.usage import DatabaseUsage

    async with connect(settings.records) as opened:
        names = {key.id: f"{key.name} ({key.id})" for key in await DatabaseKeys(opened).all()}
        return await DatabaseUsage(opened).totals(question), names


def _group(total: Total, names: dict[str, str]) -> str:
    if not total.group:
        return datetime.fromtimestamp(total.start, UTC).strftime("%Y-%m-%d")
    (value,) = total.group
    return "no key" if value is None else names.get(value, value)


def _counts(total: Total) -> tuple[int | float, ...]:
    used = total.usage
    tokens = (used.input, used.creation, used.cache_read, used.output)
    return (total.requests, *tokens, total.images, total.cost.total / DOLLAR)


def _sums(totals: Sequence[Total]) -> tuple[int | float, ...]:
    return tuple(map(sum, zip(*map(_counts, totals), strict=True)))


def _told(rows: Sequence[tuple[str | int | float, ...]]) -> Iterator[tuple[str, ...]]:
    for group, *counts, dollars in rows:
        yield (str(group), *(f"{count:,}" for count in counts), f"{dollars:,.6f}")
