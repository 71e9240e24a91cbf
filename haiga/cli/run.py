"""`haiga run`: one question, its answer on standard output and nothing else there."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from haiga.cli.options import Cache, Context, Database, DataDir, KvMemory, Url, Weights, settings_from
from haiga.config import Settings
from haiga.core.errors import Invalid

if TYPE_CHECKING:
    from haiga.cli.talk import Wish

MaxTokens = Annotated[int, typer.Option(help="Longest answer, in tokens.", min=1)]
Temperature = Annotated[float | None, typer.Option(help="0 for the likeliest answer.", min=0.0, max=2.0)]
System = Annotated[str | None, typer.Option(help="The system prompt.")]


def run(
    context_: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's name, or the path of its directory or file.")],
    prompt: Annotated[str | None, typer.Argument(help="The question; standard input is added to it.")] = None,
    max_tokens: MaxTokens = 1024,
    temperature: Temperature = None,
    system: System = None,
    url: Url = None,
    data_dir: DataDir = None,
    database: Database = None,
    context: Context = None,
    kv_memory: KvMemory = None,
    weights: Weights = None,
    cache: Cache = None,
) -> None:
    """Answer one prompt."""
    settings = settings_from(context_)
    question = "\n\n".join(part for part in (prompt, _piped()) if part)
    if not question.strip():
        raise Invalid("there is no prompt: give one, or pipe it in")
    from haiga.cli.talk import Wish

    asyncio.run(_answer(settings, model, question, Wish(max_tokens, temperature, system)))


async def _answer(settings: Settings, model: str, question: str, wish: "Wish") -> None:
    from haiga.cli.talk import partner

    async with partner(settings, model) as other:
        async for piece in other.answer([("user", question)], wish):
            typer.echo(piece, nl=False)
    typer.echo()


def _piped() -> str:
    return "" if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
