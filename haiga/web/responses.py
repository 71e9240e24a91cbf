"""Handlers of the OpenAI Responses API."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, TypeAlias

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.edits import Compact
from haiga.core.errors import HaigaError
from haiga.core.generation import Dropped, Finished, Progress, Usage
from haiga.core.responses import Item
from haiga.services.compaction import summary_of
from haiga.services.moderation.beside import BesideJudge
from haiga.services.responses import Responses as Kept
from haiga.services.responses import Run, Step
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.polling import polled
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected, whole_reply
from haiga.wire.openai_chat.stream import progress_comment
from haiga.wire.openai_moderations.beside import Beside
from haiga.wire.openai_responses import write
from haiga.wire.openai_responses.read import Prompt, ResponseRequest, read_response
from haiga.wire.openai_responses.stream import ResponseWriter
from haiga.wire.sse import comment, frame

Order: TypeAlias = Literal["asc", "desc"]
AGAIN = 1  # seconds until it is worth asking again about a response in the background
END = Finished("end_turn", Usage())


class Responses:
    def __init__(self, services: Services, kept: Kept) -> None:
        self._services = services
        self._kept = kept
        self._clock = kept.clock

    async def create(self, request: Request) -> Response:
        """Create a response: whole, as server-sent events, or in the background."""
        began = self._clock()
        caller = await self._caller(request)
        asked = read_response(await request.body(), self._services.settings.new_id)
        run, prompt = await self._run(caller, asked, int(began))
        try:
            response = await self._respond(request, asked, run)
        except HaigaError as error:
            raise prompt.placed(error) from None
        response.headers["openai-processing-ms"] = str(round((self._clock() - began) * 1000))
        return response

    async def _run(self, caller: Caller, asked: ResponseRequest, created: int) -> tuple[Run, Prompt]:
        """What is to be made. Raises Invalid, NotFound and Unsupported."""
        prompt, own = await self._prompt(caller, asked)
        request, cut = prompt.request, Dropped()
        try:
            if asked.body.truncation == "auto":
                request, cut = await self._kept.fitted(caller, request)
            elif asked.body.background:  # what is wrong with the request is told now, not to whoever looks later
                await self._services.inference.count(caller, request)
        except HaigaError as error:
            raise prompt.placed(error) from None
        new_id = self._services.settings.new_id
        id, model = new_id("resp"), self._services.inference.model(caller, request.model).name
        dropped = [item for made_of in prompt.sources[: cut.messages] for item in made_of]
        prompt = replace(prompt, origins=prompt.origins[cut.messages :])
        head = write.head(asked, id=id, created=created, model=model, dropped=dropped)
        beside: Beside = {}
        judge = BesideJudge(self._services.inference, caller, request, asked.judged) if asked.judged else None
        run = Run(
            id=id,
            caller=caller,
            request=request,
            transcript=ResponseWriter(head, asked.form, prompt.placed, new_id, self._clock, beside),
            input=own,
            created_at=created,
            kept=asked.kept,
            background=bool(asked.body.background),
            followed=bool(asked.body.background or asked.body.stream),
            previous=asked.body.previous_response_id,
            conversation=asked.conversation,
            done=partial(judge.tell, beside) if judge else None,
        )
        return run, prompt

    async def _prompt(self, caller: Caller, asked: ResponseRequest) -> tuple[Prompt, list[Item]]:
        """The request after what it continues, and its own items."""
        card = self._services.inference.model(caller, asked.body.model)
        past = await self._kept.past(caller, asked.body.previous_response_id, asked.conversation)
        own = await self._kept.resolved(caller, asked.items)
        return asked.prompt(past, own, card), own

    async def _respond(self, request: Request, asked: ResponseRequest, run: Run) -> Response:
        if run.background:
            await self._kept.launch(run)
            if asked.body.stream:
                return await self._stream(request, _followed(run.follow(0)), Frames(run))
        elif asked.body.stream:
            return await self._stream(request, _told(self._kept.answer(run)), Frames(run))
        else:
            await while_connected(request, _drained(self._kept.answer(run)))
        return _json(write.write_body(run.transcript.response()))

    async def _stream(
        self, request: Request, frames: "AsyncGenerator[bytes | Finished, None]", writer: "Frames"
    ) -> Response:
        settings, rid = self._services.settings, request_id(request.scope)
        return await stream_reply(request, frames, writer, id=rid, patience=settings.patience, ping=settings.ping)

    async def count(self, request: Request) -> Response:
        """Count the tokens that a response would be given."""
        caller = await self._caller(request)
        asked = read_response(await request.body(), self._services.settings.new_id)
        prompt, _ = await self._prompt(caller, asked)
        try:
            tokens = await while_connected(request, self._services.inference.count(caller, prompt.request))
        except HaigaError as error:
            raise prompt.placed(error) from None
        return _json(write.write_count(tokens))

    async def compact(self, request: Request) -> Response:
        """Sum a conversation up into one item that stands for it."""
        created = int(self._clock())
        caller = await self._caller(request)
        asked = read_response(await request.body(), self._services.settings.new_id)
        card = self._services.inference.model(caller, asked.body.model)
        past = await self._kept.past(caller, asked.body.previous_response_id, asked.conversation)
        own = await self._kept.resolved(caller, asked.items)
        prompt = asked.prompt(past, own, card)
        summing = replace(prompt.request, edits=(Compact(0, pause=True),))
        try:
            reply = await whole_reply(request, self._services.inference.generate(caller, summing))
        except HaigaError as error:
            raise prompt.placed(error) from None
        new_id, used = self._services.settings.new_id, reply.compacted or reply.usage
        id, item, summary = new_id("resp"), new_id("cmp"), summary_of(reply.content)
        return _json(write.write_compaction([*past, *own], summary, used, id=id, item=item, created=created))

    # --- kept responses ---

    async def get(
        self,
        request: Request,
        id: str,
        stream: bool = False,
        starting_after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    ) -> Response:
        """A response as it stands, or the events of its stream from any point on."""
        caller = await self._caller(request)
        if not stream:
            kept = await self._kept.get(caller, id)
            return polled(request, write.write_body(kept.body), kept.live, AGAIN)
        frames = await self._kept.frames(caller, id, starting_after)
        return await self._stream(request, _followed(frames), Frames(None))

    async def delete(self, request: Request, id: str) -> Response:
        """Delete a response."""
        await self._kept.delete(await self._caller(request), id)
        return _json(write.write_deleted(id, "response"))

    async def cancel(self, request: Request, id: str) -> Response:
        """Cancel a response that is made in the background."""
        return _json(write.write_body((await self._kept.cancel(await self._caller(request), id)).body))

    async def input_items(
        self,
        request: Request,
        id: str,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Order = "desc",
    ) -> Response:
        """The items that a response was given, page by page."""
        items = await self._kept.input(await self._caller(request), id)
        return _json(write.write_items(*write.page(items, after=after, limit=limit, order=order)))

    async def _caller(self, request: Request) -> Caller:
        return await authenticate(self._services.access, request)


class Frames:
    """Frames that are written already; `run` is the answer they tell of, where it is made for this stream."""

    def __init__(self, run: Run | None) -> None:
        self._run = run

    def write(self, item: bytes | Finished) -> bytes:
        return item if isinstance(item, bytes) else b""

    def idle(self) -> bytes:
        return comment("keep-alive")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        """The last frames after a failure that the answer itself does not tell of."""
        if self._run is None:
            return b""
        return b"".join(frame(event) for event in self._run.transcript.fail(error))


async def _told(steps: AsyncGenerator[Step, None]) -> "AsyncGenerator[bytes | Finished, None]":
    async with aclosing(steps):
        async for step in steps:
            yield progress_comment(step.event) if isinstance(step.event, Progress) else b"".join(step.frames)
    yield END


async def _followed(frames: AsyncGenerator[bytes, None]) -> "AsyncGenerator[bytes | Finished, None]":
    async with aclosing(frames):
        async for each in frames:
            yield each
    yield END


async def _drained(steps: AsyncGenerator[Step, None]) -> None:
    async with aclosing(steps):
        async for _ in steps:
            pass


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
