"""Who is asking, and what they may do."""

from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from haiga.core.generation import Served
from haiga.core.limits import Limits, Owner
from haiga.core.policies import Moderated
from haiga.core.results import Reuse

Family: TypeAlias = Literal["anthropic", "openai", "openrouter", "sdapi"]
Role: TypeAlias = Literal["admin", "developer", "readonly"]
DEFAULT = "default"  # the workspace of those who name none


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key may ask: which API families, which models by pattern, and only models that bear one of the `tags`;
    empty is all of them."""

    families: tuple[Family, ...] = ()
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def has_family(self, family: Family) -> bool:
        return not self.families or family in self.families

    def has_model(self, name: str) -> bool:
        return not self.models or any(fnmatchcase(name, pattern) for pattern in self.models)

    def has_tag(self, tags: Collection[str]) -> bool:
        return not self.tags or any(tag in self.tags for tag in tags)


@dataclass(slots=True)
class Heard:
    """What an upstream said beside its answer; None where this server answers."""

    by: Served | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The HTTP request behind a question. `answer` is the id of the answer where the API can be asked about it
    afterwards, `asked_for` the model as it was named, `reuse` what is said of kept answers; the rest is how a client
    says who it is. `answers` are wanted to one prompt; `again` marks those but the first, with which the prompt is
    counted. `batch`: a line of a batch asks. `moderated` is what is said of moderation."""

    request_id: str = ""
    family: Family = "anthropic"
    endpoint: str = ""
    streamed: bool = False
    answers: int = 1
    again: bool = False
    batch: bool = False
    answer: str | None = None
    asked_for: str | None = None
    session: str | None = None
    referer: str | None = None
    agent: str | None = None
    reuse: Reuse = field(default_factory=Reuse, compare=False)
    heard: Heard = field(default_factory=Heard, compare=False)
    moderated: Moderated = field(default_factory=Moderated, compare=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `key` is the key's id, None on an open loopback server; `workspace` salts the KV
    cache, so that no workspace can learn from timings or usage what another one sent. `owners` are those whose limits
    hold for it; `policy` names the moderation policy that its key is held to, None for the server's own."""

    key: str | None = None
    workspace: str = DEFAULT
    admin: bool = False
    readonly: bool = False
    scope: Scope = Scope()
    owners: tuple[Owner, ...] = ()
    origin: Origin = field(default_factory=Origin)
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as it is kept: never the secret, only its SHA-256 in hexadecimal (`hash`) and a `hint` to know it by
    in lists. After a rotation the secret before it (`former_hash`) goes on until `former_until`. A key that is paused
    can be made to work again. `policy` names the moderation policy that it is held to. Times are unix seconds."""

    id: str
    name: str
    hash: str
    hint: str
    workspace: str
    admin: bool
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    readonly: bool = False
    paused: bool = False
    scope: Scope = Scope()
    limits: Limits = Limits()
    former_hash: str | None = None
    former_until: int | None = None
    policy: str | None = None

    @property
    def role(self) -> Role:
        return "admin" if self.admin else "readonly" if self.readonly else "developer"

    def usable(self, now: float) -> bool:
        return self.revoked_at is None and not self.paused and (self.expires_at is None or now < self.expires_at)

    def opens(self, digest: str, now: float) -> bool:
        """Whether the secret with this hash is the key's own, or the one before while that goes on."""
        return digest == self.hash or (self.former_until is not None and now < self.former_until)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace: `name` is what its data and keys are filed under, `id` what APIs call it by. None of the keys of one
    that is archived works. Times are unix seconds."""

    name: str
    id: str
    created_at: int
    archived_at: int | None = None
    limits: Limits = field(default_factory=Limits)
