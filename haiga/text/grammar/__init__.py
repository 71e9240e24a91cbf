"""Grammars: schema, dialect and tool choice to token masks.

    lark.py      a grammar under construction
    values.py    schemas in the notations that are not JSON
    tools.py     a dialect and a tool choice as a grammar
    custom.py    a caller's Lark grammar for a tool's text, quoting.py its strings and patterns inside JSON
    rules.py     grammars that are known to compile, with what cannot be enforced refused or left out
    masks.py     grammars compiled for one tokenizer, and the masks they give

Rule: a grammar and the parser of a dialect are two readings of one definition (formats/format.py).
"""

from haiga.text.grammar.masks import Grammars, Matcher
from haiga.text.grammar.rules import Rules
from haiga.text.grammar.tools import answer_grammar, schema_grammar

__all__ = ["Grammars", "Matcher", "Rules", "answer_grammar", "schema_grammar"]
