"""An engine with no model: it repeats the last thing the user said, one word a token, or plays a script.

Rule: deterministic, and true to the Engine seam in all else: limits, stop strings, usage, aborts. It serves the tests
of everything above the seam, and measures what the server itself costs.
"""

import asyncio
import math
import re
from array import array
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from haiga.core.embedding import EmbeddingRequest, Embeddings, Vector
from haiga.core.errors import Dead, HaigaError, Invalid
from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Event,
    Finished,
    InputDelta,
    Started,
    StopReason,
    TextDelta,
    TextRequest,
    ThinkingDelta,
    Usage,
)
from haiga.core.load import Load
from haiga.core.messages import Block, Message, Text, Thinking, ToolResult, ToolUse, text_of
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.standing import Standing

Step: TypeAlias = Event | HaigaError | float  # say this, fail so, or stay silent for so many seconds
WORD = re.compile(r"\s*\S+\s*?|\s+$")
CARD = ModelCard("fake", "Fake", created=0, context=4096, max_output=4096, capabilities=Capabilities())


VECTORS = ModelCard(
    "vectors", "Vectors", 0, 4096, 4096, Capabilities(prefill=False, embeddings=True, text=False), dimensions=4
)


class FakeEngine(Standing):
    """Echoes, or plays `script` for every request: content events, errors raised where they stand, silences.

    A script needs no Started, and gets a Finished with "end_turn" unless it has its own; usage is filled in. `pace`
    is the silence before each event, in seconds.
    """

    def __init__(self, card: ModelCard = CARD, script: Sequence[Step] = (), pace: float = 0.0) -> None:
        super().__init__(card)
        ended = not script or any(isinstance(step, Finished) for step in script)
        self._script = (*script,) if ended else (*script, Finished("end_turn", Usage()))
        self._pace = pace
        self._closed = asyncio.Event()

    @property
    def load(self) -> Load:
        return Load(running=self._busy)

    async def start(self) -> None:
        self._closed.clear()

    async def close(self) -> None:
        self._closed.set()

    async def count(self, request: TextRequest) -> int:
        """Words of the system prompt, tools and messages, and one more for each message's role."""
        tools = sum(1 + len(words(tool.description)) for tool in request.tools)
        return sum(_size(block) for block in request.system) + tools + sum(_message_size(m) for m in request.messages)

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        prompt = await self.count(request)
        room = self._room(request, prompt)
        with self._place():
            yield Started(Usage(input=prompt))
            output = thinking = 0
            for step in self._script if self._script and room else _echo(request, room):
                output += _weight(step)
                thinking += _weight(step) if isinstance(step, ThinkingDelta) else 0
                await self._silence(step if isinstance(step, float) else self._pace)
                if isinstance(step, HaigaError):
                    raise step
                if isinstance(step, Finished):
                    yield replace(step, usage=Usage(input=prompt, output=output, thinking=thinking))
                elif not isinstance(step, float):
                    yield step

    def _room(self, request: TextRequest, prompt: int) -> int:
        """How many tokens may be generated. Raises Invalid when the prompt leaves too little."""
        context = self._card.context
        if prompt > context:
            raise Invalid(f"prompt is too long: {prompt} tokens > {context} maximum")
        if request.overflow == "refuse" and prompt + request.max_tokens > context:
            raise Invalid(
                f"input length and `max_tokens` exceed context limit: {prompt} + {request.max_tokens} > {context}, "
                "decrease input length or `max_tokens` and try again"
            )
        return min(request.max_tokens, context - prompt)

    async def _silence(self, seconds: float) -> None:
        """Let others run; raise Dead if the engine is closed by then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds or None):
                await (self._closed.wait() if seconds else asyncio.sleep(0))
        if self._closed.is_set():
            raise Dead("the engine was closed")


class FakeEmbedder(Standing):
    """Vectors with no model: how many characters, words, vowels and digits a text has, brought to unit length."""

    def __init__(self, card: ModelCard = VECTORS) -> None:
        super().__init__(card)

    async def start(self) -> None:
        """There is nothing to start."""

    async def close(self) -> None:
        """There is nothing to end."""

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        texts = [each if isinstance(each, str) else " ".join(map(str, each)) for each in request.inputs]
        sizes = [len(words(text)) for text in texts]
        for at, size in enumerate(sizes):
            if size > self._card.context:
                message = f"Invalid 'input[{at}]': maximum context length is {self._card.context} tokens."
                raise Invalid(message, field=f"input[{at}]", code="context_length_exceeded")
        return Embeddings(tuple(_vector(text, request.dimensions) for text in texts), sum(sizes))


def _vector(text: str, dimensions: int | None) -> Vector:
    counts = [len(text), len(words(text)), sum(c in "aeiou" for c in text), sum(c.isdigit() for c in text)][:dimensions]
    return array("f", [count / max(math.hypot(*counts), 1) for count in counts])


def _echo(request: TextRequest, room: int) -> Iterator[Step]:
    text, stop, sequence = _answer(request)
    pieces = words(text)
    if len(pieces) > room or not room:
        stop, sequence = ("max_tokens" if room == request.max_tokens else "model_context_window_exceeded"), None
    if pieces and room:
        yield BlockStarted(0, Text(""))
        yield from (TextDelta(0, piece) for piece in pieces[:room])
        yield BlockStopped(0)
    yield Finished(stop, Usage(), sequence)


def words(text: str) -> list[str]:
    """The fake tokenizer: a word with the white space before it; the pieces join to the text."""
    return WORD.findall(text)


def _answer(request: TextRequest) -> tuple[str, StopReason, str | None]:
    """The last user text, less what a prefill already says, cut at the first stop string; and why it ends."""
    said = (text_of(message.content) for message in reversed(request.messages) if message.role == "user")
    asked = next(filter(None, said), "")
    last = request.messages[-1]
    answer = asked.removeprefix(text_of(last.content)) if last.role == "assistant" else asked
    found = [(at, stop) for stop in request.stop if (at := answer.find(stop)) >= 0]
    if not found:
        return answer, "end_turn", None
    at, stop = min(found)
    return answer[:at], "stop_sequence", stop


def _message_size(message: Message) -> int:
    return 1 + sum(_size(block) for block in message.content)


def _size(block: Block) -> int:
    match block:
        case Text():
            return len(words(block.text))
        case Thinking():
            return len(words(block.thinking))
        case ToolUse():
            return 1 + len(block.input)
        case ToolResult():
            return 1 + sum(_size(inner) for inner in block.content)
    return 1


def _weight(step: Step) -> int:
    """Output tokens in one step of a script."""
    match step:
        case TextDelta(text=text) | ThinkingDelta(thinking=text) | InputDelta(partial_json=text):
            return len(words(text))
    return 0
