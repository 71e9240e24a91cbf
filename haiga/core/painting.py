"""Jobs that make pictures: what is kept of one, and which changes of state there are.

Rule: a job that has ended never changes again; what it made until then stays with it.

    queued ──> running ──> done | failed | cancelled
       └─────────────────> failed (its deadline passed) | cancelled
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from haiga.core.errors import HaigaError
from haiga.core.images import Progress

JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
OVER: tuple[JobState, ...] = ("done", "failed", "cancelled")
UNFINISHED: tuple[JobState, ...] = ("queued", "running")
HIGHEST = 10  # priority; the lowest is its negative


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job came to no good end: the error's name in core.errors' tree (`invalid`, `dead`, `cancelled`), what it
    said, and of which field."""

    name: str
    message: str
    field: str | None = None

    @classmethod
    def of(cls, error: HaigaError) -> "Reason":
        return cls(error.name, error.message, error.field)


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture that a job made: its file is a blob. `parameters`: what made it, in infotext's names.
    `reason`: why the model was run as these say."""

    digest: str
    size: int
    media_type: str
    width: int
    height: int
    seed: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ImageJob:
    """A job of a workspace, asked with the key of id `key`. Times are unix seconds.

    `id` is the caller's choice or the server's, unique in the workspace; `serial` is greater than that of jobs before
    it. `asked` is the request as JSON, `inputs` the digests of the pictures in it, in their order. Higher `priority`
    goes first; a job that has not begun by its `deadline` has failed. Jobs are forgotten at `expires_at`.
    """

    id: str
    workspace: str
    serial: int
    model: str
    asked: bytes
    created_at: int
    expires_at: int
    key: str | None = None
    state: JobState = "queued"
    inputs: tuple[str, ...] = ()
    priority: int = 0
    deadline: float | None = None
    began_at: float | None = None
    ended_at: float | None = None
    reason: Reason | None = None
    results: tuple[KeptPicture, ...] = ()

    @property
    def name(self) -> str:
        """What tells it from all others. Ids have no slash."""
        return f"{self.workspace}/{self.id}"

    @property
    def over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as it is at this moment. `position`: how many jobs go before it, while it is queued. `progress`: while it
    runs. `eta`: seconds until it is done, as far as one can tell."""

    job: ImageJob
    position: int | None = None
    progress: Progress | None = None
    eta: float | None = None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are wanted, newest first: older than the one with the serial `before`, in one of the `states`, at most
    `limit`."""

    limit: int
    before: int | None = None
    states: tuple[JobState, ...] = ()


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, and whether there are more beyond."""

    jobs: tuple[ImageJob, ...] = ()
    more: bool = False
