"""`haiga chat`: a conversation in the terminal.

Rule: Ctrl-C stops the answer, never the program; the asyncio loop runs only while an answer is awaited.
"""

import asyncio
import select
import sys
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import typer

from haiga.cli.attachments import read_file, read_image
from haiga.cli.options import Cache, Context, Database, DataDir, KvMemory, Url, Weights, settings_from
from haiga.cli.run import MaxTokens, System, Temperature
from haiga.config import Settings
from haiga.core.errors import HaigaError
from haiga.core.messages import Block, Text

if TYPE_CHECKING:
    from haiga.cli.talk import Partner, Turn, Wish

HELP = (
    "/reset starts over   /system TEXT sets the system prompt   /image PATH and /file PATH go with what you say next"
    "   /exit or Ctrl-D leaves   Ctrl-C stops an answer"
)
PASTE_PAUSE = 0.03  # seconds; lines that come closer than this were pasted together


def chat(
    context_: typer.Context,
    model: Annotated[str | None, typer.Argument(help="A model's name, or the path of its directory or file.")] = None,
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
    """Talk to a model: one of a running server (--url), or one loaded here."""
    settings = settings_from(context_)
    from haiga.cli.talk import Wish

    with asyncio.Runner() as runner:
        _converse(runner, settings, model, Wish(max_tokens, temperature, system))


@dataclass(slots=True)
class _Conversation:
    partner: "Partner"
    wish: "Wish"
    turns: "list[Turn]" = field(default_factory=list)
    attached: list[Block] = field(default_factory=list)

    async def say(self, text: str) -> None:
        """Ask, and write the answer as it comes; a stopped answer is kept as far as it came."""
        pieces: list[str] = []
        turns: list[Turn] = [*self.turns, ("user", (*self.attached, Text(text)))]
        self.attached = []
        try:
            async with aclosing(self.partner.answer(turns, self.wish)) as answer:
                async for piece in answer:
                    typer.echo(piece, nl=False)
                    pieces.append(piece)
        except asyncio.CancelledError:
            typer.echo(" [stopped]", nl=False)
        typer.echo()
        if pieces:  # a question that got no answer is not held against the next one
            self.turns = [*turns, ("assistant", (Text("".join(pieces)),))]

    def obey(self, command: str) -> None:
        """Carry out a line that begins with a slash."""
        word, _, rest = command.partition(" ")
        if word == "/reset":
            self.turns = []
        elif word == "/system":
            self.wish = replace(self.wish, system=rest.strip() or None)
        elif word in ("/image", "/file") and rest.strip():
            self.attached.append((read_image if word == "/image" else read_file)(rest.strip()))
        else:
            typer.echo(HELP, err=True)


def _converse(runner: asyncio.Runner, settings: Settings, model: str | None, wish: "Wish") -> None:
    from haiga.cli.talk import partner

    door = partner(settings, model)
    conversation = _Conversation(runner.run(door.__aenter__()), wish)
    try:
        typer.echo(f"{conversation.partner.model}   {HELP}", err=True)
        while (line := _read_turn()) not in (None, "/exit", "/quit"):
            _take(runner, conversation, line or "")
    finally:
        runner.run(door.__aexit__(None, None, None))


def _take(runner: asyncio.Runner, conversation: _Conversation, line: str) -> None:
    try:
        if line.startswith("/") and "\n" not in line:
            conversation.obey(line)
        elif line.strip():
            runner.run(conversation.say(line))
    except HaigaError as error:
        typer.echo(f"haiga: {error}", err=True)
    except KeyboardInterrupt:  # before the answer had begun
        typer.echo()


def _read_turn() -> str | None:
    """What the user says next, a pasted text whole; None at the end of input."""
    terminal = sys.stdin.isatty()
    try:
        lines = [input("> " if terminal else "")]
        while terminal and select.select([sys.stdin], [], [], PASTE_PAUSE)[0]:
            lines.append(input())
    except EOFError:
        return None
    except KeyboardInterrupt:
        typer.echo()
        return ""
    return "\n".join(lines).strip()
