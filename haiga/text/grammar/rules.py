"""Grammars that are known to compile.

Rule: a schema that cannot be enforced is refused by name where the caller asked for strictness, or for a schema of the
answer itself; elsewhere just as much of it is enforced as can be, since ordinary tools carry keywords that no grammar
knows. What was checked is kept by its content.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import llguidance

from haiga.core.errors import Invalid, TooLarge
from haiga.core.messages import Tool, ToolChoice
from haiga.text.formats.format import Format
from haiga.text.grammar.tools import answer_grammar, schema_grammar
from haiga.text.stream import ThinkTags

LARGEST = 500_000
KEPT = 256


class Rules:
    """Grammars over one tokenizer's special tokens (text to id). Checking a large schema takes up to a second, so it
    is not for an event loop's thread."""

    def __init__(self, special: Mapping[str, int]) -> None:
        self._special = special
        self._checked: OrderedDict[str, str] = OrderedDict()

    def schema(self, schema: Mapping[str, Any], thinking: ThinkTags | None = None) -> str:
        """The grammar of an answer that is JSON of `schema`. Raises Invalid naming what cannot be enforced."""
        grammar = schema_grammar(schema, self._special, thinking)
        self._refuse(grammar, "output_config.format.schema")
        return grammar

    def answer(
        self, format_: Format, tools: Sequence[Tool], choice: ToolChoice, thinking: ThinkTags | None = None
    ) -> str | None:
        """The grammar of an answer with tools, None where the model is free. Raises Invalid naming a strict tool's
        schema that cannot be enforced, or a chosen tool that is not there."""
        try:
            return self._compiling(format_, tools, choice, thinking)
        except Invalid as error:
            if error.field == "tool_choice":
                raise
        enforced = [self._enforced(format_, at, tool) for at, tool in enumerate(tools)]
        return self._compiling(format_, enforced, choice, thinking)

    def _compiling(
        self, format_: Format, tools: Sequence[Tool], choice: ToolChoice, thinking: ThinkTags | None
    ) -> str | None:
        grammar = answer_grammar(format_, tools, choice, self._special, thinking)
        if grammar is not None:
            self._refuse(grammar, "tools")
        return grammar

    def _enforced(self, format_: Format, at: int, tool: Tool) -> Tool:
        """The tool with as much of its schema as a grammar can hold it to."""
        if (problem := self._tool_problem(format_, tool)) is None:
            return tool
        if tool.strict:
            raise Invalid(problem.message, field=f"tools.{at}.input_schema") from problem
        properties = tool.schema.get("properties")
        kept = {name: self._kept(format_, tool, name) for name in properties} if isinstance(properties, dict) else {}
        required = [name for name in tool.schema.get("required", ()) if name in kept]
        shared = {name: tool.schema[name] for name in ("$defs", "definitions") if name in tool.schema}
        relaxed = replace(tool, schema={"type": "object", "properties": kept, "required": required, **shared})
        if self._tool_problem(format_, relaxed) is None:
            return relaxed
        return replace(tool, schema={"type": "object"})

    def _kept(self, format_: Format, tool: Tool, name: str) -> Any:
        """One property's schema; of one that cannot be enforced its type alone, or nothing."""
        own = tool.schema["properties"][name]
        simple = {"type": own["type"]} if isinstance(own, Mapping) and isinstance(own.get("type"), str) else {}
        for schema in (own, simple):
            alone = replace(tool, schema={**tool.schema, "properties": {name: schema}, "required": []})
            if self._tool_problem(format_, alone) is None:
                return schema
        return {}

    def _tool_problem(self, format_: Format, tool: Tool) -> Invalid | None:
        try:
            self._compiling(format_, [tool], ToolChoice("any"), None)
        except Invalid as error:
            return error
        return None

    def _refuse(self, grammar: str, field: str) -> None:
        """Raises Invalid, at `field`, when the grammar does not compile."""
        if len(grammar) > LARGEST:
            raise TooLarge(f"schemas of {len(grammar)} characters are too large to be enforced", field=field)
        if (problem := self._checked.get(grammar)) is None:
            text = llguidance.LLMatcher.grammar_from_lark(grammar)
            problem = self._checked[grammar] = llguidance.LLMatcher.validate_grammar(text)
            if len(self._checked) > KEPT:
                self._checked.popitem(last=False)
        if problem and not problem.startswith("WARNING"):
            raise Invalid(said(problem), field=field)


def said(problem: str) -> str:
    """llguidance's message without the place in a grammar that no caller has seen."""
    first = problem.split("\n")[0]
    if "recursion limit" in first:
        return "the schema cannot be enforced: it is nested too deep"
    for lead in ("failed to compile JSON schema: ", "initial lexer configuration "):
        if lead in first:
            first = first[first.index(lead) + len(lead) :]
    return f"the schema cannot be enforced: {first}"
