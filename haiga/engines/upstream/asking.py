"""What an operator asks of an upstream: which models it has, and whether one of them answers."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from haiga.core.errors import NotFound
from haiga.core.generation import Folder, TextRequest
from haiga.core.messages import Message, Text, text_of
from haiga.core.upstreams import KnownModel, Upstream
from haiga.engines.upstream.line import Line
from haiga.engines.upstream.upstreams import Upstreams
from haiga.wire.upstream.catalog import read_catalog

MOST = 64  # tokens of a greeting
LISTS = {"anthropic": "/v1/models?limit=1000", "openai": "/models", "openrouter": "/models"}


@asynccontextmanager
async def opened(upstream: Upstream, key: str | None) -> AsyncIterator[Line]:
    """Connections for as long as the block runs."""
    line = Line(upstream, key)
    try:
        yield line
    finally:
        await line.close()


async def known_models(upstream: Upstream, key: str | None) -> tuple[KnownModel, ...]:
    """The models that it lists and that are offered here. Raises core errors."""
    async with opened(upstream, key) as line:
        listed = read_catalog(await line.get(LISTS[upstream.kind]))
    return tuple(model for model in listed if upstream.ours(model.name))


async def said(upstream: Upstream, key: str | None, name: str) -> str:
    """What a model, by its name here, says to a greeting. Raises core errors."""
    away = Upstreams([upstream], {upstream.name: key} if key else {})
    engine = away.engine(name)
    if engine is None:
        raise NotFound(f"{upstream.name} has no model {name}: it is not among those that go there")
    request = TextRequest(name, (Message("user", (Text("Say hello."),)),), max_tokens=MOST)
    folder = Folder()
    try:
        async with aclosing(engine.generate(request)) as events:
            async for event in events:
                folder.add(event)
    finally:
        await away.close()
    return text_of(folder.reply().content)
