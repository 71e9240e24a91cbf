"""`haiga run`: one question, its answer on standard output and nothing else there."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from haiga.cli.attachments import read_file, read_image
from haiga.cli.options import Cache, Context, Database, DataDir, KvMemory, Url, Weights, settings_from
from haiga.config import Settings
from haiga.core.errors import Invalid
from haiga.core.messages import Block, Text

if TYPE_CHECKING:
    from haiga.cli.talk import Wish

MaxTokens = Annotated[int, typer.Option(help="Longest answer, in tokens.", min=1)]
Temperature = Annotated[float | None, typer.Option(help="0 for the likeliest answer.", min=0.0, max=2.0)]
System = Annotated[str | None, typer.Option(help="The system prompt.")]
Images = Annotated[list[str] | None, typer.Option("--image", help="A picture's path or address; repeatable.")]
Files = Annotated[list[str] | None, typer.Option("--file", help="A PDF's or a text's path or address; repeatable.")]


def run(
    context_: typer.Context,
    model: Annotated[str, typer.Argument(help="A model's name, or the path of its directory or file.")],
    prompt: Annotated[str | None, typer.Argument(help="The question; standard input is added to it.")] = None,
    max_tokens: MaxTokens = 1024,
    temperature: Temperature = None,
    system: System = None,
    image: Images = None,
    file: Files = None,
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
    attached = (*map(read_image, image or ()), *map(read_file, file or ()))
    if not question.strip() and not attached:
        raise Invalid("there is no prompt: give one, or pipe it in")
    asked = (*attached, Text(question)) if question.strip() else attached
    from haiga.cli.talk import Wish

    asyncio.run(_answer(settings, model, asked, Wish(max_tokens, temperature, system)))


async def _answer(settings: Settings, model: str, asked: tuple[Block, ...], wish: "Wish") -> None:
    from haiga.cli.talk import partner

    async with partner(settings, model) as other:
        async for piece in other.answer([("user", asked)], wish):
            typer.echo(piece, nl=False)
    typer.echo()


def _piped() -> str:
    return "" if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
