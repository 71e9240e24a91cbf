"""The only path to a model. Rule: whatever the wire family, a request passes here, and its answer is one stream."""

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from haiga.core.access import Caller
from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Denied, HaigaError, Invalid, Unsupported
from haiga.core.generation import Event, Finished, Form, Started, TextRequest
from haiga.core.messages import (
    COMPACTION,
    Block,
    BlocksSource,
    Document,
    Image,
    Opaque,
    SearchResult,
    ToolResult,
    ToolUse,
)
from haiga.core.moderation import Moderation, ModerationRequest
from haiga.core.ports import Ask, AskVectors, Capabilities, EmbeddingStage, ModelCard, Stage
from haiga.core.routes import Route
from haiga.services.compaction import answer, resumed
from haiga.services.models import Models
from haiga.services.packing import edited
from haiga.services.routing import Router
from haiga.services.thoughts import Signer, Thoughts

if TYPE_CHECKING:
    from haiga.services.moderation.judging import Judging

NEEDS: dict[type, tuple[str, str]] = {
    Image: ("images", "image"),
    Document: ("documents", "document"),
    SearchResult: ("documents", "search_result"),
    ToolUse: ("tools", "tool_use"),
    ToolResult: ("tools", "tool_result"),
}


class Inference:
    """Requests to engines: names resolved, capabilities checked before work starts, workspaces kept apart, thoughts
    signed with `secret`. Without one, signatures hold as long as this object lives. A request passes the `stages` in
    their order before it reaches a model, and its events pass them back; texts to be embedded pass `embedding`.
    `prompted` adds to a request that is only counted what a stage would add to its prompt. `judging` is asked for
    judgements; None where nobody judges. `routes` are names behind which several models stand; they are resolved before
    any stage."""

    def __init__(
        self,
        models: Models,
        secret: bytes | None = None,
        stages: Sequence[Stage] = (),
        embedding: Sequence[EmbeddingStage] = (),
        prompted: Callable[[Caller, TextRequest], Awaitable[TextRequest]] | None = None,
        judging: "Judging | None" = None,
        routes: Sequence[Route] = (),
    ) -> None:
        self._models = models
        self._judging = judging
        self._thoughts = Thoughts(Signer(secret or secrets.token_bytes(32)))
        self._prompted = prompted
        self.router = Router(routes, self._card)
        self._ask: Ask = self._answer
        for stage in (*reversed(stages), self.router):
            self._ask = partial(_through, stage, self._ask)
        self._ask_vectors: AskVectors = self._embed
        for each in reversed(embedding):
            self._ask_vectors = partial(_embed_through, each, self._ask_vectors)

    @property
    def ready(self) -> bool:
        """Whether a model has been loaded since the start."""
        return self._models.ready

    def models(self, caller: Caller) -> list[ModelCard]:
        """The models that the caller may ask, routes first."""
        routes = self.router.cards(caller)
        named = {card.name for card in routes}
        own = (card for card in self._models.cards() if card.name not in named)
        return [*routes, *(card for card in own if _refusal(caller, card) is None)]

    def model(self, caller: Caller, name: str) -> ModelCard:
        """The card of the model that answers to `name`. Raises NotFound, and Denied when the caller may not ask it."""
        if self._judging is not None and (card := self._judging.card(name)):
            return card  # any key may have texts judged
        return self.router.card(caller, name) or self._card(caller, name)

    def _card(self, caller: Caller, name: str) -> ModelCard:
        return _allowed(caller, self._models.card(name))

    def passes(self, form: Form, name: str) -> bool:
        """Whether a request in this form to a model that answers to `name` may be handed on as it is written."""
        route = self.router.route(name)
        try:
            return any(form in self._models.card(each).forms for each in (route.models if route else [name]))
        except HaigaError:
            return False

    def passes_messages(self, name: str) -> bool:
        return self.passes("messages", name)

    def passes_chat(self, name: str) -> bool:
        return self.passes("chat", name)

    async def count(self, caller: Caller, request: TextRequest) -> int:
        """The prompt's tokens, exactly as `generate` would be billed; no weights are loaded for it. A route counts as
        the model that it would ask first."""
        request = replace(request, model=self.router.first(caller, request))
        engine = self._models.engine(request.model)
        if self._prompted is not None:
            request = await self._prompted(caller, request)
        if is_handed_on(engine.card, request):
            return await engine.count(self._handed_on(caller, engine.card, request))
        fitted, _ = await edited(self._admit(caller, request), engine.count)
        return await engine.count(fitted)

    def generate(self, caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
        """The answer's events. Closing the generator aborts the request. Raises core errors only."""
        return self._ask(caller, request)

    async def _answer(self, caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
        """What the model answers."""
        if is_handed_on(self._models.card(request.model), request):
            async with self._models.use(request.model) as engine:
                handed = self._handed_on(caller, engine.card, request)
                async with aclosing(engine.generate(handed)) as events:
                    async for event in events:
                        _hear(caller, event)
                        yield event
            return
        admitted = self._admit(caller, request)
        shown = self._thoughts.shown(request)
        async with self._models.use(admitted.model) as engine:
            fitted, cleared = await edited(admitted, engine.count)
            async with aclosing(answer(engine, fitted)) as events:
                async for event in events:
                    _hear(caller, event)
                    if isinstance(event, Finished) and request.edits is not None:
                        event = replace(event, cleared=cleared)
                    for each in shown.feed(event):
                        yield each

    async def embed(self, caller: Caller, request: EmbeddingRequest) -> Embeddings:
        """A vector for each text. Raises core errors only."""
        return await self._ask_vectors(caller, request)

    async def judge(self, caller: Caller, request: ModerationRequest) -> Moderation:
        """How texts and images are judged. Raises core errors only."""
        if self._judging is None:
            raise Unsupported("this server judges no texts", field="model", code="unsupported_parameter")
        return await self._judging.judge(caller, replace(request, model=self.model(caller, request.model).name))

    async def _embed(self, caller: Caller, request: EmbeddingRequest) -> Embeddings:
        card = self._card(caller, request.model)
        embeds = card.capabilities.embeddings and not card.provider
        if embeds and request.dimensions is not None and request.dimensions > card.dimensions:
            raise Invalid(
                f"Invalid value for 'dimensions' = {request.dimensions}. Must be less than or equal to"
                f" {card.dimensions}.",
                field="dimensions",
                code="invalid_value",
            )
        async with self._models.embed(card.name) as embedder:
            made = await embedder.embed(replace(request, model=card.name, workspace=caller.workspace))
        if made.by is not None:
            caller.origin.heard.by = made.by
        return made

    def _handed_on(self, caller: Caller, card: ModelCard, request: TextRequest) -> TextRequest:
        """A request to a model elsewhere, which judges for itself what it is asked; thoughts that this server has
        signed say nothing to anyone else."""
        _allowed(caller, card)
        return replace(self._thoughts.foreign(request), model=card.name, workspace=caller.workspace)

    def _admit(self, caller: Caller, request: TextRequest) -> TextRequest:
        """The request under the model's own name and the caller's workspace. Raises Invalid and Unsupported."""
        card = _allowed(caller, self._models.engine(request.model).card)
        if request.source and request.source.refused:
            raise request.source.refused
        if request.max_tokens > card.max_output and not card.provider:
            raise Invalid(
                f"{request.max_tokens} > {card.max_output}, which is the maximum allowed number of output tokens"
                f" for {card.name}",
                field="max_tokens",
            )
        continued = resumed(self._thoughts.admitted(request))
        _require(card, request, continued)
        if card.provider:
            continued = self._thoughts.foreign(continued)
        return replace(continued, model=card.name, workspace=caller.workspace)


def is_handed_on(card: ModelCard, request: TextRequest) -> bool:
    """Whether a model elsewhere gets the request as its caller wrote it."""
    return request.source is not None and request.source.form in card.forms


def _hear(caller: Caller, event: Event) -> None:
    """Keep what an upstream says of itself for whoever writes the answer's headers."""
    if isinstance(event, Started) and event.by is not None:
        caller.origin.heard.by = event.by


def _through(stage: Stage, ask: Ask, caller: Caller, request: TextRequest) -> AsyncGenerator[Event, None]:
    return stage.answer(caller, request, ask)


async def _embed_through(
    stage: EmbeddingStage, ask: AskVectors, caller: Caller, request: EmbeddingRequest
) -> Embeddings:
    return await stage.embed(caller, request, ask)


def _allowed(caller: Caller, card: ModelCard) -> ModelCard:
    refusal = _refusal(caller, card)
    if refusal is not None:
        raise Denied(refusal, field="model")
    return card


def _refusal(caller: Caller, card: ModelCard) -> str | None:
    """Why the caller may not ask a model; None where it may."""
    scope = caller.scope
    if not scope.has_model(card.name):
        return f"this API key may not use the model {card.name}"
    if not scope.has_tag(card.tags):
        held, own = " or ".join(scope.tags), ", ".join(card.tags) or "without a tag"
        return f"this API key may only use models tagged {held}; the model {card.name} is {own}"
    return None


def _require(card: ModelCard, request: TextRequest, continued: TextRequest) -> None:
    """Refuse by name what the model cannot do. `continued` is what it reads of the request."""
    can = card.capabilities
    if request.tools and not can.tools:
        raise Unsupported(f"model {card.name} does not support tools", field="tools")
    if request.output_schema is not None and not can.structured_output:
        raise Unsupported(f"model {card.name} does not support structured output", field="output_config.format")
    if request.suffix is not None and not (can.infill or card.provider):
        raise Unsupported(
            f"Unsupported parameter: 'suffix' is not supported with model {card.name}: it has no infill tokens.",
            field="suffix",
            code="unsupported_parameter",
        )
    if request.echo and not can.scoring:
        raise Unsupported(
            f"model {card.name} does not give prompts back as tokens, nor score them",
            field="echo",
            code="unsupported_parameter",
        )
    if continued.messages[-1].role == "assistant" and not can.prefill:
        raise Unsupported(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    require_blocks(card, request)


def require_blocks(card: ModelCard, request: TextRequest) -> None:
    """Refuse by name, and with its place, the first block that the model cannot take. Raises Unsupported."""
    for path, block in _blocks(request):
        _require_block(card.name, card.capabilities, path, block)


def _require_block(name: str, can: Capabilities, path: str, block: Block) -> None:
    if isinstance(block, Opaque) and block.type != COMPACTION:
        raise Unsupported(f"{block.type} blocks are not supported by model {name}", field=path)
    capability, called = NEEDS.get(type(block), (None, ""))
    if capability and not getattr(can, capability):
        raise Unsupported(f"{called} blocks are not supported by model {name}", field=path)


def _blocks(request: TextRequest) -> Iterator[tuple[str, Block]]:
    """Every block with its path, those inside tool results as well."""
    for m, message in enumerate(request.messages):
        for b, block in enumerate(message.content):
            path = f"messages.{m}.content.{b}"
            yield path, block
            if isinstance(block, ToolResult):
                yield from _inside(block.content, f"{path}.content")
            elif isinstance(block, Document):
                yield from _parts(block, path)


def _inside(blocks: Sequence[Block], path: str) -> Iterator[tuple[str, Block]]:
    for i, block in enumerate(blocks):
        yield f"{path}.{i}", block
        if isinstance(block, Document):
            yield from _parts(block, f"{path}.{i}")


def _parts(document: Document, path: str) -> Iterator[tuple[str, Block]]:
    if isinstance(document.source, BlocksSource):
        yield from ((f"{path}.source.content.{i}", block) for i, block in enumerate(document.source.content))
