"""Flags that say who may do what and how much, for keys and workspaces alike."""

from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, get_args

import typer

from haiga.config import parse_list
from haiga.core.access import Family, Role, Scope
from haiga.core.limits import DOLLAR, Limits

FLAGS = {
    "rpm": "requests",
    "itpm": "input_tokens",
    "otpm": "output_tokens",
    "concurrent": "concurrent",
    "budget": "budget",
}
MOST = 10**9  # of anything a minute, which a database's meter holds in 64 bits
MOST_DOLLARS = 10**9
NONE = "none"

Rpm = Annotated[str | None, typer.Option(help="Requests a minute; 'none' for no limit.", metavar="N")]
Itpm = Annotated[str | None, typer.Option(help="Input tokens a minute, those read from the cache aside.", metavar="N")]
Otpm = Annotated[str | None, typer.Option(help="Output tokens a minute.", metavar="N")]
Concurrent = Annotated[str | None, typer.Option(help="Requests at the same time.", metavar="N")]
Budget = Annotated[str | None, typer.Option(help="US dollars a calendar month (UTC).", metavar="DOLLARS")]
RoleFlag = Annotated[
    str | None,
    typer.Option("--role", help="What it may do; developer by default.", metavar="|".join(get_args(Role))),
]
Families = Annotated[
    str | None,
    typer.Option("--families", help="APIs that the key may use, with commas; 'all' for all.", metavar="NAMES"),
]
Models = Annotated[
    str | None,
    typer.Option("--models", help="Models it may use, as in 'qwen*,starter'; 'all' for all.", metavar="NAMES"),
]
ScopeTags = Annotated[
    str | None,
    typer.Option("--tags", help="Only models with one of these tags, as in 'eu,ch'; 'all' for all.", metavar="TAGS"),
]
PolicyFlag = Annotated[
    str | None,
    typer.Option(
        "--policy", help="Moderation policy that it is held to; 'none' for the server's own.", metavar="POLICY"
    ),
]


def changed_policy(policy: str | None, name: str | None) -> str | None:
    """Which policy a key is held to after a flag."""
    return policy if name is None else None if name == NONE else name


def changed_limits(limits: Limits, context: typer.Context) -> Limits:
    """The limits with what the flags of the command that runs say."""
    given = {flag: context.params[flag] for flag in FLAGS}
    return replace(limits, **{FLAGS[flag]: _limit(flag, text) for flag, text in given.items() if text is not None})


def changed_scope(scope: Scope, families: str | None, models: str | None, tags: str | None) -> Scope:
    if families is not None:
        known: tuple[Family, ...] = get_args(Family)
        named = () if families == "all" else parse_list(families)
        if not set(named) <= set(known):
            raise _bad("--families", f"expected some of {', '.join(known)}", families)
        scope = replace(scope, families=tuple(each for each in known if each in named))
    if models is not None:
        scope = replace(scope, models=() if models == "all" else parse_list(models))
    if tags is not None:
        scope = replace(scope, tags=() if tags == "all" else parse_list(tags))
    return scope


def role_of(text: str | None, admin: bool = False) -> Role:
    role: Any = text or ("admin" if admin else "developer")
    if role not in get_args(Role):
        raise _bad("--role", f"expected one of {', '.join(get_args(Role))}", role)
    return role  # type: ignore[no-any-return]


def told(limits: Limits) -> str:
    """The limits in one cell of a table."""
    units = {"requests": "rpm", "input_tokens": "itpm", "output_tokens": "otpm", "concurrent": "at once"}
    found = [(field.name, getattr(limits, field.name)) for field in fields(limits)]
    return ", ".join(
        f"${value / DOLLAR:,.2f} a month" if name == "budget" else f"{value:,} {units[name]}"
        for name, value in found
        if value is not None
    )


def _limit(flag: str, text: str) -> int | None:
    if text.lower() == NONE:
        return None
    try:
        value = Decimal(text.removeprefix("$").replace(",", "").replace("_", "")) * (DOLLAR if flag == "budget" else 1)
    except InvalidOperation:
        raise _bad(f"--{flag}", "expected a number or 'none'", text) from None
    most = MOST_DOLLARS * DOLLAR if flag == "budget" else MOST
    if not value.is_finite() or value != value.to_integral_value() or not 1 <= value <= most:
        raise _bad(f"--{flag}", "expected a number above 0, and not of more digits than can be counted", text)
    return int(value)


def _bad(flag: str, problem: str, text: str) -> typer.BadParameter:
    return typer.BadParameter(f"{problem}, not {text!r}", param_hint=flag)
