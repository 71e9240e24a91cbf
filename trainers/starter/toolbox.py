"""Tools, and what is wished of them: a tool with its schema, a question, the call that it needs, a result, an answer.

Rule: names, descriptions, parameters and questions vary independently, so that what is to be called and with which
parameters can only be read from the prompt. The last of every list of questions is held out, and so are whole kinds
(`held` in phrases/tools.json).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from trainers.starter.values import TOOLS, Values

KINDS: Mapping[str, Any] = TOOLS["kinds"]
GROUPS = (
    ("weather", "forecast"), ("plus", "times", "calculator"), ("email", "text_message", "note", "call", "contact"),
    ("calendar", "reminder", "alarm", "timer"), ("search", "news", "define", "recipe", "country", "library"),
    ("read_file", "delete_file", "list_files"), ("conversion", "currency"), ("flight", "distance", "train"),
    ("restaurant", "order_food", "recipe", "shopping", "hotel"), ("light", "heating"), ("contact", "birthday"),
)  # fmt: skip
SPECIFIC = ("plus", "times", "calculator")
NUMBERS = {"number": "number", "count": "integer", "temp": "integer"}
LEAD = "You can call these tools:"


@dataclass(frozen=True, slots=True)
class Tool:
    """`properties` and `required` as in a JSON schema."""

    kind: str
    name: str
    tells: str
    properties: Mapping[str, Mapping[str, Any]]
    required: tuple[str, ...]

    @property
    def function(self) -> dict[str, Any]:
        """The definition as chat templates take it."""
        schema = {"type": "object", "properties": dict(self.properties), "required": list(self.required)}
        function = {"name": self.name, "description": self.tells, "parameters": schema}
        return {"type": "function", "function": function}


Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks of `tool`, with the calls it takes, the result of each, and what is then told."""

    tool: Tool
    question: str
    calls: tuple[Call, ...]
    results: tuple[str, ...]
    answer: str


def shown(tools: Sequence[Tool]) -> str:
    """The tools as the chat template writes them into the system turn."""
    return "\n".join([LEAD, *(line for tool in tools for line in _lines(tool))])


def _lines(tool: Tool) -> list[str]:
    return [f'"{tool.name}": {tool.tells}', *(_property(tool, name, of) for name, of in tool.properties.items())]


def _property(tool: Tool, name: str, of: Mapping[str, Any]) -> str:
    more = "".join(f", {k} {dumped(v)}" for k, v in of.items() if k not in ("type", "description"))
    optional = "" if name in tool.required else ", optional"
    tells = f": {of['description']}" if "description" in of else ""
    return f'- "{name}" {of["type"]}{more}{optional}{tells}'


def written(calls: Sequence[Call]) -> str:
    """Calls as the model writes them (Hermes)."""
    each = (f'{{"name": "{name}", "arguments": {dumped(dict(given))}}}' for name, given in calls)
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in each)


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def related(kind: str, present: Sequence[str]) -> bool:
    """Whether one of the kinds present could be taken for `kind`."""
    return kind in present or "search" in present or any(kind in g and p in g for g in GROUPS for p in present)


class Toolbox:
    """Draws tools and wishes. held: with held-out values and held-out questions alone."""

    def __init__(self, values: Values, kinds: Sequence[str] | None = None) -> None:
        self.values = values
        known = [k for k, v in KINDS.items() if not v.get("held") for _ in range(v.get("often", 1))]
        self.kinds = list(kinds) if kinds else known

    def chosen(self, texts: Sequence[str], rng: Random) -> str:
        """One of the texts, the last of which is held out."""
        return texts[-1] if self.values.held else rng.choice(texts[:-1])

    def drawn(self, rng: Random, count: int) -> list[Callable[[Random], Wish]]:
        """`count` tools, each as something that draws wishes for it; no two of one name, or that do the same sums."""
        found: dict[str, Callable[[Random], Wish]] = {}
        kinds: set[str] = set()
        while len(found) < count:
            kind = rng.choice(self.kinds) if rng.random() < 0.7 else "invented"
            if kind in kinds or (kind in SPECIFIC and kinds & set(SPECIFIC)):
                continue
            tool, wish = self.invented(rng) if kind == "invented" else self.known(kind, rng)
            if tool.name not in found:
                kinds |= {kind} - {"invented"}
                found[tool.name] = wish
        return list(found.values())

    def known(self, kind: str, rng: Random) -> tuple[Tool, Callable[[Random], Wish]]:
        """A tool of a kind in the phrases."""
        of = KINDS[kind]
        slots = list(of["needs"])
        rng.shuffle(slots)
        plain = rng.random() < 0.3
        names = dict(zip(slots, _apart([of["needs"][s] for s in slots], rng), strict=True))
        properties = {names[s]: self.schema(s, rng, plain) for s in slots}
        may = {name: {"type": "string", **({"enum": m["enum"]} if "enum" in m else {})} for name, m in _may(of, rng)}
        name = of["names"][0] if rng.random() < 0.25 else self.chosen(of["names"], rng)
        tool = Tool(kind, name, self.chosen(of["tells"], rng), properties | may, tuple(names.values()))
        return tool, lambda rng: self.wish(tool, names, may, rng)

    def schema(self, slot: str, rng: Random, plain: bool) -> dict[str, Any]:
        kind = slot.rstrip("0123456789")
        found: dict[str, Any] = {"type": NUMBERS.get(kind, "string")}
        if kind == "onoff":
            found["enum"] = ["on", "off"]
        if not plain and rng.random() < 0.5:
            found["description"] = rng.choice(TOOLS["says"].get(kind, TOOLS["says"]["other"]))
        return found

    def wish(self, tool: Tool, names: Mapping[str, str], may: Mapping[str, Any], rng: Random) -> Wish:
        of = KINDS[tool.kind]
        said = {slot: self.values.draw(slot, rng) for slot in sorted(names)}
        gives = {key: self.values.draw(kind, rng) for key, kind in of["gives"].items()}
        pattern = spoken(self.chosen(of["asks"], rng), rng)
        if not self.values.held and rng.random() < 0.05:
            said = {slot: v.lower() if isinstance(v, str) else v for slot, v in said.items()}
        given = {name: said[slot] for slot, name in names.items()}
        for name, schema in may.items():
            if rng.random() < 0.35:
                value = rng.choice(schema["enum"]) if "enum" in schema else self.values.draw("room", rng)
                pattern = _with(pattern, of["may"][name]["ask"].format(value))
                given[name] = value
        answer = of["answers"][0].format(**said, **gives)
        result = rendered(gives, rng.choice(of["texts"]).format(**said, **gives), rng)
        if (
            of["needs"].keys() == {"city"}
            and tool.kind in ("weather", "time")
            and len(given) == 1
            and rng.random() < 0.1
        ):
            return self.twice(tool, pattern, given, (result, answer), rng)
        return Wish(tool, pattern.format(**said), ((tool.name, given),), (result,), answer[0].upper() + answer[1:])

    def twice(self, tool: Tool, pattern: str, given: Mapping[str, Any], first: tuple[str, str], rng: Random) -> Wish:
        """Two cities in one question: two calls."""
        of = KINDS[tool.kind]
        (name, city), other = next(iter(given.items())), self.values.city(rng)
        gives = {key: self.values.draw(kind, rng) for key, kind in of["gives"].items()}
        question = pattern.format(city=f"{city} and {other}" if rng.random() < 0.6 else city)
        if other not in question:
            question = f"{question} And in {other}?"
        result = rendered(gives, rng.choice(of["texts"]).format(**gives), rng)
        answer = f"{first[1]} {of['answers'][0].format(city=other, **gives)}"
        return Wish(tool, question, ((tool.name, given), (tool.name, {name: other})), (first[0], result), answer)

    def invented(self, rng: Random) -> tuple[Tool, Callable[[Random], Wish]]:
        """A tool that tells an attribute of things, or does something with them, put together from words."""
        noun = self.values.noun(rng)
        if rng.random() < 0.55:
            frame, words = TOOLS["attribute"], {"a": rng.choice(TOOLS["attributes"]), "n": noun}
        else:
            verb = rng.choice(list(TOOLS["actions"]))
            frame = TOOLS["action"]
            words = {"d": verb, "D": verb.capitalize(), "n": noun, "p": TOOLS["actions"][verb]}
        kind = rng.choice(("city", "person", "code", "word", "title", "number", "person", "topic"))
        parameter = noun if rng.random() < 0.3 else rng.choice(TOOLS["invented_parameters"])
        schema = {parameter: self.schema(kind, rng, rng.random() < 0.6)}
        name = _cased(rng.choice(frame["names"]).format(**words).replace(" ", "_"), rng)
        tool = Tool("invented", name, rng.choice(frame["tells"]).format(**words), schema, (parameter,))

        def wish(rng: Random) -> Wish:
            value, result = self.values.draw(kind, rng), self.values.draw(rng.choice(("big", "word", "title")), rng)
            if "a" not in words:
                result = rng.choice(TOOLS["done"])
            said = {**words, "v": value, "r": result}
            question = spoken(self.chosen(frame["asks"], rng), rng).format(**said)
            key = words.get("a", "status")
            told = rendered({key: result}, str(result), rng)
            return Wish(tool, question, ((name, {parameter: value}),), (told,), frame["answers"][0].format(**said))

        return tool, wish


def _apart(choices: Sequence[Sequence[str]], rng: Random) -> list[str]:
    """One name of each list, no two alike."""
    while True:
        names = [rng.choice(c) for c in choices]
        if len(set(names)) == len(names):
            return names


def _may(of: Mapping[str, Any], rng: Random) -> list[tuple[str, Any]]:
    return [(name, m) for name, m in of.get("may", {}).items() if rng.random() < 0.3]


def _with(pattern: str, more: str) -> str:
    """`more` before the last mark."""
    body = pattern.rstrip("?.!")
    return f"{body}{more}{pattern[len(body) :]}"


def _cased(name: str, rng: Random) -> str:
    if rng.random() < 0.2:
        first, *rest = name.split("_")
        return first + "".join(part.capitalize() for part in rest)
    return name


def spoken(pattern: str, rng: Random) -> str:
    """The pattern in lower case or without its mark now and then; its gaps stay."""
    roll = rng.random()
    if roll < 0.1:
        pattern = pattern[0].lower() + pattern[1:]
    return pattern.rstrip("?.") if 0.05 < roll < 0.18 else pattern


def rendered(gives: Mapping[str, Any], text: str, rng: Random) -> str:
    """A result as tools give it: a text, a JSON object, or lines."""
    roll = rng.random()
    if roll < 0.4:
        return dumped(dict(gives))
    if roll < 0.5:
        return "\n".join(f"{key}: {value}" for key, value in gives.items())
    return text
