"""Batches with files, and the tokens that batches used."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TOKENS = ("input_tokens", "cached_tokens", "reasoning_tokens")


def upgrade() -> None:
    with op.batch_alter_table("batches") as batches:
        batches.add_column(sa.Column("papers", sa.Text))
        batches.add_column(sa.Column("clerk", sa.String(64)))
        batches.add_column(sa.Column("clerk_until", sa.BigInteger))
        for name in TOKENS:
            batches.add_column(sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("batches") as batches:
        for name in TOKENS:
            batches.alter_column(name, server_default=None)
    with op.batch_alter_table("batch_lines") as lines:
        lines.alter_column("custom_id", type_=sa.String(512), existing_type=sa.String(64), existing_nullable=False)
