"""Who keeps things.

Rule: what one method does happens whole or not at all; times are unix seconds.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from haiga.core.access import ApiKey, Workspace
from haiga.core.audit import AuditFilter, AuditLine, Chain, Deed
from haiga.core.chats import ChatFilter, KeptChat
from haiga.core.files import Blob, FileFilter, FilePage, KeptFile, KeptUpload, Part, Used
from haiga.core.jobs import Batch, Line, Outcome, Page, Prepared, Result
from haiga.core.library import AddedModel
from haiga.core.limits import Meter, Want
from haiga.core.policies import KeptPolicy, Policy
from haiga.core.records import Question, Record, Total
from haiga.core.responses import History, Item, KeptConversation, KeptResponse
from haiga.core.webhooks import Delivery, WebhookEndpoint, WebhookEvent

if TYPE_CHECKING:
    from haiga.core.upstreams import Upstream


class Meters(Protocol):
    """Where it is counted what is in use of every limit. `now` is a microsecond of unix time."""

    async def take(self, wants: Sequence[Want], now: int) -> Sequence[Meter]:
        """Take all of them if all fit, else none; the meters drained to `now`, before anything is taken."""

    async def give(self, wants: Sequence[Want], now: int) -> None:
        """Take these, whether they fit or not: negative amounts are given back. It happens even if whoever waits for
        it is cancelled."""

    def seen(self, want: Want, now: int) -> Meter:
        """The want's meter as this process saw it last, drained to `now`."""


class KeyStore(Protocol):
    """Where API keys are kept. A `deed` is written into the audit log together with what was done."""

    async def add(self, key: ApiKey, deed: Deed | None = None) -> None:
        """Keep a new key."""

    async def all(self) -> list[ApiKey]:
        """Every key, revoked and expired ones too, oldest first."""

    async def change(self, key: ApiKey, deed: Deed | None = None) -> bool:
        """Keep a key as it is now; False when there is none of its id that is not revoked."""

    async def revoke(self, key_id: str, at: int, deed: Deed | None = None) -> bool:
        """Mark a key revoked at unix second `at`; False when there is no such key that is not revoked yet."""

    async def workspaces(self) -> list[Workspace]:
        """Every workspace, archived ones too, oldest first."""

    async def put_workspace(self, workspace: Workspace, deed: Deed | None = None) -> None:
        """Keep a workspace; one of the same name is replaced."""


class AuditStore(Protocol):
    """Where the audit log is kept: lines are added, and the oldest can go."""

    async def write(self, deeds: Sequence[Deed]) -> None:
        """Add a line for each, or none."""

    async def page(self, wanted: AuditFilter) -> list[AuditLine]:
        """The lines wanted, in the order wanted."""

    async def chain(self) -> Chain:
        """Where the log begins and ends."""

    def lines(self, last: int | None = None) -> AsyncGenerator[AuditLine, None]:
        """All lines, or those up to the number `last`, in the order of their numbers."""

    async def forget(self, before: int) -> int:
        """Forget the oldest lines, those from before a unix second; how many there were."""


class ModelStore(Protocol):
    """Where the list of added models is kept. Deeds as in KeyStore."""

    async def put(self, model: AddedModel, deed: Deed | None = None) -> None:
        """Keep a model; one of the same name is replaced."""

    async def all(self) -> list[AddedModel]:
        """Every model, oldest first."""

    async def remove(self, name: str, deed: Deed | None = None) -> bool:
        """Forget a model; False when there is none of that name."""


class PolicyStore(Protocol):
    """Where moderation policies are kept, every version of them."""

    async def add(self, policy: Policy, at: int, deed: Deed | None = None) -> KeptPolicy:
        """Keep a policy as the next version of its name, numbered from 1, made at unix second `at`. The audit log has
        the deed with the version."""

    async def current(self) -> list[KeptPolicy]:
        """The last version of each name that is not removed, by name."""

    async def versions(self, name: str) -> list[KeptPolicy]:
        """Every version of a name, newest first, also of one that is removed."""

    async def remove(self, name: str, deed: Deed | None = None) -> bool:
        """Have no policy of that name any more; its versions can still be read. False when there is none."""


class UpstreamStore(Protocol):
    """Where the list of upstreams is kept. Deeds as in KeyStore."""

    async def put(self, upstream: "Upstream", deed: Deed | None = None) -> None:
        """Keep an upstream; one of the same name is replaced."""

    async def all(self) -> "list[Upstream]":
        """Every upstream, oldest first."""

    async def remove(self, name: str, deed: Deed | None = None) -> bool:
        """Forget an upstream; False when there is none of that name."""


class ResponseStore(Protocol):
    """Where answers and conversations are kept. What has expired at unix second `now`, or belongs to another
    workspace, is not there."""

    async def put(self, response: KeptResponse, input: Sequence[Item], event: WebhookEvent | None = None) -> None:
        """Keep a response with its input items; one of the same id is replaced. The responses that it continues are
        kept as long as it is. Whoever wants to know of the `event` is told, unless they were before."""

    async def get(self, workspace: str, id: str, now: int) -> KeptResponse | None:
        """A response by its id."""

    async def unfinished(self, now: int) -> list[KeptResponse]:
        """The responses in the background that have no end, and nobody who makes them: see KeptResponse.lost."""

    async def vouch(self, ids: Collection[str], until: int) -> None:
        """Whoever makes these responses is there until then."""

    async def delete(self, workspace: str, id: str) -> bool:
        """Forget a response and its items; False when there is none."""

    async def history(self, workspace: str, id: str, now: int) -> History:
        """What was said up to and with a response."""

    async def input(self, id: str) -> list[Item]:
        """The items that a response was given, in order."""

    async def find(self, workspace: str, ids: Sequence[str], now: int) -> dict[str, Item]:
        """Items by their ids, wherever they are kept; those that are nowhere are left out."""

    async def put_conversation(self, conversation: KeptConversation) -> None:
        """Keep a conversation; one of the same id is replaced, its items stay."""

    async def conversation(self, workspace: str, id: str, now: int) -> KeptConversation | None:
        """A conversation by its id."""

    async def delete_conversation(self, workspace: str, id: str) -> bool:
        """Forget a conversation and its items; False when there is none."""

    async def items(self, conversation: str) -> list[Item]:
        """A conversation's items, in order."""

    async def append(self, conversation: KeptConversation, items: Sequence[Item]) -> None:
        """Add items at the end of a conversation, and keep it until its `expires_at`."""

    async def remove(self, conversation: str, item: str) -> bool:
        """Take an item out of a conversation; False when it is not in it."""

    async def expire(self, now: int) -> None:
        """Forget what has expired."""


class UsageStore(Protocol):
    """Where it is kept what requests used."""

    async def write(self, records: Sequence[Record]) -> None:
        """Keep all of them, or none."""

    async def of(self, answer: str, workspace: str) -> list[Record]:
        """The records of the answer with an id."""

    async def spent(self, only: Mapping[str, str], since: int) -> int:
        """Billionths of a US dollar from unix second `since` on, for records whose fields have these values."""

    async def totals(self, question: Question) -> list[Total]:
        """By time and group; what has no records is left out."""

    async def forget(self, before: int) -> int:
        """Forget records made before a unix second; how many there were."""


class ChatStore(Protocol):
    """Where chat completions are kept. What has expired at unix second `now`, or belongs to another workspace, is not
    there."""

    async def put(self, chat: KeptChat) -> None:
        """Keep it; one of the same id is replaced."""

    async def get(self, workspace: str, id: str, now: int) -> KeptChat | None:
        """A chat completion by its id."""

    async def delete(self, workspace: str, id: str) -> bool:
        """Forget it; False when there is none of that id."""

    async def list(self, workspace: str, wanted: ChatFilter, now: int) -> "list[KeptChat]":
        """Those wanted, in order."""


class BatchStore(Protocol):
    """Where batches and their lines are kept; each method happens whole or not at all. `now` and `until` are unix
    seconds."""

    async def open(self, batch: Batch) -> None:
        """Keep a batch that is being received; nobody sees it yet."""

    async def fill(self, lines: Sequence[Line]) -> None:
        """Keep some of its lines."""

    async def seal(self, batch: Batch) -> bool:
        """It was received whole: its status and total are known; False when it is gone meanwhile."""

    async def drop(self, id: str) -> None:
        """Forget a batch and its lines."""

    async def get(self, workspace: str, id: str) -> Batch | None:
        """A batch of the workspace by its id."""

    async def page(
        self, workspace: str, limit: int, after: str | None = None, before: str | None = None, filed: bool = False
    ) -> Page:
        """The newest ones, or those right after (older than) or right before (newer than) the one with an id: of those
        that have their lines in a file, or of the others."""

    async def cancel(self, workspace: str, id: str, now: int) -> Batch | None:
        """Ask for it to be canceled; as it is then, None when there is none."""

    def results(self, id: str) -> AsyncIterator[Result]:
        """The results of a batch that has ended."""

    async def unread(self, worker: str, until: int, limit: int) -> list[Line]:
        """Up to `limit` lines that were not read yet, the oldest batch's first, now the worker's until `until`."""

    async def prepare(self, worker: str, lines: Sequence[Prepared], now: int) -> None:
        """Lines that the worker has read wait, follow an identical one, or have its answer or their own error."""

    async def claim(self, worker: str, until: int, limit: int, suspects: bool) -> list[Line]:
        """Up to `limit` waiting lines of one batch, now the worker's until `until`: suspects (core.jobs.SUSPECT) or
        others. It is the turn of the workspace, and in it of the batch, that has the fewest lines under way."""

    async def renew(self, worker: str, until: int) -> set[tuple[str, int]]:
        """Go on holding what the worker has taken; gives back what of it runs, as batch and position."""

    async def finish(self, worker: str, outcomes: Sequence[Outcome], now: int) -> None:
        """Keep what came of lines that the worker still holds."""

    async def release(self, worker: str) -> None:
        """Give back what the worker holds, as if it had never taken it."""

    async def take_papers(self, clerk: str, now: int, until: int) -> Batch | None:
        """A batch whose file is to be read, or whose results are to be written, now the clerk's until `until`."""

    async def hold_papers(self, clerk: str, id: str, until: int) -> bool:
        """Go on holding a batch; False when it is not the clerk's any more."""

    async def clear(self, clerk: str, id: str) -> None:
        """Forget the lines of a batch that the clerk reads, or that was canceled while it did."""

    async def conclude(self, clerk: str, batch: Batch, files: Sequence[KeptFile] = ()) -> bool:
        """The clerk's work is done: the batch is as it is given, and the files are there; False when it was not the
        clerk's any more."""

    async def sweep(self, now: int) -> None:
        """What time brings: lines whose worker is gone wait again, batches are canceled, expire, end, are archived."""


class WebhookStore(Protocol):
    """Where webhook endpoints and what is sent to them are kept; `now` and `until` are unix seconds."""

    async def add(self, endpoint: WebhookEndpoint, limit: int) -> bool:
        """Keep a new endpoint; False when its workspace has `limit` of them."""

    async def get(self, workspace: str, id: str) -> WebhookEndpoint | None:
        """An endpoint of the workspace by its id."""

    async def page(self, workspace: str, limit: int, after: str | None) -> list[WebhookEndpoint]:
        """The newest ones, or those right after (older than) the one with an id."""

    async def replace(self, endpoint: WebhookEndpoint) -> None:
        """Keep an endpoint as its owner changed it; what waits to be sent to one that is disabled has failed."""

    async def remove(self, workspace: str, id: str) -> bool:
        """Forget an endpoint and its log; False when there is none."""

    async def log(self, endpoint: str, limit: int, after: str | None) -> list[Delivery]:
        """The newest deliveries to an endpoint, or those right after (older than) the one of an event."""

    async def delivery(self, endpoint: str, event: str) -> Delivery | None:
        """What became of an event at an endpoint."""

    async def send_again(self, endpoint: str, event: str, now: int) -> None:
        """Try a delivery again, from the beginning of its schedule."""

    async def claim(
        self, now: int, until: int, limit: int, each: int, busy: Mapping[str, int]
    ) -> list[tuple[Delivery, WebhookEndpoint]]:
        """Take up to `limit` deliveries that are due, and count the try; to one endpoint as many as make `each` with
        those that are under way by `busy`. They are due again at `until`, should whoever took them be gone by then."""

    async def record(self, delivery: Delivery, endpoint: WebhookEndpoint) -> None:
        """Keep what came of a try, and what that says of its endpoint."""

    async def forget(self, before: int) -> None:
        """Forget deliveries of events from before that unix second, except for those still to be tried."""


class Draft(Protocol):
    """Bytes on their way to become a blob."""

    async def write(self, piece: bytes) -> None:
        """Add some. Raises Busy when the disk is full, Failed when it cannot be written."""

    async def keep(self) -> Blob:
        """That was all: the bytes are a blob now, safe on the disk. As `write` in what it raises."""


class BlobStore(Protocol):
    """Where bytes are kept, by their content: whole or not at all."""

    def draft(self) -> AbstractAsyncContextManager[Draft]:
        """A new draft. Until the block ends, no blob kept in it is swept: whoever keeps one writes down there that it
        is used. What was not kept by then is gone."""

    def read(self, digest: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """A blob's bytes from `start` up to `stop`, piece by piece. Raises Failed when it is not there."""

    async def sweep(
        self, used: Callable[[Collection[str]], Awaitable[set[str]]], digests: Collection[str] | None = None
    ) -> None:
        """Remove those of the blobs that nobody uses: of `digests`, or of all, and then drafts without a writer too.
        `used` picks out of some digests those that are used."""


class FileStore(Protocol):
    """Where files, uploads and their parts are kept. What belongs to another workspace is not there; `now` is unix
    seconds."""

    async def put(self, file: KeptFile, quota: int, storage: int) -> bool:
        """Keep a file; False when its workspace would then have more than `quota` bytes, or all more than `storage`."""

    async def get(self, workspace: str, id: str) -> KeptFile | None:
        """A file by its id; one that has expired is there for a day, without its bytes."""

    async def page(self, workspace: str, wanted: FileFilter, now: int) -> FilePage:
        """The files wanted, without those that have expired."""

    async def delete(self, workspace: str, id: str) -> KeptFile | None:
        """Forget a file; as it was, None when there was none."""

    async def used(self, workspace: str) -> Used:
        """How much is kept."""

    async def referenced(self, digests: Collection[str], now: int) -> set[str]:
        """Those of the digests that a file, a part or a picture of a job has."""

    async def expire(self, now: int) -> None:
        """Forget what has expired."""

    async def open_upload(self, upload: KeptUpload) -> None:
        """Keep a new upload."""

    async def upload(self, workspace: str, id: str) -> KeptUpload | None:
        """An upload by its id."""

    async def add_part(self, part: Part, workspace: str, quota: int, storage: int) -> bool:
        """Keep a part of a pending upload; False as in `put`."""

    async def parts(self, upload: str) -> list[Part]:
        """An upload's parts, as they were added."""

    async def complete(self, upload: KeptUpload, file: KeptFile) -> bool:
        """A pending upload becomes a file, its parts are forgotten; False when it is pending no more."""

    async def cancel_upload(self, upload: KeptUpload) -> bool:
        """A pending upload is given up, its parts are forgotten; False when it is pending no more."""


class ResultStore(Protocol):
    """Where answers are kept to be given again; times are unix seconds."""

    async def find(self, workspace: str, digest: str, since: int, now: int) -> bytes | None:
        """The workspace's answer with this digest, unless it is older than `since`; it was used `now`."""

    async def keep(self, workspace: str, digest: str, body: bytes, now: int) -> None:
        """Keep an answer; one with the same digest is replaced."""

    async def trim(self, limit: int, since: int) -> None:
        """Forget answers older than `since`, and of the others those used longest ago until `limit` bytes are left."""
