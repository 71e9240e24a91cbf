"""One answer on its way out: judged before it is released.

Rule: nothing is released before it was judged harmless, or what is not was taken out. Text and thoughts are held by
`Holding`; a call is held until it is whole, and so are other blocks. A hit ends the answer: the block that is open is
closed, and the end says why. What is released depends on what the model said alone, not on the pieces that it came in.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from haiga.core.generation import (
    PARTIAL,
    BlockStarted,
    BlockStopped,
    CitationDelta,
    Event,
    Finished,
    InputDelta,
    SignatureDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    Usage,
    unquoted,
)
from haiga.core.messages import Block, Opaque, ServerToolResult, ServerToolUse, Text, Thinking, ToolUse
from haiga.core.moderation import Span
from haiga.core.policies import Decision, Refused, refusal
from haiga.services.moderation.holding import Cut, Holding
from haiga.services.moderation.masking import masked

CONTEXT = 600  # characters of what was released that are judged again with what follows
Decide = Callable[[str], Awaitable[Decision]]
Mask = Callable[[str, Decision, int], Awaitable[tuple[Span, ...]]]


class Screen:
    """Events in, released events out. `decide` judges a text, `mask` says what of it, from a place on, is to be taken
    out. `said` is what the answer continues. `overlapping`: terms are looked for; `dear`: a chat model is asked."""

    def __init__(
        self, decide: Decide, mask: Mask, said: str = "", overlapping: bool = False, dear: bool = False
    ) -> None:
        self._decide = decide
        self._mask = mask
        self._context = said[-CONTEXT:]
        self._overlapping, self._dear = overlapping, dear
        self._usage = Usage()
        self._pieces = 0
        self._text: _Text | None = None
        self._whole: list[Event] = []  # a block that is held until it is whole
        self._shown: int | None = None  # the index of the block that is open for the reader
        self.refused: Refused | None = None

    async def feed(self, told: Event) -> list[Event]:
        """What may be released once this event has come; with a Finished at its end when the answer was refused."""
        event = unquoted(told)  # a quotation would say what is held back
        match event:
            case None:
                return []
            case Started(usage=usage):
                self._usage = usage
            case BlockStarted(block=Text() | Thinking() as block):
                return await self._begin(event, block)
            case BlockStarted():
                self._whole = [event]
                return []
            case TextDelta() | ThinkingDelta() if self._text is not None:
                self._pieces += 1
                self._text.add(event)
                return await self._judged(self._text, final=False)
            case SignatureDelta() if self._text is not None:
                self._text.signature = event
                return []
            case CitationDelta() if self._text is not None:
                self._text.cite(event)
                return []
            case InputDelta() if self._whole:
                self._pieces += 1
                self._whole.append(event)
                return []
            case BlockStopped() if self._text is not None:
                return await self._end(self._text, event)
            case BlockStopped() if self._whole:
                return await self._call([*self._whole, event])
        return [event]

    # --- text and thoughts ---

    async def _begin(self, event: BlockStarted, block: Text | Thinking) -> list[Event]:
        said = block.text if isinstance(block, Text) else block.thinking
        empty = replace(block, text="") if isinstance(block, Text) else replace(block, thinking="")
        self._text = _Text(replace(event, block=empty), Holding(self._overlapping, self._dear))
        if not said:
            return []
        self._text.add(TextDelta(event.index, said))
        return await self._judged(self._text, final=False)

    async def _judged(self, text: "_Text", final: bool) -> list[Event]:
        released: list[Event] = []
        while self.refused is None and (cut := text.holding.next(final)):
            released += await self._cut(text, cut)
        return released

    async def _cut(self, text: "_Text", cut: Cut) -> list[Event]:
        context = self._context
        decision = await self._decide(context + cut.judged)
        if decision.action in ("mask", "block") and not cut.firm:
            text.holding.keep_all(cut)
            return []
        if decision.action == "block":
            return self._refuse(decision)
        if decision.action == "mask":
            spans = await self._mask(context + cut.judged, decision, len(context))
            return self._masked(
                text, cut, [replace(s, start=s.start - len(context), end=s.end - len(context)) for s in spans]
            )
        text.holding.release(cut)
        return self._shown_to(text, cut.judged[: cut.free])

    def _masked(self, text: "_Text", cut: Cut, spans: list[Span]) -> list[Event]:
        """A part that is taken out is taken out whole, even where the rest of it is held."""
        end = cut.free
        for span in spans:
            end = max(end, span.end) if span.start < end else end
        within = [span for span in spans if span.end <= end]
        text.holding.release(cut, end)
        text.logprobs(end)
        cited = text.cited(end)
        text.touched = text.touched or bool(within)
        return [*self._show(text, masked(cut.judged[:end], within), ()), *cited]

    def _shown_to(self, text: "_Text", said: str) -> list[Event]:
        """The text with its citations where they stand."""
        released: list[Event] = []
        at = 0
        for end in [*text.citations(len(said)), len(said)]:
            released += self._show(text, said[at:end], text.logprobs(end - at))
            released += text.cited(end - at)
            at = end
        return released

    def _show(self, text: "_Text", said: str, logprobs: tuple[TokenLogprob, ...]) -> list[Event]:
        if not said:
            return []
        self._context = (self._context + said)[-CONTEXT:]
        index = text.begun.index
        delta: Event = (
            TextDelta(index, said, logprobs) if isinstance(text.begun.block, Text) else ThinkingDelta(index, said)
        )
        return [*self._open(text), delta]

    def _open(self, text: "_Text") -> list[Event]:
        if self._shown is not None:
            return []
        self._shown = text.begun.index
        return [text.begun]

    async def _end(self, text: "_Text", event: BlockStopped) -> list[Event]:
        released = await self._judged(text, final=True)
        if self.refused is not None:
            return released
        # a signature is of what was thought: it does not fit what is left of that
        signed: list[Event] = [text.signature] if text.signature and not text.touched else []
        released += [*self._open(text), *text.cited(None), *signed, event]
        self._text, self._shown = None, None
        return released

    # --- whole blocks ---

    async def _call(self, events: list[Event]) -> list[Event]:
        self._whole = []
        begun = events[0]
        assert isinstance(begun, BlockStarted)
        said = "".join(event.partial_json for event in events if isinstance(event, InputDelta))
        value = _read(said) if said else _value(begun.block)
        texts = _strings(value)
        decision = await self._decide("\n".join(texts)) if texts else None
        if decision is None or decision.action in ("allow", "flag"):
            return events
        cleaned = await self._cleaned(value) if decision.action == "mask" else value
        if cleaned == value:
            return self._refuse(decision)
        if isinstance(begun.block, ServerToolResult):
            content = tuple(replace(text, text=said) for text, said in zip(begun.block.content, cleaned, strict=True))
            return [replace(begun, block=replace(begun.block, content=content)), events[-1]]
        if isinstance(begun.block, Opaque):
            return [replace(begun, block=replace(begun.block, extra=cleaned)), events[-1]]
        return [begun, InputDelta(begun.index, json.dumps(cleaned, ensure_ascii=False)), events[-1]]

    async def _cleaned(self, value: Any) -> Any:
        """JSON with what is masked taken out of its texts."""
        match value:
            case str():
                decision = await self._decide(value)
                spans = await self._mask(value, decision, 0) if decision.action == "mask" else ()
                return masked(value, spans)
            case list():
                return [await self._cleaned(item) for item in value]
            case dict():
                return {name: await self._cleaned(item) for name, item in value.items()}
        return value

    def _refuse(self, decision: Decision) -> list[Event]:
        self.refused = refusal("output", decision)
        usage = replace(self._usage, output=self._pieces)
        closing: list[Event] = [] if self._shown is None else [BlockStopped(self._shown)]
        return [*closing, Finished("refusal", usage, refused=self.refused)]


class _Text:
    """A block of text or thoughts: how it began, what is held of it, and the log probabilities of what is held."""

    def __init__(self, begun: BlockStarted, holding: Holding) -> None:
        self.begun = begun
        self.holding = holding
        self.signature: SignatureDelta | None = None
        self.touched = False
        self._pieces: list[tuple[int, tuple[TokenLogprob, ...]]] = []
        self._citations: list[tuple[int, CitationDelta]] = []  # with how many held characters come before each
        self._held = 0

    def cite(self, event: CitationDelta) -> None:
        self._citations.append((self._held, event))

    def citations(self, size: int) -> list[int]:
        """Where those stand that are within the next `size` characters."""
        return sorted({at for at, _ in self._citations if at < size})

    def cited(self, size: int | None) -> list[CitationDelta]:
        """Those within the next `size` characters, which are held no longer; None for all."""
        due = [event for at, event in self._citations if size is None or at <= size]
        if size is not None:
            self._citations = [(at - size, event) for at, event in self._citations if at > size]
            self._held -= size
        return due

    def add(self, event: TextDelta | ThinkingDelta) -> None:
        said = event.text if isinstance(event, TextDelta) else event.thinking
        self.holding.add(said)
        self._held += len(said)
        self._pieces.append((len(said), event.logprobs if isinstance(event, TextDelta) else ()))

    def logprobs(self, size: int) -> tuple[TokenLogprob, ...]:
        """Those of the pieces that are wholly within the next `size` characters; what is left of the others goes with
        what follows."""
        found: list[TokenLogprob] = []
        while self._pieces and self._pieces[0][0] <= size:
            length, logprobs = self._pieces.pop(0)
            size -= length
            found += logprobs
        if size and self._pieces:
            length, logprobs = self._pieces[0]
            self._pieces[0] = length - size, logprobs
        return tuple(found)


def _value(block: Block) -> Any:
    """What a block says that comes whole."""
    match block:
        case ServerToolResult(content=content):
            return [text.text for text in content]
        case ToolUse(input=said) | ServerToolUse(input=said):
            return dict(said)
        case Opaque(extra=said):
            return dict(said)
    return None


def _read(text: str) -> Any:
    """JSON, or what was to become it, as it stands."""
    try:
        return json.loads(text)
    except ValueError:
        return {PARTIAL: text}


def _strings(value: Any) -> list[str]:
    """Every text in a JSON value, the names of its fields among them."""
    match value:
        case str():
            return [value] if value else []
        case list() | tuple():
            return [text for item in value for text in _strings(item)]
        case Mapping():
            return [text for name, item in value.items() for text in (name, *_strings(item))]
    return []
