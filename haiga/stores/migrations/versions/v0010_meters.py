"""What is in use of limits that several servers share."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "meters",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meters"),
    )
