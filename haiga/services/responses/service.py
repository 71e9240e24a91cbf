"""Answers that are kept: made while somebody waits or in the background, read, followed, cancelled, deleted, continued.

Rule: an answer is stored before anyone is told that it is complete, so that it can be continued at once. One that a
process left unfinished when it ended is failed, with the reason, by whichever process finds it first.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from haiga.core.access import Caller
from haiga.core.errors import Busy, Failed, HaigaError, Invalid, NotFound
from haiga.core.generation import Dropped, Finished, TextRequest
from haiga.core.ports import ResponseStore
from haiga.core.responses import LIVE, Item, KeptResponse
from haiga.core.webhooks import WebhookEvent
from haiga.services.choices import heard
from haiga.services.inference import Inference
from haiga.services.packing import drop_oldest
from haiga.services.responses.conversations import LIFETIME, Conversations
from haiga.services.responses.run import Run, Step
from haiga.wire.sse import frame

LEASE = 10.0  # seconds after which a process that says nothing has lost what it had under way
SWEEP = 60.0  # seconds between two looks for what has expired
ROOM = 4  # a cut prompt leaves what was asked for the answer, but no more than this part of the context
STOPPED = "The server was stopped while this response was under way."
log = logging.getLogger(__name__)


class Responses:
    """Answers over `inference`, kept in `store` for `lifetime` seconds. `clock` gives unix seconds. One that is
    under way in another process, which said so within the last `lease` seconds, is shown as it is kept."""

    def __init__(
        self,
        inference: Inference,
        store: ResponseStore,
        *,
        clock: Callable[[], float] = time.time,
        lifetime: int = LIFETIME,
        lease: float = LEASE,
    ) -> None:
        self.conversations = Conversations(store, clock=clock, lifetime=lifetime)
        self._inference = inference
        self._store = store
        self.clock = clock
        self._lifetime = lifetime
        self._live: dict[str, Run] = {}
        self._swept = clock()
        self._lease = lease
        self._watching: asyncio.Task[None] | None = None

    # --- before an answer ---

    async def past(self, caller: Caller, previous: str | None, conversation: str | None) -> list[Item]:
        """What was said before a request, oldest first. Raises Invalid and NotFound."""
        if conversation is not None:
            return await self.conversations.items(caller, conversation)
        if previous is None:
            return []
        if previous in self._live:
            raise Invalid(f"Previous response with id '{previous}' is still in progress.", field="previous_response_id")
        history = await self._store.history(caller.workspace, previous, self._now())
        if history.missing is not None:
            raise _no_previous(history.missing)
        if history.conversation is None or not history.items:
            return list(history.items)
        return [*await self.conversations.before(caller, history.conversation, history.items[0]), *history.items]

    async def _previous(self, caller: Caller, id: str) -> KeptResponse:
        try:
            return await self.get(caller, id)
        except NotFound:
            raise _no_previous(id) from None

    async def resolved(self, caller: Caller, items: Sequence[Item]) -> list[Item]:
        """The items with references replaced by what they refer to. Raises NotFound."""
        wanted = [str(item["id"]) for item in items if item["type"] == "item_reference"]
        found = await self._store.find(caller.workspace, wanted, self._now()) if wanted else {}
        for id in wanted:
            if id not in found:
                raise NotFound(
                    f"Item with id '{id}' not found. Items are not persisted when `store` is set to false.",
                    field="input",
                )
        return [found[str(item["id"])] if item["type"] == "item_reference" else item for item in items]

    async def fitted(self, caller: Caller, request: TextRequest) -> tuple[TextRequest, Dropped]:
        """The request with its oldest messages left out until it fits, with room for an answer; and what was."""
        context = self._inference.model(caller, request.model).context
        room = min(request.max_tokens, context // ROOM)
        return await drop_oldest(request, context - room, lambda asked: self._inference.count(caller, asked))

    # --- making an answer ---

    async def answer(self, run: Run) -> AsyncGenerator[Step, None]:
        """The answer, step by step; stored before the last step, if it is to be. A failure before the first step is
        raised, a later one is told by the steps if anyone follows them."""
        begun = False
        made = self._inference.generate(run.caller, run.request)
        async with aclosing(heard(made, run.done) if run.done else made) as events:
            try:
                async for event in events:
                    step = Step(event, run.say(run.transcript.write(event)))
                    if isinstance(event, Finished):
                        await self._keep(run)
                    yield step
                    begun = True
                if run.transcript.status in LIVE:
                    raise Failed("the model's answer ended early")
            except HaigaError as error:
                if not begun or not run.followed:
                    raise
                step = Step(None, run.say(run.transcript.fail(error)))
                await self._keep(run)
                yield step

    async def launch(self, run: Run) -> None:
        """Make the answer in the background; it can be looked up and followed as soon as this returns."""
        run.say(run.transcript.open())
        self._live[run.id] = run  # before it is in the store: what is there and not here was left by a former process
        try:
            await self._keep(run)
        except BaseException:
            self._settle(run)
            raise
        run.task = asyncio.create_task(self._work(run), name=run.id)

    async def _work(self, run: Run) -> None:
        """Make the answer to its end; whoever cancels this concludes it."""
        try:
            async with aclosing(self.answer(run)) as steps:
                async for _ in steps:
                    pass
            self._settle(run)
        except HaigaError as error:
            await self._conclude(run, error)
        except Exception:
            log.exception("unexpected error in background response %s", run.id)
            await self._conclude(run, Failed("Internal server error"))

    async def _stop(self, id: str, reason: HaigaError | None = None) -> None:
        """End a run, as failed if there is a `reason`, else as cancelled. One that has its end already, and is only
        being stored, is waited for."""
        run = self._live.get(id)
        if run is None or run.task is None:
            return
        if run.transcript.status in LIVE:
            run.task.cancel()
        await asyncio.wait([run.task])
        if run.transcript.status in LIVE:
            await self._conclude(run, reason)

    async def _conclude(self, run: Run, error: HaigaError | None) -> None:
        """Tell and keep that the answer failed, or without an `error` that it was cancelled."""
        run.say(run.transcript.fail(error) if error else run.transcript.cancel())
        try:
            await self._keep(run)
        except (
            HaigaError
        ) as problem:  # whoever follows was told; whoever looks later finds it unfinished, and so failed
            log.warning("response %s could not be kept: %s", run.id, problem)
        finally:
            self._settle(run)

    def _settle(self, run: Run) -> None:
        self._live.pop(run.id, None)
        run.end()

    async def _keep(self, run: Run) -> None:
        if not run.kept:
            return
        body = run.transcript.response()
        kept = KeptResponse(
            id=run.id,
            workspace=run.caller.workspace,
            status=run.transcript.status,
            background=run.background,
            created_at=run.created_at,
            expires_at=run.created_at + self._lifetime,
            body=body,
            previous=run.previous,
            conversation=run.conversation,
            frames=tuple(run.frames) if run.followed else None,
            lease=self._until() if run.transcript.status in LIVE else None,
        )
        await self._store.put(kept, run.input, self._event(kept))
        if run.conversation is not None and kept.status in ("completed", "incomplete"):
            await self.conversations.extend(run.caller, run.conversation, [*run.input, *body["output"]])
        if self.clock() - self._swept >= SWEEP:
            self._swept = self.clock()
            await self._store.expire(self._now())

    # --- kept answers ---

    async def get(self, caller: Caller, id: str) -> KeptResponse:
        """A response, as it stands if it is under way. Raises NotFound."""
        run = self._live.get(id)  # before the store is read: one that ends meanwhile is not lost
        kept = await self._store.get(caller.workspace, id, self._now())
        if kept is None:
            raise NotFound(f"Response with id '{id[:64]}' not found.")
        if run is None:
            return await self._lost(kept) if kept.lost(self.clock()) else kept
        if run.transcript.status in LIVE or run.task is None:
            body = run.transcript.response()
            return replace(kept, status=run.transcript.status, body=body, frames=tuple(run.frames))
        await asyncio.wait([run.task])  # an end is told once it is kept: that may fail yet
        return await self.get(caller, id)

    def _require_here(self, kept: KeptResponse) -> None:
        """Raise Busy for what another server makes: the next try may reach that one."""
        if kept.live and kept.id not in self._live:
            raise Busy(f"Response with id '{kept.id}' is being made by another server.")

    async def _lost(self, kept: KeptResponse) -> KeptResponse:
        """What a process that is no more left unfinished."""
        error = {"code": "server_error", "message": STOPPED}
        failed = replace(
            kept, status="failed", frames=None, lease=None, body={**kept.body, "status": "failed", "error": error}
        )
        await self._store.put(failed, await self._store.input(kept.id), self._event(failed))
        return failed

    def _event(self, kept: KeptResponse) -> WebhookEvent | None:
        """What webhooks tell of a response: that one in the background has ended."""
        if kept.live or not kept.background:
            return None
        return WebhookEvent(f"response.{kept.status}", kept.id, kept.workspace, self._now())

    def start(self) -> None:
        """Vouch for what is under way here, and fail what nobody vouches for, so that whoever waits for a webhook is
        told as well."""
        self._watching = asyncio.create_task(self._watch(), name="responses in the background")

    async def _watch(self) -> None:
        while True:
            try:
                if self._live:
                    await self._store.vouch(list(self._live), self._until())
                for kept in await self._store.unfinished(self._now()):
                    if kept.id not in self._live:
                        await self._lost(kept)
            except Exception as problem:
                log.warning("responses in the background cannot be watched: %s", problem)
            await asyncio.sleep(self._lease / 3)

    def _until(self) -> int:
        return int(self.clock() + self._lease) + 1

    async def input(self, caller: Caller, id: str) -> list[Item]:
        """The items that a response was given. Raises NotFound."""
        return await self._store.input((await self.get(caller, id)).id)

    async def frames(self, caller: Caller, id: str, after: int | None) -> AsyncGenerator[bytes, None]:
        """The frames of a stream that ended or goes on, those after number `after` if that is given. Raises Invalid
        and NotFound, before the first."""
        kept = await self.get(caller, id)
        start = 0 if after is None else after + 1
        if run := self._live.get(id):
            return run.follow(start)
        if kept.live:
            raise Invalid(f"Response '{id[:64]}' is made by another process: it can be streamed once it has ended.")
        if kept.frames is not None:
            return _replay(kept.frames[start:])
        if kept.background:
            return _replay(_failure(kept, start))
        raise Invalid(
            f"Response '{id[:64]}' cannot be streamed: it was created with neither 'background' nor 'stream'.",
            field="stream",
        )

    async def cancel(self, caller: Caller, id: str) -> KeptResponse:
        """Stop a background response; one that has ended stays as it is. Raises Invalid and NotFound."""
        kept = await self.get(caller, id)
        if not kept.background:
            raise Invalid("Cannot cancel a synchronous response.", field="response_id")
        self._require_here(kept)
        await self._stop(id)
        return await self.get(caller, id)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget a response, and stop it first if it is under way. Raises NotFound."""
        self._require_here(await self.get(caller, id))
        await self._stop(id)
        await self._store.delete(caller.workspace, id)

    async def close(self) -> None:
        """Stop what is under way; it is kept as failed."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for id in list(self._live):
            await self._stop(id, Failed(STOPPED))

    def _now(self) -> int:
        return int(self.clock())


def _no_previous(id: str) -> Invalid:
    return Invalid(
        f"Previous response with id '{id[:64]}' not found.",
        field="previous_response_id",
        code="previous_response_not_found",
    )


async def _replay(frames: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for each in frames:
        yield each


def _failure(kept: KeptResponse, start: int) -> list[bytes]:
    """What a stream says whose own words were lost with the process that made them."""
    kinds = ["response.failed"] if start else ["response.created", "response.failed"]
    return [frame({"type": kind, "sequence_number": start + i, "response": kept.body}) for i, kind in enumerate(kinds)]
