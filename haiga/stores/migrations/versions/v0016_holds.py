"""What each server has taken of meters that count requests under way."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "holds",
        sa.Column("meter", sa.String(255), nullable=False),
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("meter", "server", name="pk_holds"),
    )
    op.create_index("ix_holds_until", "holds", ["until"])
