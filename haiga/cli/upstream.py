"""`haiga upstream`: other servers whose models are offered here."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeVar, cast, get_args

import typer

from haiga.cli.acting import operator
from haiga.cli.options import Database, DataDir, Offline, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings, parse_seconds, parse_url
from haiga.core.audit import Deed
from haiga.core.errors import HaigaError, Invalid, NotFound, Unsupported
from haiga.core.ports import UpstreamStore
from haiga.core.upstreams import URLS, Kind, Upstream

upstream = typer.Typer(help="Other servers whose models are offered here.", no_args_is_help=True, rich_markup_mode=None)
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
KINDS = get_args(Kind)
MODELS: dict[Kind, tuple[tuple[str, str], ...]] = {
    "anthropic": (("claude-*", "claude-*"),),
    "openai": tuple((pattern, pattern) for pattern in ("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "text-embedding-*")),
    "openrouter": (("openrouter/*", "*"),),
}
Name = Annotated[str, typer.Argument(help="The upstream's name.")]
T = TypeVar("T")


@upstream.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="anthropic, openai, openrouter, or a name for another server.")],
    key_env: Annotated[
        str | None, typer.Option(help="The environment variable that holds its key.", metavar="VARIABLE")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Its address, as its API's SDK is told it.", metavar="URL")] = None,
    kind: Annotated[str | None, typer.Option(help="The API it speaks.", metavar="|".join(KINDS))] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Send names of this pattern there, under their own name or another, as in 'far/*=*'; repeatable.",
            metavar="PATTERN[=NAME]",
        ),
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Most requests there at once.", min=1)] = None,
    timeout: Annotated[str, typer.Option(help="The longest silence of an answer.", metavar="TIME")] = "10m",
    proxy: Annotated[str | None, typer.Option(help="A proxy on the way there.", metavar="URL")] = None,
    offline: Offline = False,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Offer the models of another server, and ask it which ones it has. Its key is never kept."""
    spoken = _kind(name, kind)
    made = Upstream(
        _named(name),
        spoken,
        _address("--url", url) or _usual(name, spoken),
        key_env,
        tuple(map(_pair, models or ())) or (MODELS[spoken] if name in KINDS else ((f"{name}/*", "*"),)),
        concurrency,
        _seconds(timeout),
        _address("--proxy", proxy),
        int(time.time()),
    )
    settings = settings_from(context)
    asked = made if settings.offline else _asked(made)
    deed = Deed("upstream.added", name, operator(), made.added_at, {"kind": spoken, "url": made.url})
    _with_store(settings, lambda store: store.put(asked, deed))
    known = f" ({len(asked.known)} models)" if asked.known else ""
    typer.echo(f"added {name}{known}; a server started from now on offers it", err=True)


@upstream.command("list")
def list_upstreams(context: typer.Context, data_dir: DataDir = None, database: Database = None) -> None:
    """Show the upstreams."""
    found = _with_store(settings_from(context), lambda store: store.all())
    if not found:
        typer.echo("no upstreams; add one with `haiga upstream add NAME`", err=True)
        return
    rows = [(each.name, each.kind, each.url, _patterns(each), str(len(each.known)), _key_told(each)) for each in found]
    show_table(("name", "kind", "url", "models", "known", "key"), rows)


@upstream.command()
def remove(context: typer.Context, name: Name, data_dir: DataDir = None, database: Database = None) -> None:
    """Remove an upstream."""
    deed = Deed("upstream.removed", name, operator(), int(time.time()))
    if not _with_store(settings_from(context), lambda store: store.remove(name, deed)):
        raise NotFound(f"there is no upstream {name}")
    typer.echo(f"removed {name}", err=True)


@upstream.command()
def test(
    context: typer.Context,
    name: Name,
    model: Annotated[
        str | None, typer.Option(help="Have this model say a word, which may cost something.", metavar="NAME")
    ] = None,
    offline: Offline = False,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Ask an upstream for its models, and keep what it says of them; with --model, have one answer."""
    settings = settings_from(context)
    found = {each.name: each for each in _with_store(settings, lambda store: store.all())}
    if name not in found:
        raise NotFound(f"there is no upstream {name}")
    if settings.offline:
        raise Unsupported(f"the upstream {name} is not asked: this server is offline")
    from haiga.engines.upstream.asking import known_models, said

    key = key_of(found[name])
    if model is not None:
        typer.echo(asyncio.run(said(found[name], key, model)))
        return
    known = asyncio.run(known_models(found[name], key))
    _with_store(settings, lambda store: store.put(replace(found[name], known=known)))
    for each in known:
        typer.echo(found[name].ours(each.name))


def key_of(upstream: Upstream) -> str | None:
    """Its key, from the environment. Raises Invalid where the variable is not set."""
    if upstream.key_env is None:
        return None
    if key := os.environ.get(upstream.key_env):
        return key
    raise Invalid(
        f"the environment variable {upstream.key_env}, its key, is not set", field=f"upstream {upstream.name}"
    )


def _asked(made: Upstream) -> Upstream:
    """With what it says of its models; one that cannot be asked is added all the same, since not every server tells."""
    from haiga.engines.upstream.asking import known_models

    try:
        return replace(made, known=asyncio.run(known_models(made, key_of(made))))
    except HaigaError as problem:
        typer.echo(f"haiga: {made.name} does not tell its models: {problem}", err=True)
        return made


def _with_store(settings: Settings, work: Callable[[UpstreamStore], Awaitable[T]]) -> T:
    from haiga.stores.connect import connect
    from haiga.stores.upstreams import DatabaseUpstreams

    async def run() -> T:
        async with connect(settings.records) as database:
            return await work(DatabaseUpstreams(database))

    return asyncio.run(run())


# --- what was typed ---


def _named(name: str) -> str:
    if not NAME.fullmatch(name) or name.lower() == "haiga":
        raise Invalid(
            f"{name!r}: an upstream's name is letters, digits and . _ -, at most 64, and not haiga", field="name"
        )
    return name


def _kind(name: str, kind: str | None) -> Kind:
    kind = kind or (name if name in KINDS else "openai")
    if kind not in KINDS:
        raise Invalid(f"expected one of {', '.join(KINDS)}, not {kind!r}", field="--kind")
    return cast(Kind, kind)


def _usual(name: str, kind: Kind) -> str:
    if name not in KINDS:
        raise Invalid(f"where is {name}? say it with --url", field="--url")
    return URLS[kind]


def _address(flag: str, url: str | None) -> str | None:
    try:
        return None if url is None else parse_url(url)
    except ValueError as problem:
        raise Invalid(f"{problem}, not {url!r}", field=flag) from None


def _seconds(text: str) -> float:
    try:
        seconds = parse_seconds(text)
    except ValueError as problem:
        raise Invalid(f"{problem}, not {text!r}", field="--timeout") from None
    if seconds <= 0:
        raise Invalid("must be more than nothing", field="--timeout")
    return seconds


def _pair(text: str) -> tuple[str, str]:
    here, _, there = text.partition("=")
    there = there or here
    if not here or here.count("*") > 1 or here.count("*") != there.count("*"):
        raise Invalid(f"{text!r}: expected NAME, PATTERN* or PATTERN*=NAME*, with one star at most", field="--model")
    return here, there


def _patterns(upstream: Upstream) -> str:
    return ", ".join(here if here == there else f"{here}={there}" for here, there in upstream.models)


def _key_told(upstream: Upstream) -> str:
    if upstream.key_env is None:
        return "none"
    return upstream.key_env if upstream.key_env in os.environ else f"{upstream.key_env} (not set)"
