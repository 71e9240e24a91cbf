"""Jobs that make pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "image_jobs",
        sa.Column("workspace", sa.String(255), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("key", sa.String(64)),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.Float),
        sa.Column("began_at", sa.Float),
        sa.Column("ended_at", sa.Float),
        sa.Column("reason", sa.Text),
        sa.Column("until", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("workspace", "id", name="pk_image_jobs"),
    )
    op.create_index("ix_image_jobs_workspace", "image_jobs", ["workspace", "serial"])
    op.create_index("ix_image_jobs_state", "image_jobs", ["state", "until"])
    op.create_table(
        "image_pictures",
        sa.Column("workspace", sa.String(255), nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("made", sa.Boolean, nullable=False),
        sa.Column("place", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("body", sa.Text),
        sa.PrimaryKeyConstraint("workspace", "job", "made", "place", name="pk_image_pictures"),
    )
    op.create_index("ix_image_pictures_digest", "image_pictures", ["digest"])
