"""Workspaces, and what a key may do and how much."""

import secrets
import time

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

LIMITS = ("requests", "input_tokens", "output_tokens", "concurrent", "budget")


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as keys:
        for name in ("readonly", "paused"):
            keys.add_column(sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
        for name in ("families", "models"):
            keys.add_column(sa.Column(name, sa.Text, nullable=False, server_default=""))
        keys.add_column(sa.Column("former_hash", sa.String(64)))
        keys.add_column(sa.Column("former_until", sa.BigInteger))
        for name in LIMITS:
            keys.add_column(sa.Column(name, sa.BigInteger))
    with op.batch_alter_table("api_keys") as keys:
        for name in ("readonly", "paused", "families", "models"):
            keys.alter_column(name, server_default=None)
    op.create_table(
        "workspaces",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("archived_at", sa.BigInteger),
        *(sa.Column(name, sa.BigInteger) for name in LIMITS),
        sa.PrimaryKeyConstraint("name", name="pk_workspaces"),
        sa.UniqueConstraint("id", name="uq_workspaces_id"),
    )
    _name_workspaces()


def _name_workspaces() -> None:
    """Those that keys were made in."""
    workspaces = sa.table("workspaces", *(sa.column(name) for name in ("name", "id", "created_at")))
    named = op.get_bind().execute(sa.text("SELECT DISTINCT workspace FROM api_keys")).scalars().all()
    rows = [{"name": name, "id": f"wrkspc_{secrets.token_hex(8)}", "created_at": int(time.time())} for name in named]
    if rows:
        op.bulk_insert(workspaces, rows)
