"""What one key or one workspace spent is found without reading what others did."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_index("ix_usage_key", "usage", ["key", "created_at"])
    op.create_index("ix_usage_workspace", "usage", ["workspace", "created_at"])
