"""When two requests are the same, and which ones share a prefix. docs/batches.md says it in words."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from haiga.core.embedding import EmbeddingRequest
from haiga.core.generation import TextRequest
from haiga.core.jobs import Dedupe
from haiga.core.messages import Block, BlocksSource, Document, Image, ToolResult, UrlSource
from haiga.core.moderation import ModerationRequest
from haiga.core.ports import ModelCard
from haiga.services.batches.forms import Work

FIRST, LEVELS = 128, 10  # characters of the shortest prefix; each next one is twice as long


def digest_of(work: Work, card: ModelCard, form: str, workspace: str, dedupe: Dedupe) -> str | None:
    """Equal for requests that may share one answer; None for one that may not.

    `form` is the endpoint and how the answer is written. Otherwise what the request means is compared, not its JSON;
    `user` has no part in the answer.
    """
    if dedupe == "off" or (dedupe == "deterministic" and not _is_deterministic(work)):
        return None
    if isinstance(work, ModerationRequest):
        return None  # what is flagged is a matter of the key, and a judgement is cheap
    if not isinstance(work, EmbeddingRequest) and any(request.toolsets for request in work):
        return None  # a tool may do something, and is to do it for everyone who asks
    meant = _meant(work, card.name, workspace)
    return sha256(_bytes(repr((form, card, meant)))).hexdigest()


def _is_deterministic(work: Work) -> bool:
    """Vectors and judgements are the same every time."""
    return isinstance(work, EmbeddingRequest | ModerationRequest) or all(is_deterministic(request) for request in work)


def _meant(work: Sequence[TextRequest] | EmbeddingRequest, model: str, workspace: str) -> object:
    if isinstance(work, EmbeddingRequest):
        return replace(work, model=model, workspace=workspace, user=None)
    meant = {"model": model, "workspace": workspace, "priority": "batch", "user": None}
    asked = [replace(request, **meant) for request in work]  # type: ignore[arg-type]
    return asked[0] if len(asked) == 1 else asked


def is_deterministic(request: TextRequest) -> bool:
    """Whether the same request again is to give the same answer: chance has no part in it, nor has what a URL holds or
    a server's tool says by then."""
    sampling = request.sampling
    fixed = sampling.temperature == 0 or sampling.top_k == 1 or sampling.seed is not None
    return (
        fixed
        and not request.toolsets
        and not any(_fetched(block) for message in request.messages for block in message.content)
    )


def _fetched(block: Block) -> bool:
    """Whether a part of the block is behind a URL."""
    match block:
        case ToolResult(content=inner) | Document(source=BlocksSource(content=inner)):
            return any(map(_fetched, inner))
        case Image(source=UrlSource()) | Document(source=UrlSource()):
            return True
    return False


def order_of(work: Work, model: str) -> str:
    """At most 64 characters that sort requests to one model with a common beginning next to each other: digests of
    prefixes of the (first) prompt, each twice as long as the one before."""
    prompt = _bytes(repr(_prompt(work)))
    digest, order = sha256(), [sha256(_bytes(model)).hexdigest()[:8]]
    start = 0
    for level in range(LEVELS):
        end = FIRST << level
        digest.update(prompt[start:end])
        order.append(digest.hexdigest()[:5])
        if end >= len(prompt):
            break
        start = end
    return "".join(order)


def _prompt(work: Work) -> object:
    if isinstance(work, ModerationRequest):
        return work.items
    if isinstance(work, EmbeddingRequest):
        return work.inputs
    request = work[0]
    return request.tools, request.system, request.raw or request.messages


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
