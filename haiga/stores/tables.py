"""Every table. Rule: types that SQLite and PostgreSQL share; times are unix seconds.

A change here needs a file in migrations/versions; a test holds the two against each other.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from haiga.stores import picture_tables as picture_tables
from haiga.stores.metadata import METADATA as METADATA

TOKENS = ("input", "creation_5m", "creation_1h", "cache_read", "output", "thinking")  # of core.generation.Usage
COSTS = ("input", "creation_5m", "creation_1h", "cache_read", "output")  # of core.records.Cost


def _limits() -> list[Column[int]]:
    """Columns of core.limits.Limits."""
    names = ("requests", "input_tokens", "output_tokens", "concurrent", "budget")
    return [Column(name, BigInteger) for name in names]


API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("hint", Text, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("readonly", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("families", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("former_hash", String(64)),
    Column("former_until", BigInteger),
    *_limits(),
    Column("tags", Text, nullable=False),
    Column("policy", String(64)),
)

WORKSPACES = Table(
    "workspaces",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("archived_at", BigInteger),
    *_limits(),
)

MODELS = Table(
    "models",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("path", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("weights", String(16)),
    Column("added_at", BigInteger, nullable=False),
    Column("base", String(255)),
)

# What is in use of limits that several servers share, in core.limits' units; `at` is a microsecond of unix time.
METERS = Table(
    "meters",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# What a server has taken of meters that count requests under way. It is in use until the microsecond `until`, which the
# server puts off as long as it lives.
HOLDS = Table(
    "holds",
    METADATA,
    Column("meter", String(255), primary_key=True),
    Column("server", String(64), primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
)

# What requests used and cost, never what was said. Costs are billionths of a US dollar.
USAGE = Table(
    "usage",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("workspace", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("key", String(64)),
    Column("request_id", String(64), nullable=False),
    Column("family", String(16), nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("tier", String(16), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("stop", String(64)),
    Column("latency", Float(53)),
    Column("duration", Float(53), nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in TOKENS),
    *(Column(f"cost_{name}", BigInteger, nullable=False) for name in COSTS),
    Column("discount", BigInteger, nullable=False),
    Column("answer", String(64), index=True),
    Column("asked_for", Text),
    Column("user", Text),
    Column("session", Text),
    Column("referer", Text),
    Column("agent", Text),
    Column("provider", Text),
    Column("provider_id", Text),
    Column("images", BigInteger, nullable=False, server_default="0"),
    Index("ix_usage_key", "key", "created_at"),
    Index("ix_usage_workspace", "workspace", "created_at"),
)

# Other servers whose models are offered here; the body is the whole value as JSON.
UPSTREAMS = Table(
    "upstreams",
    METADATA,
    Column("name", String(255), primary_key=True),
    Column("added_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

RESPONSES = Table(
    "responses",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("background", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("previous", String(64)),
    Column("conversation", String(64)),
    Column("body", Text, nullable=False),
    Column("frames", LargeBinary),
    Column("lease", BigInteger),
    Index("ix_responses_status", "status"),
)

CONVERSATIONS = Table(
    "conversations",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("metadata", Text, nullable=False),
)

# What was said, in order: each item belongs to the response or the conversation that is its owner.
ITEMS = Table(
    "items",
    METADATA,
    Column("owner", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("id", String(64), nullable=False, index=True),
    Column("output", Boolean, nullable=False),
    Column("body", Text, nullable=False),
)

CHATS = Table(
    "chats",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("metadata", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("messages", Text, nullable=False),
)

# `papers` are those of a batch with files, which a `clerk` reads and writes until `clerk_until` at least.
BATCHES = Table(
    "batches",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("rules", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("errored", BigInteger, nullable=False),
    Column("canceled", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cancel_initiated_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("archived_at", BigInteger),
    Column("key", String(64)),
    Column("papers", Text),
    Column("clerk", String(64)),
    Column("clerk_until", BigInteger),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Index("ix_batches_workspace", "workspace", "id"),
)

# One request of a batch each. `worker` runs it until `lease` at least; `sort` brings shared prefixes together.
LINES = Table(
    "batch_lines",
    METADATA,
    Column("batch", String(64), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("custom_id", String(512), nullable=False),
    Column("state", String(16), nullable=False),
    Column("sort", String(64), nullable=False),
    Column("digest", String(64)),
    Column("tries", BigInteger, nullable=False),
    Column("worker", String(64)),
    Column("lease", BigInteger),
    Column("reused", Boolean, nullable=False),
    Column("params", LargeBinary, nullable=False),
    Column("result", LargeBinary),
    Index("ix_batch_lines_state", "state", "batch", "sort", "position"),
    Index("ix_batch_lines_digest", "digest", "state", "batch", "position"),
)

# `types` are event types, each with a space before and after it.
WEBHOOKS = Table(
    "webhooks",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("hint", String(64), nullable=False),
    Column("secret", BigInteger, nullable=False),
    Column("old_until", BigInteger),
    Column("disabled", Text),
    Column("failing_since", BigInteger),
)

# What is told to whom: written with what it tells of, so that no event is lost and none is made up.
DELIVERIES = Table(
    "webhook_deliveries",
    METADATA,
    Column("endpoint", String(64), primary_key=True),
    Column("event", String(64), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("workspace", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("next_at", BigInteger),
    Column("last_at", BigInteger),
    Column("status", BigInteger),
    Column("error", Text),
    Index("ix_webhook_deliveries_state", "state", "next_at"),
    Index("ix_webhook_deliveries_at", "endpoint", "at", "event"),
)

# Bytes are in blobs (blobs.py). `serial` is the order of creation, `made`: by the server itself.
FILES = Table(
    "files",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("made", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, index=True),
    Index("ix_files_workspace", "workspace", "serial"),
)

UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("lifetime", BigInteger),
    Column("status", String(16), nullable=False),
    Column("file", String(64)),
)

UPLOAD_PARTS = Table(
    "upload_parts",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("upload", String(64), nullable=False, index=True),
    Column("workspace", Text, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

# One row for each version; none of a name counts once they are removed.
POLICIES = Table(
    "moderation_policies",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("created_at", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("body", Text, nullable=False),
)

# Answers to be given again; `size` is that of the body in bytes.
RESULTS = Table(
    "results",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("used_at", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("ix_results_used_at", "used_at", "digest", "size"),
)

# What all servers over one database have in common, and nobody else may know.
SECRETS = Table(
    "secrets",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# Who did what to the server (core.audit). No row is ever changed; the oldest may go. No column is called `workspace`:
# the log outlives those whom it tells of.
AUDIT_LOG = Table(
    "audit_log",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("action", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text),
    Column("request", String(64)),
    Column("details", Text, nullable=False),
    Column("digest", String(64), nullable=False),
)

# Where the audit log begins and ends: one row.
AUDIT_CHAIN = Table(
    "audit_chain",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("before", String(64), nullable=False),
    Column("gone", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)
