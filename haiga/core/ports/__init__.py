"""The seams: `models` runs models, `stores` keeps things. Each has a real implementation, a public fake or second one,
and one conformance suite in tests/conformance.

Rule: a seam is a Protocol over core values; a capability is data that the implementation declares, never a class
that somebody asks about.
"""

from haiga.core.ports.models import (
    Ask,
    AskVectors,
    Capabilities,
    Elsewhere,
    Embedder,
    EmbeddingStage,
    Engine,
    Horizon,
    ModelCard,
    Row,
    Runner,
    Stage,
)
from haiga.core.ports.stores import (
    AuditStore,
    BatchStore,
    BlobStore,
    ChatStore,
    Draft,
    FileStore,
    KeyStore,
    Meters,
    ModelStore,
    ResponseStore,
    ResultStore,
    UsageStore,
    WebhookStore,
)

__all__ = [
    "Ask",
    "AskVectors",
    "AuditStore",
    "BatchStore",
    "BlobStore",
    "Capabilities",
    "ChatStore",
    "Draft",
    "Elsewhere",
    "Embedder",
    "EmbeddingStage",
    "Engine",
    "FileStore",
    "Horizon",
    "KeyStore",
    "Meters",
    "ModelCard",
    "ModelStore",
    "ResponseStore",
    "ResultStore",
    "Row",
    "Runner",
    "Stage",
    "UsageStore",
    "WebhookStore",
]
