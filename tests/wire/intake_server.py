"""A server that takes pictures and documents in, its clients, and a place on the web to name."""

import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import openai

from haiga.core.generation import BlockStarted, BlockStopped, Event, TextDelta, TextRequest
from haiga.core.messages import Block, Image, Text
from haiga.core.pictures import Picture
from haiga.core.ports import Capabilities
from haiga.engines.fake import CARD
from haiga.services.intake import IntakeLimits
from tests.wire.batch_server import Counting, serving_batches

SEES = Capabilities(images=True, documents=True, tools=True, structured_output=True)
READS = Capabilities(documents=True, tools=True)
NEITHER = Capabilities()


class Saying(Counting):
    """Says what it is told to (or else echoes), in pieces of a few characters."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.answer = ""

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        async for event in super().generate(request):
            if self.answer and isinstance(event, BlockStarted | TextDelta | BlockStopped):
                if isinstance(event, BlockStopped):
                    for at in range(0, len(self.answer), 3):
                        yield TextDelta(0, self.answer[at : at + 3])
                    yield event
                elif isinstance(event, BlockStarted):
                    yield event
            else:
                yield event


class Served:
    def __init__(self, url: str, engines: Sequence[Saying]) -> None:
        self.url = url
        self.sees, self.reads, self.neither = engines
        self.theirs = anthropic.Anthropic(base_url=url, api_key="team", max_retries=0)
        self.ours = openai.OpenAI(base_url=f"{url}/v1", api_key="team", max_retries=0)
        self.router = openai.OpenAI(base_url=f"{url}/api/v1", api_key="team", max_retries=0)

    def say(self, *blocks: Any, model: str = "sees", **more: Any) -> Any:
        messages: Any = [{"role": "user", "content": [*blocks, {"type": "text", "text": "What is it?"}]}]
        return self.theirs.messages.create(model=model, max_tokens=50, messages=messages, **more)

    def chat(self, *parts: Any, model: str = "sees", **more: Any) -> Any:
        messages: Any = [{"role": "user", "content": [*parts, {"type": "text", "text": "What is it?"}]}]
        return self.ours.chat.completions.create(model=model, messages=messages, **more)


@contextmanager
def serving_intake(folder: Path, limits: IntakeLimits, hosts: Sequence[str] = ()) -> Iterator[Served]:
    cards = {"sees": SEES, "reads": READS, "neither": NEITHER}
    engines = [Saying(replace(CARD, name=name, context=1 << 20, capabilities=can)) for name, can in cards.items()]
    with serving_batches(folder / "db", engines, intake=limits, hosts=hosts) as url:
        yield Served(url, engines)


def given(engine: Counting) -> list[Block]:
    """The blocks of the last message that the model was last given, but for the question."""
    return list(engine.asked[-1].messages[-1].content[:-1])


def texts(blocks: Sequence[Block]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, Text))


def pictures(blocks: Sequence[Block]) -> list[Picture]:
    return [block.source for block in blocks if isinstance(block, Image) and isinstance(block.source, Picture)]


def image(data: bytes, kind: str = "image/png", **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": kind, "data": b64encode(data).decode()}
    return {"type": "image", "source": source, **more}


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


def paper(data: bytes, **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": b64encode(data).decode()}
    return {"type": "document", "source": source, **more}


def note(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, **more}


Page = tuple[int, str, bytes]  # status, media type (where to, for a redirect), body


@contextmanager
def web(pages: Callable[[str], Page]) -> Iterator[str]:
    """The address of a server with these pages."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = pages(self.path)
            self.send_response(status)
            self.send_header("location" if status == 302 else "content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
