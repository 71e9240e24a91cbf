"""What requests used and cost, and which key a batch is of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    tokens = ("input", "creation_5m", "creation_1h", "cache_read", "output", "thinking")
    costs = ("input", "creation_5m", "creation_1h", "cache_read", "output")
    op.create_table(
        "usage",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("family", sa.String(16), nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("tier", sa.String(16), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("stop", sa.String(64)),
        sa.Column("latency", sa.Float(53)),
        sa.Column("duration", sa.Float(53), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in tokens),
        *(sa.Column(f"cost_{name}", sa.BigInteger, nullable=False) for name in costs),
        sa.Column("discount", sa.BigInteger, nullable=False),
        sa.Column("answer", sa.String(64)),
        sa.Column("asked_for", sa.Text),
        sa.Column("user", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("referer", sa.Text),
        sa.Column("agent", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
    )
    op.create_index("ix_usage_created_at", "usage", ["created_at"])
    op.create_index("ix_usage_answer", "usage", ["answer"])
    op.add_column("batches", sa.Column("key", sa.String(64)))
