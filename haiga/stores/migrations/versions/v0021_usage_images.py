"""How many pictures a request made."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("usage", sa.Column("images", sa.BigInteger, nullable=False, server_default="0"))
