"""Rows to batches and back."""

from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import RowMapping

from haiga.core.jobs import Batch, Counts, Line, Papers, Problem, Rules

TOKENS = ("output_tokens", "input_tokens", "cached_tokens", "reasoning_tokens")
COUNTED = ("succeeded", "errored", "canceled", "expired", *TOKENS)
HELD = ("clerk", "clerk_until")  # columns that are no part of a batch


def batch_row(batch: Batch) -> dict[str, Any]:
    row: dict[str, Any] = asdict(batch)
    counts: dict[str, int] = row.pop("counts")
    return row | counts | {"rules": orjson.dumps(row["rules"]).decode(), "papers": papers_text(batch)}


def read_batch(row: RowMapping) -> Batch:
    fields = {name: value for name, value in row.items() if name not in HELD}
    counts = Counts(**{name: fields.pop(name) for name in COUNTED})
    return Batch(
        **fields | {"counts": counts, "rules": read_rules(fields["rules"]), "papers": _papers(fields["papers"])}
    )


def papers_text(batch: Batch) -> str | None:
    return None if batch.papers is None else orjson.dumps(asdict(batch.papers)).decode()


def _papers(text: str | None) -> Papers | None:
    if text is None:
        return None
    fields = orjson.loads(text)
    return Papers(**fields | {"problems": tuple(Problem(**problem) for problem in fields["problems"])})


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
