"""What requests used, in the database; implements core.ports.UsageStore."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Row, RowMapping, delete, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.generation import Usage
from haiga.core.records import Cost, Question, Record, Total
from haiga.stores.tables import COSTS, TOKENS, USAGE

PLAIN = tuple(field.name for field in fields(Record) if field.name not in ("usage", "cost"))
SPENT = sum((USAGE.c[f"cost_{name}"] for name in COSTS), start=literal(0))


class DatabaseUsage:
    """Rows in the table usage."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, records: Sequence[Record]) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(insert(USAGE), [_row(record) for record in records])

    async def of(self, answer: str, workspace: str) -> list[Record]:
        query = select(USAGE).where(USAGE.c.answer == answer, USAGE.c.workspace == workspace).order_by(USAGE.c.id)
        async with self._engine.connect() as connection:
            return [_record(row) for row in (await connection.execute(query)).mappings()]

    async def spent(self, only: Mapping[str, str], since: int) -> int:
        query = select(func.sum(SPENT)).where(USAGE.c.created_at >= since)
        query = query.where(*(USAGE.c[name] == value for name, value in only.items()))
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar() or 0)

    async def totals(self, question: Question) -> list[Total]:
        start: ColumnElement[Any] = literal(question.since)
        if question.width is not None:
            start = USAGE.c.created_at // question.width * question.width
        groups = [USAGE.c[name] for name in question.by]
        summed = ("images", "requests", *TOKENS, *(f"cost_{name}" for name in COSTS))
        counted = [USAGE.c[name] for name in summed]
        query = (
            select(start.label("start"), *groups, *(func.sum(column) for column in counted))
            .where(USAGE.c.created_at >= question.since, USAGE.c.created_at < question.until)
            .where(*(USAGE.c[name].in_(values) for name, values in question.only.items()))
            .group_by("start", *groups)
            .order_by("start", *groups)
        )
        async with self._engine.connect() as connection:
            return [_total(row, len(groups)) for row in await connection.execute(query)]

    async def forget(self, before: int) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(delete(USAGE).where(USAGE.c.created_at < before))).rowcount


def _row(record: Record) -> dict[str, Any]:
    tokens = {name: getattr(record.usage, name) for name in TOKENS}
    costs = {f"cost_{name}": getattr(record.cost, name) for name in COSTS}
    return {name: getattr(record, name) for name in PLAIN} | tokens | costs


def _record(row: RowMapping) -> Record:
    usage = Usage(**{name: row[name] for name in TOKENS})
    cost = Cost(**{name: row[f"cost_{name}"] for name in COSTS})
    return Record(**{name: row[name] for name in PLAIN}, usage=usage, cost=cost)


def _total(row: Row[Any], groups: int) -> Total:
    start, *rest = tuple(row)
    images, requests, *counts = (int(count) for count in rest[groups:])
    used: dict[str, Any] = dict(zip(TOKENS, counts, strict=False))
    return Total(int(start), tuple(rest[:groups]), requests, Usage(**used), Cost(*counts[len(TOKENS) :]), images)
