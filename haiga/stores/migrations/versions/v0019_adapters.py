"""The model that a model of the library is an adapter of."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("models", sa.Column("base", sa.String(255)))
