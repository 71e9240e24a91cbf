"""Moderation policies as files and the API have them.

Rule: the same fields in both. A name that a header cannot carry is refused, and so is a field that nobody knows: a
policy that is misspelt would hold nobody back.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from haiga.core.errors import Invalid
from haiga.core.moderation import CATEGORIES
from haiga.core.policies import SIDES, Action, Bound, Failure, KeptPolicy, Policy, Rule, Side, Term
from haiga.wire.body import read_object
from haiga.wire.openai_body import read_shape

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
EVERY = "*"  # in place of a category: all that are not named
Name = Annotated[str, StringConstraints(pattern=NAME)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _as_bound(value: Any) -> Any:
    return {"action": value} if isinstance(value, str) else value


class BoundBody(_Strict):
    """What happens from which score on; without a `threshold` the classifier's own holds."""

    action: Action = "block"
    threshold: float | None = Field(None, gt=0, le=1)


class TermBody(_Strict):
    """Words that may not stand in a text, or as a `pattern` a regular expression (RE2)."""

    name: Name
    text: str | None = Field(None, min_length=1, max_length=1000)
    pattern: str | None = Field(None, min_length=1, max_length=1000)
    action: Action = "block"


class RuleBody(_Strict):
    """What is not allowed, in plain words, judged by a chat model."""

    name: Name
    text: str = Field(min_length=1, max_length=2000)
    action: Literal["allow", "flag", "block"] = "block"
    sides: list[Side] = Field(["input"], min_length=1, max_length=2)


class PolicyFields(_Strict):
    """A policy without its name. `categories` are by name, `*` for all that are not named."""

    categories: dict[
        str, Annotated[BoundBody, BeforeValidator(_as_bound, json_schema_input_type=Action | BoundBody)]
    ] = {}
    terms: list[TermBody] = Field([], max_length=1000)
    rules: list[RuleBody] = Field([], max_length=20)
    sides: list[Side] = Field(list(SIDES), max_length=2)
    images: Action = "allow"
    judge: str = Field("", max_length=256, description="The chat model that judges by the rules.")
    failure: Failure | None = None
    timeout: float | None = Field(None, gt=0, le=600, description="Seconds.")


class PolicyBody(PolicyFields):
    """The body of POST /v1/moderation_policies."""

    name: Name


class PolicyAnswer(PolicyBody):
    """A version of a policy. `source` is where it comes from; those that are not of the API cannot be changed there."""

    object: Literal["moderation.policy"]
    version: str
    created_at: int | None
    source: Literal["api", "fixed"]


class PoliciesAnswer(BaseModel):
    object: Literal["list"]
    data: list[PolicyAnswer]
    has_more: bool


class PolicyDeletedAnswer(BaseModel):
    object: Literal["moderation.policy.deleted"]
    name: str
    deleted: Literal[True]


def read_body(body: bytes) -> Policy:
    """A policy without its version. Raises Invalid."""
    value = read_object(body)
    shape: PolicyBody = read_shape(PolicyBody, value)
    return _policy(shape.name, "", shape)


def read_policy(name: str, value: Mapping[str, Any], version: str | None = None) -> Policy:
    """A policy of a file, whose version is a hash of it unless one is given. Raises Invalid."""
    if not re.match(NAME, name):
        raise Invalid("a policy's name has letters, digits and . _ - only, at most 64 of them", field=name)
    shape = read_shape(PolicyFields, dict(value))
    policy = _policy(name, "", shape)
    told = version or sha256(orjson.dumps(fields_of(policy), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
    return _policy(name, told, shape)


def fields_of(policy: Policy) -> dict[str, Any]:
    """A policy without name and version, as `read_policy` reads it."""
    told = asdict(policy)
    terms = [
        {"name": term.name, "pattern" if term.pattern else "text": term.text, "action": term.action}
        for term in policy.terms
    ]
    return {name: value for name, value in told.items() if name not in ("name", "version")} | {"terms": terms}


def write_policy(kept: KeptPolicy) -> bytes:
    return orjson.dumps(_body(kept))


def write_policies(kept: Sequence[KeptPolicy]) -> bytes:
    return orjson.dumps({"object": "list", "data": [_body(each) for each in kept], "has_more": False})


def write_deleted(name: str) -> bytes:
    return orjson.dumps({"object": "moderation.policy.deleted", "name": name, "deleted": True})


def _body(kept: KeptPolicy) -> dict[str, Any]:
    return {
        "object": "moderation.policy",
        "name": kept.policy.name,
        "version": kept.policy.version,
        "created_at": kept.created_at or None,
        "source": "fixed" if kept.fixed else "api",
        **fields_of(kept.policy),
    }


def _policy(name: str, version: str, shape: PolicyFields) -> Policy:
    names = [*(term.name for term in shape.terms), *(rule.name for rule in shape.rules)]
    if len(set(names)) < len(names):
        raise Invalid("terms and rules need names of their own, each another one", field="terms")
    return Policy(
        name,
        version,
        _categories(shape.categories),
        tuple(_term(term, at) for at, term in enumerate(shape.terms)),
        tuple(Rule(rule.name, rule.text, rule.action, tuple(rule.sides)) for rule in shape.rules),
        tuple(shape.sides),
        shape.images,
        shape.judge,
        shape.failure,
        shape.timeout,
    )


def _categories(given: Mapping[str, BoundBody]) -> dict[str, Bound]:
    for name in given:
        if name not in (*CATEGORIES, EVERY):
            raise Invalid(f"there is no category '{name[:64]}'; there are {', '.join(CATEGORIES)}", field="categories")
    rest = given.get(EVERY)
    chosen = {name: given.get(name, rest) for name in CATEGORIES}
    return {name: Bound(body.action, body.threshold) for name, body in chosen.items() if body is not None}


def _term(term: TermBody, at: int) -> Term:
    if (term.text is None) == (term.pattern is None):
        raise Invalid("a term has either a `text` or a `pattern`", field=f"terms[{at}]")
    return Term(term.name, term.pattern or term.text or "", term.action, term.pattern is not None)
