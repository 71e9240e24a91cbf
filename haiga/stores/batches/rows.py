"""Rows to batches and back."""

from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import RowMapping

from haiga.core.jobs import Batch, Counts, Line, Rules

COUNTED = ("succeeded", "errored", "canceled", "expired", "output_tokens")


def batch_row(batch: Batch) -> dict[str, Any]:
    row: dict[str, Any] = asdict(batch)
    counts: dict[str, int] = row.pop("counts")
    return row | counts | {"rules": orjson.dumps(row["rules"]).decode()}


def read_batch(row: RowMapping) -> Batch:
    fields = dict(row)
    counts = Counts(**{name: fields.pop(name) for name in COUNTED})
    return Batch(**fields | {"counts": counts, "rules": read_rules(fields["rules"])})


def read_rules(text: str) -> Rules:
    fields = orjson.loads(text)
    return Rules(**fields | {"betas": tuple(fields["betas"])})


def line_row(line: Line) -> dict[str, Any]:
    return {
        "batch": line.batch,
        "position": line.position,
        "custom_id": line.custom_id,
        "state": line.state,
        "sort": line.order,
        "digest": line.digest,
        "tries": line.tries,
        "reused": False,
        "params": line.params,
    }


def read_line(row: RowMapping, batch: Batch) -> Line:
    return Line(
        batch=batch.id,
        position=row["position"],
        custom_id=row["custom_id"],
        params=row["params"],
        workspace=batch.workspace,
        endpoint=batch.endpoint,
        rules=batch.rules,
        state=row["state"],
        order=row["sort"],
        digest=row["digest"],
        tries=row["tries"],
        key=batch.key,
    )
