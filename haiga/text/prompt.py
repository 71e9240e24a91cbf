"""A request to prompt tokens, with the places where cache breakpoints fall.

Rule: only the template writes control tokens (guard.py), and a count is the length of the very prompt.

Places in the prompt are found for any template: the conversation is rendered once as it is, and once more with a
private-use character after the marked block's text. What follows that character in the second text is what follows
the block in the first.
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from haiga.core.errors import Invalid
from haiga.core.generation import TextRequest
from haiga.core.messages import Text
from haiga.core.pictures import Placed
from haiga.text.conversation import Manner, tools_of, turns_of
from haiga.text.formats import GENERIC, Format, recognise
from haiga.text.guard import Guard, private_characters, replaced
from haiga.text.marks import Path, Place, marked, places
from haiga.text.pictures import Spelled, Spelling, pictures_of, placed, spelled
from haiga.text.raw import Raw, infill_tokens, raw_tokens
from haiga.text.stream import ThinkTags
from haiga.text.template import BlankLines, ChatTemplate, Turn
from haiga.text.tokenizer import Encoded, Tokenizer

EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
TAGS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<|channel>thought", "<channel|>"))


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, and cache breakpoints as (how many tokens lie before it, its lifetime in seconds), in the order
    tools, system, messages. `continues`: the answer goes on from the last message's text. `thinking`: the tags that
    enclose a thought in the answer, None where the model has none. `ends`: ids that end this answer besides the model's
    own. `pictures` are in the order of their places."""

    tokens: list[int]
    breakpoints: tuple[tuple[int, int], ...] = ()
    continues: bool = False
    thinking: ThinkTags | None = None
    ends: tuple[int, ...] = ()
    pictures: tuple[Placed, ...] = ()


class Prompter:
    """Prompts for one model. Without a template the contents are joined by blank lines. `sight`: how it writes
    pictures, None where it sees none.

    `format`: the tool-call dialect, found in the template where it is not given. `shown`: the special tokens that are
    markup to be read in answers (calls, thinking), for the Detokenizer to show.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate | None = None,
        format: Format | None = None,
        sight: Spelling | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template or BlankLines()
        self._bare = template is None
        source = self._template.source + self._template.tool_source
        self.format: Format = format or recognise(source)
        self._thinking = next((ThinkTags(*tags) for tags in TAGS if all(tag in source for tag in tags)), None)
        self.shown = frozenset(
            tokenizer.added[text]
            for text in tokenizer.added
            if self.format.spells(text) or (self._thinking and text in (self._thinking.open, self._thinking.close))
        )
        self._sight = sight
        own = f"{sight.written}{sight.filler}" if sight else ""
        self._guard = Guard(tokenizer, f"{source}{GENERIC.open}{GENERIC.close}{own}")

    def prompt(self, request: TextRequest, limit: int | None = None) -> Prompt:
        """The request's prompt. Raises Invalid with the template's words when it refuses the conversation,
        Unsupported naming a block that the model cannot take. A text that is certain to have more than `limit` tokens
        is refused before it is encoded, which takes a second and 300 MB for every million characters."""
        if request.raw is not None:
            return self._raw(request.raw, request.suffix, limit)
        rendering = _Rendering(request, self._template, self._guard, self.format, self._sight)
        text = rendering.text(request)
        pictures = pictures_of(request)
        spelt = spelled(text, pictures, self._sight) if self._sight and pictures else Spelled(text, ())
        self._require_encodable(spelt.text, limit)
        encoded = self._encode(spelt.text, rendering.split)
        marks = [(spelt.at(rendering.end(place, text)), place.ttl) for place in rendering.places if place.ttl]
        breakpoints = tuple((bisect_right(encoded.ends, end), ttl) for end, ttl in marks)
        thinking = self._thinking and replace(self._thinking, opened=text.rstrip().endswith(self._thinking.open))
        prompt = Prompt(encoded.ids, breakpoints, rendering.continues, thinking)
        if not self._sight or not pictures:
            return prompt
        filler = self._tokenizer.id(self._sight.filler)
        return replace(prompt, pictures=placed(encoded.ids, filler, pictures, self._sight))

    def count(self, request: TextRequest) -> int:
        """How many tokens the prompt has."""
        return len(self.prompt(request).tokens)

    def _require_encodable(self, text: Raw, limit: int | None) -> None:
        """Raise Invalid for a text longer than `limit` of the longest tokens, where no token stands for more text than
        its own."""
        if limit is None or not isinstance(text, str) or len(text) <= limit or not self._tokenizer.lossless:
            return
        least = -(-len(text) // self._tokenizer.longest)
        if least > limit:
            raise Invalid(
                f"prompt is too long: {least} tokens > {limit} maximum (at the least; it was not counted further)",
                code="context_length_exceeded",
            )

    def _raw(self, raw: Raw, suffix: str | None, limit: int | None) -> Prompt:
        """A prompt without template."""
        self._require_encodable(raw + (suffix or "") if isinstance(raw, str) else raw, limit)
        if suffix is None:
            return Prompt(raw_tokens(self._tokenizer, raw))
        ids, ends = infill_tokens(self._tokenizer, raw, suffix)
        return Prompt(ids, ends=ends)

    def _encode(self, text: str, split: str) -> Encoded:
        """The parts between the `split` characters encoded apart; `ends` count in `text`."""
        ids: list[int] = []
        ends: list[int] = []
        start = 0
        for part in text.split(split):
            encoded = self._encode_part(part, first=start == 0)
            ids += encoded.ids
            ends += [start + end for end in encoded.ends]
            start += len(part) + 1
        return Encoded(ids, ends)

    def _encode_part(self, part: str, first: bool) -> Encoded:
        if first:
            return self._tokenizer.encode_with_ends(part, special=self._bare)
        return self._tokenizer.encode_inside(part)


class _Rendering:
    """One request's renderings: as it is, and with marks."""

    def __init__(
        self,
        request: TextRequest,
        template: ChatTemplate | BlankLines,
        guard: Guard,
        format_: Format,
        sight: Spelling | None,
    ) -> None:
        self._format = format_
        self._picture = sight.written if sight else ""
        self._request = request
        self._template = template
        self._guard = guard
        self.places: Sequence[Place] = places(request)
        self.split, self._own, self._mark, self._end, self._stand_in = self._characters()
        self._last = _prefill(request)
        self._apart: bool | None = None

    @property
    def continues(self) -> bool:
        return self._last is not None

    def text(self, request: TextRequest) -> str:
        """The prompt's text, up to where the answer begins or goes on."""
        if self._last is None:
            return self._render(request, generate=True)
        shown = self._render(marked(request, self._last, self._end), generate=False)
        if self._end not in shown:
            raise Invalid("this model's chat template does not let an answer be begun for it", field="messages")
        return shown[: shown.rindex(self._end)]

    def end(self, place: Place, text: str) -> int:
        """Where in `text` the block ends, or the last block before it that is shown at all; 0 before any."""
        before = self.places[: self.places.index(place) + 1]
        return next((end for each in reversed(before) if (end := self._shown_end(each.path, text)) is not None), 0)

    def _shown_end(self, path: Path, text: str) -> int | None:
        try:
            shown = self.text(marked(self._request, path, self._mark))
        except Invalid:
            return None
        if self._mark not in shown:
            return None
        after = shown[shown.rindex(self._mark) + 1 :]
        return len(text) - len(after) if text.endswith(after) else _common(text, shown)

    def _render(self, request: TextRequest, generate: bool) -> str:
        turns = replaced(self._guard.broken(self._turns(request), self.split), self._own, "")
        tools = self._guard.broken(tools_of(request), self.split)
        if self._apart is None:
            self._apart = self._joins(turns, tools, request, generate)
        if self._apart:
            turns, tools = (self._guard.edged(each, self.split) for each in (turns, tools))
        return self._written(turns, tools, request, generate)

    def _joins(self, turns: list[Turn], tools: list[Any], request: TextRequest, generate: bool) -> bool:
        """Whether the template joins content and its own text to control tokens."""
        edged = [self._guard.edged(each, self.split) for each in (turns, tools)]
        if edged == [turns, tools]:
            return False
        try:
            apart = self._written(edged[0], edged[1], request, generate)
        except Invalid:
            return False
        return self._guard.tokens(apart) < self._guard.tokens(self._written(turns, tools, request, generate))

    def _turns(self, request: TextRequest) -> list[Turn]:
        """The turns, with every control token of our own markup broken by a character that is then taken away."""
        manner = Manner(
            format=self._format,
            picture=self._picture,
            mark=self._stand_in,
            guarded=self._guarded,
            own=lambda markup: str(self._guard.broken(markup, self._own)),
        )
        return turns_of(request, self._template.abilities, manner)

    def _guarded(self, content: Any) -> Any:
        return self._guard.broken(content, self.split)

    def _written(self, turns: list[Turn], tools: list[Any], request: TextRequest, generate: bool) -> str:
        return _well_formed(self._template.render(turns, tools=tools, generate=generate, extra=_effort(request)))

    def _characters(self) -> list[str]:
        turns = turns_of(self._request, self._template.abilities, Manner(picture=self._picture))
        spoken = json.dumps([turns, tools_of(self._request)], ensure_ascii=False)
        return private_characters([spoken, self._template.source, self._template.tool_source], 5)


def _effort(request: TextRequest) -> dict[str, Any]:
    """Whether and how hard to think, under the names that templates look for."""
    thinks = request.thinking.mode != "disabled"
    values: dict[str, Any] = {"enable_thinking": thinks, "thinking": thinks}
    level = EFFORTS.get(str(request.extra.get("effort")))
    return {**values, "reasoning_effort": level} if level else values


def _well_formed(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Invalid("a text holds half of a surrogate pair, which is no character", field="messages") from error
    return text


def _prefill(request: TextRequest) -> Path | None:
    """The path of the text that the answer goes on from."""
    if not request.messages:
        return None
    last = request.messages[-1]
    if last.role != "assistant" or not last.content or not isinstance(last.content[-1], Text):
        return None
    return ("messages", len(request.messages) - 1, len(last.content) - 1)


def _common(one: str, other: str) -> int:
    """How many characters both texts begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low
