"""A caller's Lark grammar for a tool that takes free text, as rules for that text inside a JSON string.

Rule: every string and every regular expression is rewritten, every name gets a prefix, and all else stays. What Lark
has and the engine of grammars has not is refused by name: templates, priorities, %ignore and other directives.
"""

import json
import re
from collections.abc import Iterator

from haiga.core.errors import Invalid
from haiga.text.grammar.quoting import quoted_regex, quoted_text

LONGEST = 20_000  # characters of a definition
TOKEN = re.compile(
    r"""(?P<comment>(?://|\#)[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*"i?)
      | (?P<regex>/(?![/*])(?:\\.|[^/\\\n])+/[a-z]*)
      | (?P<import>%import\s+[^\n]*)
      | (?P<directive>%\w+)
      | (?P<alias>->\s*\w+)
      | (?P<count>~\s*\d+(?:\s*\.\.\s*\d+)?|\{\s*\d+\s*(?:,\s*\d*\s*)?\})
      | (?P<head>(?:^|(?<=\n))[?!]?\w+(?:\.-?\d+)?[ \t]*:)
      | (?P<name>[?!]?\w+)
      | (?P<range>\.\.)
      | (?P<mark>[|()\[\]*+?])
      | (?P<blank>\s+)""",
    re.VERBOSE,
)
COMMON = {
    "DIGIT": "/[0-9]/",
    "HEXDIGIT": "/[0-9a-fA-F]/",
    "INT": "/[0-9]+/",
    "SIGNED_INT": "/[+-]?[0-9]+/",
    "DECIMAL": r"/([0-9]+\.[0-9]*|\.[0-9]+)/",
    "FLOAT": r"/([0-9]+[eE][+-]?[0-9]+|([0-9]+\.[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?)/",
    "NUMBER": r"/([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/",
    "SIGNED_NUMBER": r"/[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?/",
    "ESCAPED_STRING": r'/"([^"\\\n]|\\[^\n])*"/',
    "LCASE_LETTER": "/[a-z]/",
    "UCASE_LETTER": "/[A-Z]/",
    "LETTER": "/[a-zA-Z]/",
    "WORD": "/[a-zA-Z]+/",
    "CNAME": "/[a-zA-Z_][a-zA-Z0-9_]*/",
    "WS_INLINE": r"/[ \t]+/",
    "WS": r"/[ \t\f\r\n]+/",
    "CR": r"/\r/",
    "LF": r"/\n/",
    "NEWLINE": r"/(\r?\n)+/",
}
IMPORT = re.compile(r"%import\s+common\s*(?:\.\s*(?P<one>\w+)(?:\s*->\s*(?P<other>\w+))?|\((?P<some>[\w\s,]+)\))\s*")
FLAGS = frozenset("ims")


def custom_rules(definition: str, prefix: str) -> list[str]:
    """The grammar's rules, the first of them called `prefix` and `start`. Raises Invalid naming what cannot be had."""
    if len(definition) > LONGEST:
        raise Invalid(f"a grammar of {len(definition)} characters is too large to be enforced")
    writer = _Writer(definition, prefix)
    rules = writer.rules()
    if "start" not in writer.defined:
        raise Invalid("the grammar has no rule `start`")
    if missing := sorted(writer.used - writer.defined):
        raise Invalid(f"the grammar has no rule `{missing[0]}`")
    return rules


class _Writer:
    def __init__(self, definition: str, prefix: str) -> None:
        self._definition = definition
        self._prefix = prefix
        self.defined: set[str] = set()
        self.used: set[str] = set()

    def rules(self) -> list[str]:
        rules: list[str] = []
        for kind, text in self._tokens():
            if kind == "import":
                rules += self._imported(text)
            elif kind == "head":
                rules.append(f"{self._head(text)}:")
            elif not rules:
                raise Invalid(f"the grammar begins with {text[:40]!r}, which is no rule")
            else:
                rules[-1] += f" {self._part(kind, text)}"
        return rules

    def _tokens(self) -> Iterator[tuple[str, str]]:
        at = 0
        while at < len(self._definition):
            found = TOKEN.match(self._definition, at)
            if found is None or found.lastgroup is None:
                line = self._definition.count("\n", 0, at) + 1
                near = self._definition[at : at + 20]
                raise Invalid(f"the grammar cannot be enforced: {near!r} in line {line} is not supported")
            at = found.end()
            if found.lastgroup not in ("blank", "comment", "alias"):
                yield found.lastgroup, found[0]

    def _head(self, text: str) -> str:
        name = text[:-1].strip().lstrip("?!")
        if "." in name:
            raise Invalid(f"the grammar cannot be enforced: a priority as in `{name}` is not supported")
        if name in self.defined:
            raise Invalid(f"the grammar has two rules `{name}`")
        self.defined.add(name)
        return self._named(name)

    def _part(self, kind: str, text: str) -> str:
        match kind:
            case "string":
                return _string(text)
            case "regex":
                return _regex(text)
            case "name":
                self.used.add(text.lstrip("?!"))
                return self._named(text.lstrip("?!"))
            case "count":
                return "{" + text.strip("~{}").replace("..", ",").replace(" ", "") + "}"
            case "mark":
                return {"[": "(", "]": ")?"}.get(text, text)
        raise Invalid(f"the grammar cannot be enforced: `{text[:40]}` is not supported")

    def _imported(self, text: str) -> list[str]:
        found = IMPORT.fullmatch(text.split("//")[0])
        if found is None:
            raise Invalid(f"the grammar cannot be enforced: `{text[:60].strip()}` is not supported")
        pairs = [(found["one"], found["other"] or found["one"])] if found["one"] else []
        pairs += [(name, name) for name in re.findall(r"\w+", found["some"] or "")]
        for name, _ in pairs:
            if name not in COMMON:
                raise Invalid(f"the grammar cannot be enforced: `common.{name}` is not supported")
        self.defined.update(other for _, other in pairs)
        return [f"{self._named(other)}: {_regex(COMMON[name])}" for name, other in pairs]

    def _named(self, name: str) -> str:
        """A name of ours. Terminals become rules as well, since each is many lexemes."""
        return f"{self._prefix}_t_{name.lower()}" if name.upper() == name else f"{self._prefix}_{name}"


def _string(text: str) -> str:
    any_case = text.endswith("i")
    try:
        said = str(json.loads(text.removesuffix("i"), strict=False))
    except ValueError:
        raise Invalid(f"the grammar's string {text[:40]} is not written as JSON writes strings") from None
    return quoted_text(said, any_case)


def _regex(text: str) -> str:
    body, _, flags = text[1:].rpartition("/")
    if unknown := set(flags) - FLAGS:
        raise Invalid(f"the grammar cannot be enforced: the flag `{min(unknown)}` of {text[:40]} is not supported")
    return quoted_regex(body, "i" in flags, "s" in flags)
