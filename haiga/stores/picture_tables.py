"""Tables of jobs that make pictures; rules as in tables.py."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from haiga.stores.metadata import METADATA

# `serial` is the order of creation, `until` when the lease of the server that has the job ends.
IMAGE_JOBS = Table(
    "image_jobs",
    METADATA,
    Column("workspace", String(255), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("serial", BigInteger, nullable=False),
    Column("key", String(64)),
    Column("model", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("asked", LargeBinary, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("deadline", Float),
    Column("began_at", Float),
    Column("ended_at", Float),
    Column("reason", Text),
    Column("until", Float, nullable=False),
    Index("ix_image_jobs_workspace", "workspace", "serial"),
    Index("ix_image_jobs_state", "state", "until"),
)

# What a job was brought (`made`: False) and what it made; the bytes are blobs.
IMAGE_PICTURES = Table(
    "image_pictures",
    METADATA,
    Column("workspace", String(255), primary_key=True),
    Column("job", String(64), primary_key=True),
    Column("made", Boolean, primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("body", Text),
)
