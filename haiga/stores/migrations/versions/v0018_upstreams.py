"""Upstreams, and which of them answered a request."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "upstreams",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_upstreams"),
    )
    op.add_column("usage", sa.Column("provider", sa.Text))
    op.add_column("usage", sa.Column("provider_id", sa.Text))
