"""Two ways to have a conversation answered: by a server, or by a model loaded here.

Rule: both yield the answer's text as it comes, and closing the generator stops the answer.
"""

import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import typer

from haiga.config import Settings
from haiga.core.access import Caller
from haiga.core.errors import Denied, Failed, HaigaError, NotFound
from haiga.core.generation import SamplingRequest, TextDelta, TextRequest
from haiga.core.messages import Block, Message, Role, Text
from haiga.engines.native.adapted import AdaptedEngine
from haiga.services.decoding.decoder import Decoder
from haiga.services.fetch import Fetch, Hosts
from haiga.services.inference import Inference
from haiga.services.intake import Intake
from haiga.services.models import Models
from haiga.wire.upstream.messages_asked import write_block

Turn = tuple[Role, tuple[Block, ...]]


@dataclass(frozen=True, slots=True)
class Wish:
    """How an answer is wanted; None leaves it to the model."""

    max_tokens: int
    temperature: float | None = None
    system: str | None = None


class Partner(Protocol):
    """Who answers, as `model`."""

    model: str

    def answer(self, turns: Sequence[Turn], wish: Wish) -> AsyncGenerator[str, None]:
        """The answer's text, piece by piece. Raises core errors."""


@asynccontextmanager
async def partner(settings: Settings, model: str | None) -> AsyncIterator[Partner]:
    """Who answers as `model` (None: the first there is): the server at `url` if one is set, else a model loaded here,
    by its name in the library, "starter", or the path of its directory or file."""
    if settings.url:
        headers = {"anthropic-version": "2023-06-01"} | ({"x-api-key": settings.api_key} if settings.api_key else {})
        timeout = httpx.Timeout(600, connect=10)
        async with httpx.AsyncClient(base_url=settings.url, headers=headers, timeout=timeout) as client:
            yield _Remote(client, model or await _first_model(client))
    else:
        async with _local(settings, model or "starter") as here:
            yield here


class _Remote:
    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self.model = model
        self._client = client

    async def answer(self, turns: Sequence[Turn], wish: Wish) -> AsyncGenerator[str, None]:
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": wish.max_tokens,
            "stream": True,
            "messages": [{"role": role, "content": [write_block(block) for block in said]} for role, said in turns],
        }
        body |= {"system": wish.system} if wish.system else {}
        body |= {"temperature": wish.temperature} if wish.temperature is not None else {}
        try:
            async with self._client.stream("POST", "/v1/messages", json=body) as response:
                if response.is_error:
                    raise _error(response, await response.aread())
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        yield _piece(json.loads(line[6:]))
        except httpx.TransportError as problem:
            raise _unreachable(self._client, problem) from None


def _piece(event: dict[str, Any]) -> str:
    """The text in one event of the stream; raises the error that it carries."""
    if event["type"] == "error":
        raise Failed(event["error"]["message"])
    return str(event["delta"].get("text", "")) if event["type"] == "content_block_delta" else ""


async def _first_model(client: httpx.AsyncClient) -> str:
    try:
        response = await client.get("/v1/models")
    except httpx.TransportError as problem:
        raise _unreachable(client, problem) from None
    if response.is_error:
        raise _error(response, response.content)
    try:
        return str(response.json()["data"][0]["id"])
    except (ValueError, KeyError, IndexError, TypeError):
        raise Failed(f"{client.base_url} does not list its models as this API does") from None


def _unreachable(client: httpx.AsyncClient, problem: httpx.TransportError) -> HaigaError:
    return Failed(f"no answer from {client.base_url}: {problem or type(problem).__name__}")


def _error(response: httpx.Response, body: bytes) -> HaigaError:
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the server answered {response.status_code}"
    kinds: dict[int, type[HaigaError]] = {401: Denied, 403: Denied, 404: NotFound}
    return kinds.get(response.status_code, Failed)(message)


class _Local:
    def __init__(self, inference: Inference, model: str) -> None:
        self.model = model
        self._inference = inference

    async def answer(self, turns: Sequence[Turn], wish: Wish) -> AsyncGenerator[str, None]:
        request = TextRequest(
            model=self.model,
            messages=tuple(Message(role, said) for role, said in turns),
            max_tokens=min(wish.max_tokens, self._inference.model(Caller(), self.model).max_output),
            system=(Text(wish.system),) if wish.system else (),
            sampling=SamplingRequest(temperature=wish.temperature),
            overflow="stop",
        )
        async with aclosing(self._inference.generate(Caller(), request)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    yield event.text


@asynccontextmanager
async def _local(settings: Settings, model: str) -> AsyncIterator[Partner]:
    from haiga.cli.answering import intake_limits
    from haiga.cli.engines import open_named
    from haiga.stores.connect import connect
    from haiga.stores.models import DatabaseModels

    async with connect(settings.records) as database:
        library = await DatabaseModels(database).all()
    engine = open_named(model, library, settings)
    base = {engine.card.parent: engine.base} if isinstance(engine, AdaptedEngine) else {}
    models = Models({**base, model: engine})
    if sys.stderr.isatty():
        typer.echo(f"loading {model} …", err=True)
    decoder, fetch = Decoder(), Fetch(Hosts(settings.allow_fetch), offline=settings.offline)
    intake = Intake(decoder, fetch, lambda caller, name: inference.model(caller, name), intake_limits(settings))
    inference = Inference(models, stages=[intake])
    try:
        async with models.use(model):
            yield _Local(inference, model)
    finally:
        await models.close()
        await decoder.close()
