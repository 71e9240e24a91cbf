"""How one model writes calls and thoughts, and what a request therefore forces and expects of its answer.

Rule: what the grammar forces and what the stream reads come from the same definition of the model's dialect.
"""

from collections.abc import Sequence

from haiga.core.generation import TextRequest
from haiga.core.messages import Tool
from haiga.engines.native.protocol import Thought
from haiga.text.detokenizer import Detokenizer
from haiga.text.formats.harmony import CHANNEL, ENDS, MESSAGE
from haiga.text.grammar import Rules
from haiga.text.known_tools import known
from haiga.text.prompt import Prompt, Prompter
from haiga.text.stream import AnswerStream
from haiga.text.tokenizer import Tokenizer

ANALYSIS, END = f"{CHANNEL}analysis{MESSAGE}", ENDS[0]


class Speech:
    """A model's dialect, as its prompts show it."""

    def __init__(self, tokenizer: Tokenizer, prompter: Prompter) -> None:
        self.tokenizer = tokenizer
        self._format = prompter.format
        self._shown = prompter.shown
        self._rules = Rules({text: id for text, id in tokenizer.added.items() if id in tokenizer.special_ids})

    def grammar(self, request: TextRequest, prompt: Prompt) -> str | None:
        """What the answer must follow, None where it is free. Raises Invalid naming the tool or schema.

        Not for an event loop's thread: checking a large schema takes a moment.
        """
        if request.output_schema is not None:
            return self._rules.schema(request.output_schema, prompt.thinking)
        return self._rules.answer(self._format, callable_tools(request), request.tool_choice, prompt.thinking)

    def thought(self, request: TextRequest, prompt: Prompt) -> Thought | None:
        """How long the model may think, None where that is left to it: not at all when thinking is disabled."""
        asked = request.thinking
        budget = 0 if asked.mode == "disabled" else asked.budget
        if budget is None or prompt.continues or request.raw is not None:
            return None
        if self._format.channels:
            return Thought(ANALYSIS, END, self._tokens(END), budget, anywhere=True)
        tags = prompt.thinking
        return Thought(tags.open, tags.close, self._tokens(tags.close), budget, tags.opened) if tags else None

    def detokenizer(self, prompt: Prompt) -> Detokenizer:
        """One that shows the special tokens which are the dialect's own markup."""
        return Detokenizer(self.tokenizer, show=self._shown, hide=prompt.ends, continues=prompt.continues)

    def stream(self, request: TextRequest, prompt: Prompt) -> AnswerStream:
        tools = callable_tools(request) if request.tool_choice.mode != "none" else ()
        return AnswerStream(
            request.stop,
            format=self._format if tools or self._format.channels else None,
            schemas={tool.name: tool.schema for tool in tools},
            thinking=prompt.thinking,
            eager={tool.name for tool in tools if tool.extra.get("eager_input_streaming")},
            continues=prompt.continues,
        )

    def prediction(self, request: TextRequest) -> Sequence[int]:
        """The tokens that the answer is expected to be."""
        return self._tokens(request.prediction) if request.prediction else ()

    def _tokens(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, special=False)


def callable_tools(request: TextRequest) -> Sequence[Tool]:
    """The tools that may be called, those of the API itself with their schemas; the prompt shows all of them."""
    allowed = request.tool_choice.allowed
    tools = request.tools if allowed is None else [tool for tool in request.tools if tool.name in allowed]
    return [known(tool) for tool in tools]
