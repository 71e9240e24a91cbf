"""How one model writes calls and thoughts, and what a request therefore forces and expects of its answer.

Rule: what the grammar forces and what the stream reads come from the same definition of the model's dialect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from haiga.core.generation import TextRequest
from haiga.core.messages import Tool
from haiga.text.detokenizer import Detokenizer
from haiga.text.formats import Format
from haiga.text.grammar import answer_grammar, schema_grammar
from haiga.text.prompt import Prompt
from haiga.text.stream import AnswerStream, ThinkTags
from haiga.text.tokenizer import Tokenizer

TAIL = 16  # tokens at a prompt's end among which a template opens a thought


@dataclass(frozen=True, slots=True)
class Speech:
    """A model's dialect. `thinking`: the tags of its thoughts, None for a model that does not reason. `sign` proves
    that a thought was written here."""

    tokenizer: Tokenizer
    format: Format
    thinking: ThinkTags | None
    sign: Callable[[str], str] | None = None

    def grammar(self, request: TextRequest, prompt: Prompt) -> str | None:
        """What the answer must follow, None where it is free. Raises Invalid naming the tool or schema."""
        special = {text: id for text, id in self.tokenizer.added.items() if id in self.tokenizer.special_ids}
        thinking = self._thinking(prompt)
        if request.output_schema is not None:
            return schema_grammar(request.output_schema, special, thinking)
        return answer_grammar(self.format, callable_tools(request), request.tool_choice, special, thinking)

    def detokenizer(self, prompt: Prompt) -> Detokenizer:
        """One that shows the special tokens which are the dialect's own markup."""
        return Detokenizer(self.tokenizer, show=self._markup(), continues=prompt.continues)

    def stream(self, request: TextRequest, prompt: Prompt) -> AnswerStream:
        tools = callable_tools(request) if request.tool_choice.mode != "none" else ()
        return AnswerStream(
            request.stop,
            format=self.format if tools or self.format.channels else None,
            schemas={tool.name: tool.schema for tool in tools},
            thinking=self._thinking(prompt),
            eager={tool.name for tool in tools if tool.extra.get("eager_input_streaming")},
            continues=prompt.continues,
            sign=self.sign,
        )

    def _thinking(self, prompt: Prompt) -> ThinkTags | None:
        if self.thinking is None:
            return None
        tail = self.tokenizer.decode(prompt.tokens[-TAIL:], skip_special=False)
        return replace(self.thinking, opened=tail.rstrip().endswith(self.thinking.open))

    def _markup(self) -> list[int]:
        f, tags = self.format, self.thinking
        written = f.open + f.before + f.middle + f.after + f.between + f.close
        written += tags.open + tags.close if tags else ""
        added = self.tokenizer.added
        return [id for text, id in added.items() if f.channels or text in written]


def callable_tools(request: TextRequest) -> Sequence[Tool]:
    """The tools that may be called; the prompt shows all of them."""
    allowed = request.tool_choice.allowed
    return request.tools if allowed is None else [tool for tool in request.tools if tool.name in allowed]
