"""What the Messages API demands of JSON schemas that are enforced: those of strict tools and of structured output.

Rule: what the API does not support is named in its own words, whether or not a grammar here could hold a model to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from haiga.core.errors import Invalid

Schema: TypeAlias = Mapping[str, Any]
MAX_STRICT_TOOLS = 20
MAX_OPTIONAL = 24
MAX_UNIONS = 16
UNSUPPORTED = {
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "string": ("minLength", "maxLength"),
    "array": ("maxItems", "uniqueItems", "contains", "minContains", "maxContains", "prefixItems", "unevaluatedItems"),
    "object": (
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
    ),
}
COMBINING = ("oneOf", "not", "if")
DEFINITIONS = ("$defs", "definitions")


@dataclass(slots=True)
class Tally:
    """How much there is to compile in all the schemas of a request."""

    tools: int = 0
    optional: int = 0
    unions: int = 0

    def check(self) -> None:
        """Raises Invalid where the API would not compile so much."""
        if self.tools > MAX_STRICT_TOOLS:
            raise Invalid(
                f"Too many strict tools ({self.tools}). The maximum number of strict tools supported is "
                f"{MAX_STRICT_TOOLS}. Try reducing the number of tools marked as strict."
            )
        if self.optional > MAX_OPTIONAL:
            raise Invalid(
                f"Schemas contains too many optional parameters ({self.optional}), which would make grammar "
                "compilation inefficient. Reduce the number of optional parameters in your tool schemas "
                f"(limit: {MAX_OPTIONAL})."
            )
        if self.unions > MAX_UNIONS:
            raise Invalid(
                f"Schemas contains too many parameters with union types ({self.unions} parameters with type arrays or "
                "anyOf). This would cause exponential compilation cost. Reduce the number of nullable or union-typed "
                f"parameters (limit: {MAX_UNIONS})."
            )


@dataclass(frozen=True, slots=True)
class _Walk:
    """Everything in one schema, and which definitions its parts refer to."""

    where: str
    tally: Tally
    references: dict[str, set[str]] = field(default_factory=dict)

    def over(self, name: str, schema: Any) -> None:
        """All of one definition; `name` is "" for the schema itself."""
        found = self.references.setdefault(name, set())
        for part in parts(schema):
            self._check(part)
            if isinstance(reference := part.get("$ref"), str):
                found.add(self._named(reference))

    def _check(self, part: Schema) -> None:
        for combining in COMBINING:
            if combining in part:
                raise Invalid(f"Schema type '{combining}' is not supported", field=self.where)
        kinds = part.get("type")
        for kind, keywords in UNSUPPORTED.items():
            if used := sorted(keyword for keyword in keywords if keyword in part):
                raise Invalid(f"For '{_called(kind, kinds)}' type, {_properties(used)} not supported", field=self.where)
        if part.get("minItems", 0) not in (0, 1):
            raise Invalid("For 'array' type, 'minItems' values other than 0 or 1 are not supported", field=self.where)
        if kinds == "object" or "properties" in part:
            self._check_object(part)
        self.tally.unions += isinstance(kinds, list) or "anyOf" in part

    def _check_object(self, part: Schema) -> None:
        if part.get("additionalProperties") is not False:
            raise Invalid("For 'object' type, 'additionalProperties' must be explicitly set to false", field=self.where)
        properties, required = part.get("properties"), part.get("required")
        if isinstance(properties, dict):
            named = required if isinstance(required, list) else ()
            self.tally.optional += sum(name not in named for name in properties)

    def _named(self, reference: str) -> str:
        """The definition referred to, "" for the schema itself."""
        if not reference.startswith("#"):
            raise Invalid(f"External $ref '{reference[:100]}' is not supported", field=self.where)
        return reference.removeprefix("#")


def check_schema(schema: Schema, field: str, tally: Tally) -> None:
    """One enforced schema. Raises Invalid, at `field`, naming what the API does not support."""
    walk = _Walk(field, tally)
    walk.over("", {key: value for key, value in schema.items() if key not in DEFINITIONS})
    for group in DEFINITIONS:
        definitions = schema.get(group)
        for name, definition in definitions.items() if isinstance(definitions, dict) else ():
            walk.over(f"/{group}/{name}", definition)
    if (recursive := _recursive(walk.references)) is not None:
        raise Invalid(f"Recursive schemas are not supported: #{recursive} refers to itself", field=field)


def parts(schema: Any) -> Iterator[Schema]:
    """A schema and every schema within it; what is data (enum, const, default, examples) is none."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += reversed(_within(part))


def _within(part: Schema) -> list[Any]:
    single = [part[key] for key in ("items", "additionalProperties", "not") if key in part]
    listed = [part[key] for key in ("anyOf", "allOf", "oneOf", "prefixItems") if isinstance(part.get(key), list)]
    named = [part[key] for key in ("properties", *DEFINITIONS) if isinstance(part.get(key), dict)]
    return [
        *single,
        *(each for group in listed for each in group),
        *(each for group in named for each in group.values()),
    ]


def _called(kind: str, kinds: Any) -> str:
    return "integer" if kind == "number" and kinds == "integer" else kind


def _properties(used: Sequence[str]) -> str:
    return f"property '{used[0]}' is" if len(used) == 1 else f"properties {', '.join(used)} are"


def _recursive(references: Mapping[str, set[str]]) -> str | None:
    """A definition that leads back to itself: where one arrives among those left when all that lead to an end are
    taken away."""
    left = {name: {other for other in others if other in references} for name, others in references.items()}
    while done := {name for name, others in left.items() if not others}:
        left = {name: others - done for name, others in left.items() if name not in done}
    name, seen = next(iter(left), None), set[str]()
    while name is not None and name not in seen:
        seen.add(name)
        name = min(left[name])
    return name
