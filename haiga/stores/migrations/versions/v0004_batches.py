"""Batches and their lines."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("rules", sa.Text, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("succeeded", sa.BigInteger, nullable=False),
        sa.Column("errored", sa.BigInteger, nullable=False),
        sa.Column("canceled", sa.BigInteger, nullable=False),
        sa.Column("expired", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cancel_initiated_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("archived_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_index("ix_batches_status", "batches", ["status"])
    op.create_index("ix_batches_workspace", "batches", ["workspace", "id"])
    op.create_table(
        "batch_lines",
        sa.Column("batch", sa.String(64), nullable=False),
        sa.Column("position", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("custom_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sort", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("tries", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.String(64)),
        sa.Column("lease", sa.BigInteger),
        sa.Column("reused", sa.Boolean, nullable=False),
        sa.Column("params", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.PrimaryKeyConstraint("batch", "position", name="pk_batch_lines"),
    )
    op.create_index("ix_batch_lines_state", "batch_lines", ["state", "batch", "sort", "position"])
    op.create_index("ix_batch_lines_digest", "batch_lines", ["digest", "state", "batch", "position"])
