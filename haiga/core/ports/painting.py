"""Who makes pictures, and where their jobs are kept.

Rule: a job changes its state in the store first; whoever works on it finds out there whether it still has to.
"""

from collections.abc import AsyncGenerator, Collection
from typing import Protocol

from haiga.core.images import ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.painting import ImageJob, JobFilter, JobPage, KeptPicture
from haiga.core.ports.models import ModelCard


class ImageEngine(Protocol):
    """Who runs a model that makes pictures. One has one job under way; others wait in their order."""

    @property
    def card(self) -> ModelCard:
        """What this engine's model can do."""

    def paint(self, request: ImageRequest, seed: int) -> AsyncGenerator[Progress | Painted, None]:
        """The job's steps and pictures, the first with the seed, each further one with the next. Raises core errors
        only. Closing the generator stops the job before its next step."""

    def upscale(self, request: UpscaleRequest) -> AsyncGenerator[Progress | Painted, None]:
        """The picture, larger. Raises and is closed as `paint`."""

    def skip(self) -> None:
        """Leave the pictures that are being made together, and go on with the next of their job; nothing where none
        are."""

    @property
    def busy(self) -> int:
        """Jobs under way and waiting here."""

    async def start(self) -> None:
        """As an engine's."""

    async def close(self) -> None:
        """As an engine's."""

    @property
    def memory(self) -> int:
        """As an engine's, in bytes."""


class JobStore(Protocol):
    """Where jobs that make pictures are kept. A server holds its jobs by a lease, until a unix second; those of one
    that is gone can be taken over."""

    async def add(self, job: ImageJob, until: float) -> bool:
        """Keep a new job, held until then; False when its workspace has one of its id."""

    async def get(self, workspace: str, id: str) -> ImageJob | None:
        """A job by its id."""

    async def page(self, workspace: str, wanted: JobFilter) -> JobPage:
        """The jobs wanted, newest first."""

    async def begin(self, job: ImageJob, at: float) -> bool:
        """A queued job runs; False when it is queued no more."""

    async def add_result(self, job: ImageJob, picture: KeptPicture) -> bool:
        """One more picture of a running job; False when it runs no more."""

    async def end(self, job: ImageJob) -> bool:
        """Keep the state, reason and time of a job that has ended; False when it had ended before, or is not there."""

    async def delete(self, job: ImageJob) -> bool:
        """Forget a job; False when it is not there."""

    async def renew(self, jobs: Collection[ImageJob], until: float) -> set[str]:
        """Hold these until then; the names of those that have not ended."""

    async def adopt(self, now: float, until: float, everything: bool = False) -> list[ImageJob]:
        """Take over, until then, all jobs that have not ended and that nobody holds any more, oldest first; everything:
        also those that somebody seems to hold."""

    async def expire(self, now: float) -> list[str]:
        """Forget jobs that have ended and whose time is over; the digests of what they had."""
