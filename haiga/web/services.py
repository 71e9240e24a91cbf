"""What the web layer stands on: given to `create_app`, never looked up."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from haiga.core.access import Caller
from haiga.core.jobs import Dedupe
from haiga.core.limits import Standing
from haiga.core.palette import Palette
from haiga.core.ports import ChatStore
from haiga.core.records import Price
from haiga.services.adapters import Adapters
from haiga.services.audit import Audit
from haiga.services.batches import Batches
from haiga.services.erasure import Erasure
from haiga.services.files import Files
from haiga.services.images import Jobs
from haiga.services.images.taking import Taker
from haiga.services.inference import Inference
from haiga.services.keyring import Keyring
from haiga.services.metrics import Metrics
from haiga.services.moderation import Policies
from haiga.services.requests import Asked
from haiga.services.responses import Responses
from haiga.services.usage import Ledger
from haiga.services.webhooks import Webhooks

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Access(Protocol):
    async def authenticate(self, credential: str | None) -> Caller:
        """Who holds this credential. Raises Denied."""


def random_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Times are seconds, sizes bytes.

    `open`: no key is configured, so that Host and Origin are all there is to tell a local program from a web page.
    `allowed_hosts`: names besides the loopback ones that an open server answers to. `batch_limit` bounds the body that
    makes a batch, `file_limit` and `part_limit` the forms that bring a file or a part of one, `body_limit` every other.
    `patience`: how long a stream may wait for its first event before its headers are sent. `ping`: how long a stream
    may be silent. `keep`: how long chat completions are kept.
    """

    open: bool = True
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    body_limit: int = 32 << 20
    batch_limit: int = 256 << 20
    file_limit: int = 513 << 20
    part_limit: int = 65 << 20
    patience: float = 10.0
    ping: float = 15.0
    dedupe: Dedupe = "deterministic"
    new_id: Callable[[str], str] = random_id
    keep: int = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Services:
    """`prices` are by the model's name; one that is not there costs nothing. Without `responses` the Responses and
    Conversations APIs are not there, without `chats` no chat completion is kept, without `batches`, `files` and
    `webhooks` and `policies` there are none. `stands` tells where a caller stands with its limits; `ledger`, `keyring`,
    `audit` and `erasure` are what administrators see, `adapters` what they load; `refused` is told of requests that
    were answered 401 or 403, `tracer` makes their spans. Without `jobs` no pictures are made;
    `taker` takes in those that requests for them bring, `palette` is what these can name at this moment."""

    access: Access
    inference: Inference
    settings: WebSettings = field(default_factory=WebSettings)
    stands: Callable[[Caller], Sequence[Standing]] = lambda caller: ()
    prices: Mapping[str, Price] = field(default_factory=dict)
    ledger: Ledger | None = None
    keyring: Keyring | None = None
    metrics: Metrics | None = None
    responses: Responses | None = None
    chats: ChatStore | None = None
    batches: Batches | None = None
    files: Files | None = None
    webhooks: Webhooks | None = None
    audit: Audit | None = None
    erasure: Erasure | None = None
    adapters: Adapters | None = None
    refused: Callable[[Asked], None] = lambda asked: None
    tracer: "Tracer | None" = None
    policies: Policies | None = None
    jobs: Jobs | None = None
    taker: Taker | None = None
    palette: Callable[[], Palette] = Palette
