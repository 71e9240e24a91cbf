"""One model of an upstream as an Engine.

Rule: a request in a form that the upstream speaks goes there as it was written, and its answer is quoted beside its
events; any other is translated through core values. Nothing of an answer is told before the upstream has begun it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

import httpx

from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Busy, Failed, HaigaError, Invalid, Unsupported
from haiga.core.generation import Event, Finished, Form, Served, TextRequest
from haiga.core.load import Load
from haiga.core.ports import ModelCard
from haiga.core.upstreams import KnownModel, Upstream
from haiga.engines.upstream.breaker import Breakers
from haiga.engines.upstream.line import VERSION, Line, Post, pieces
from haiga.text.estimate import estimate
from haiga.text.known_tools import known
from haiga.wire.upstream import chat_told, completions, messages_told
from haiga.wire.upstream.chat_asked import chat_body
from haiga.wire.upstream.embeddings import embeddings_body, read_embeddings
from haiga.wire.upstream.limits import read_standing
from haiga.wire.upstream.messages_asked import count_body, messages_body
from haiga.wire.upstream.reading import read_json
from haiga.wire.upstream.sse import Frames

FORMS: dict[str, tuple[Form, ...]] = {
    "anthropic": ("messages",),
    "openai": ("chat",),
    "openrouter": ("chat", "messages", "router"),
}
CONTEXT, OUTPUT = 1_000_000, 128_000  # tokens, where an upstream does not tell
MODEST = 8192  # tokens of an answer that is not bounded, where a bound has to be named and the model's is not known
REQUEST_ID = ("request-id", "x-request-id", "x-generation-id")
TROUBLE = (Failed, Busy)  # errors that are the upstream's own


class Reader(Protocol):
    """One stream of a family."""

    def read(self, data: bytes) -> Iterator[Event]:
        """The events that one frame means."""

    def finish(self) -> Iterator[Event]:
        """Those that are left when nothing more comes. Raises Failed when that is not the answer's end."""


Way: TypeAlias = Form | Literal["completion"]  # the last is a bare prompt
READERS: Mapping[Way, tuple[Callable[[Served], Reader], Callable[[bytes, Served], Iterator[Event]]]] = {
    "messages": (messages_told.MessageReader, messages_told.read_whole),
    "chat": (chat_told.ChatReader, chat_told.read_whole),
    "router": (chat_told.ChatReader, chat_told.read_whole),
    "completion": (completions.CompletionReader, completions.read_whole),
}


@dataclass(slots=True)
class Counts:
    """Requests of one upstream that are under way."""

    running: int = 0


class UpstreamEngine:
    """The model of the `card`, called `theirs` there. `most` is how many tokens it is asked for where a request leaves
    that open and its API does not."""

    def __init__(
        self, card: ModelCard, theirs: str, line: Line, breakers: Breakers, counts: Counts, most: int = MODEST
    ) -> None:
        self._theirs = theirs
        self._line = line
        self._breakers = breakers
        self._counts = counts
        self._card = card
        self._most = most

    @property
    def card(self) -> ModelCard:
        return self._card

    @property
    def memory(self) -> int:
        return 0

    @property
    def busy(self) -> int:
        return self._counts.running

    @property
    def load(self) -> Load:
        return Load(running=self._counts.running)

    async def start(self) -> None:
        """It runs elsewhere."""

    async def close(self) -> None:
        """Its connections are the upstream's."""

    async def count(self, request: TextRequest) -> int:
        """As Anthropic counts, where it can be asked; an estimate elsewhere, and where it fails."""
        if self._line.upstream.kind != "anthropic":
            return estimate(request)
        post = Post("/v1/messages/count_tokens", count_body(request, self._theirs), _versioned(request))
        try:
            async with self._line.sent(post) as response:
                tokens = read_json(await self._line.whole(response)).get("input_tokens")
        except Invalid:
            raise
        except HaigaError:
            return estimate(request)
        return tokens if isinstance(tokens, int) else estimate(request)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        way = self._way(request)
        post = self._post(request, way)
        post = replace(post, headers={**post.headers, **request.trace})
        with self._under_way():
            async with aclosing(self._answer(post, way, self._quotes(request, way))) as events:
                async for event in events:
                    yield event

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """A vector for each text. Raises core errors."""
        post = Post("/embeddings", embeddings_body(request, self._theirs), request.trace)
        with self._under_way():
            async with self._line.sent(post) as response:
                data, by = await self._line.whole(response), self._served(response, None)
            # large, and not to hold up others
            return await asyncio.to_thread(read_embeddings, data, request, by)

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """Counted while it lasts, and known to the breaker how it ended."""
        self._breakers.admit(self._card.name)
        self._counts.running += 1
        try:
            yield
        except TROUBLE:
            self._breakers.failed(self._card.name)
            raise
        else:
            self._breakers.answered(self._card.name)
        finally:
            self._counts.running -= 1

    def _way(self, request: TextRequest) -> Way:
        """Raises Unsupported for a bare prompt, where only conversations are taken."""
        if request.raw is not None:
            if self._line.upstream.kind == "anthropic":
                raise Unsupported(f"{self._card.name} takes conversations only, no bare prompts", field="prompt")
            return "completion"
        spoken = FORMS[self._line.upstream.kind]
        written = request.source.form if request.source else None
        return written if written in spoken else spoken[0]

    def _quotes(self, request: TextRequest, way: Way) -> Form | None:
        """OpenRouter's own form is written anew: costs and names in it are this server's."""
        return request.source.form if request.source and request.source.form == way and way != "router" else None

    def _post(self, request: TextRequest, way: Way) -> Post:
        kind = self._line.upstream.kind
        if way == "completion":
            return Post("/completions", completions.completion_body(request, self._theirs))
        if way == "messages":
            path = "/v1/messages" if kind == "anthropic" else "/messages"
            return Post(path, messages_body(request, self._theirs, most=self._most), _versioned(request))
        plain = replace(request, tools=tuple(map(known, request.tools)))
        return Post("/chat/completions", chat_body(plain, self._theirs, router=kind == "openrouter"), {})

    async def _answer(self, post: Post, way: Way, quotes: Form | None) -> AsyncGenerator[Event, None]:
        reader, whole = READERS[way]
        async with self._line.sent(post) as response:
            by = self._served(response, quotes)
            if _is_json(response):
                for event in whole(await self._line.whole(response), by):
                    yield event
                return
            async with aclosing(self._streamed(response, reader(by))) as events:
                async for event in events:
                    yield event

    async def _streamed(self, response: httpx.Response, reader: Reader) -> AsyncGenerator[Event, None]:
        name = self._line.upstream.name
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Failed(f"{name} answered with something else than a stream of events", code="upstream_failed")
        frames = Frames()
        async for piece in pieces(response):
            for data in frames.feed(piece):
                for event in reader.read(data):
                    yield event
                    if isinstance(event, Finished):
                        return
        for event in reader.finish():
            yield event

    def _served(self, response: httpx.Response, quotes: Form | None) -> Served:
        headers = response.headers
        id = next((headers[name] for name in REQUEST_ID if name in headers), None)
        return Served(
            self._card.name,
            self._line.upstream.name,
            id[:255] if id and id.isascii() and id.isprintable() else None,
            read_standing(headers, time.time()),
            quotes,
        )


def card(name: str, upstream: Upstream, told: KnownModel) -> ModelCard:
    """What the APIs say of an upstream's model. What it does not tell of itself is not held against it."""
    return ModelCard(
        name,
        told.display_name or name,
        told.created or upstream.added_at,
        told.context or CONTEXT,
        told.max_output or OUTPUT,
        told.capabilities,
        provider=upstream.name,
        forms=FORMS[upstream.kind],
        price=told.price,
    )


def _versioned(request: TextRequest) -> dict[str, str]:
    """The version and the betas under which the request was written, where it was written in this form."""
    source = request.source
    written = source.headers if source and source.form == "messages" else {}
    return {"anthropic-version": VERSION, **written}


def _is_json(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower() == "application/json"
