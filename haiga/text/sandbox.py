"""The Jinja environment that chat templates run in: sandboxed, bounded, with what transformers gives them besides.

Rule: a template sees plain values alone, and can do nothing but text; budget.py says what it may spend.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser

from haiga.text.budget import BoundedEnvironment

_PLAIN_OR_PRIVATE = re.compile("[^\x00-\x7f\ue000-\uf8ff\U000f0000-\U0010ffff]")


class _Generation(jinja2.ext.Extension):
    """`{% generation %}`, which training uses to find the assistant's words: here its body as it stands."""

    tags = {"generation"}  # noqa: RUF012 (jinja's own declaration)

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


def environment(now: Callable[[], datetime]) -> BoundedEnvironment:
    """An environment for one template; `now` is the clock behind `strftime_now`."""
    made = BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = made.counted("tojson", to_json)
    made.globals["raise_exception"] = _refuse
    made.globals["strftime_now"] = lambda pattern: now().strftime(pattern)
    return made


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without HTML escapes. Private-use characters stay themselves: prompt.py marks places with them."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys)
    return _PLAIN_OR_PRIVATE.sub(_escape, text) if ensure_ascii else text


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
