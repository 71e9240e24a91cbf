"""Until when the maker of a response is believed to be there."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    with op.batch_alter_table("responses", recreate="always") as responses:
        responses.add_column(sa.Column("lease", sa.BigInteger))
