"""The command line: what goes to standard output, what a mistake looks like, how a conversation goes."""

import os
import pty
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from haiga.cli import app
from haiga.core.access import Caller
from haiga.core.errors import Denied
from haiga.core.generation import BlockStarted, BlockStopped, Event, TextDelta, TextRequest
from haiga.core.messages import Base64Source, Document, Image, Text, TextSource
from haiga.core.ports import Capabilities, ModelCard
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.web.app import Services, create_app
from tests.papers import coded, pdf, plain

ENDLESS = (BlockStarted(0, Text("")), *(TextDelta(0, f"word{n} ") for n in range(1000)), BlockStopped(0))


class Doorman:
    """Lets in whoever says the word; everyone if there is none."""

    def __init__(self, word: str | None) -> None:
        self.word = word

    async def authenticate(self, credential: str | None) -> Caller:
        if self.word not in (None, credential):
            raise Denied("invalid x-api-key", unauthenticated=True)
        return Caller()


@contextmanager
def serving(engine: FakeEngine, word: str | None = None) -> Iterator[str]:
    """A real server over an engine without a model; its URL."""
    services = Services(Doorman(word), Inference(Models({"fake": engine})))
    server = uvicorn.Server(uvicorn.Config(create_app(services), lifespan="off", log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def haiga(*arguments: str, stdin: str = "", **environment: str) -> Result:
    return CliRunner().invoke(app, [*arguments], input=stdin, env=environment)


def one_line(result: Result, code: int = 1) -> str:
    """The only line that a command that failed has printed."""
    assert (code, "") == (result.exit_code, result.stdout)
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(tmp_path / "data")


class Recording(FakeEngine):
    """Keeps what it was asked."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.asked: list[TextRequest] = []

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        async for event in super().generate(request):
            yield event

    def sources(self) -> list[object]:
        """Of the pictures and documents that it was last asked about."""
        blocks = self.asked[-1].messages[0].content
        return [block.source for block in blocks if isinstance(block, Image | Document)]


@pytest.mark.parametrize("command", ["serve", "chat", "run", "models", "keys"])
def test_every_command_tells_what_it_does(command: str) -> None:
    result = haiga(command, "--help")
    assert 0 == result.exit_code and f"Usage: haiga {command}" in result.stdout


def test_the_version_is_told() -> None:
    assert haiga("--version").stdout.startswith("haiga 0.")


def test_a_new_key_is_alone_on_standard_output_and_never_shown_again(data: str) -> None:
    made = haiga("keys", "create", "ci", "--workspace", "team", "--expires", "30d", "--data-dir", data)
    secret = made.stdout.strip()
    assert made.stdout == f"{secret}\n" and secret.startswith("sk-haiga-")
    listed = haiga("keys", "list", "--data-dir", data).stdout
    assert secret not in listed and {"ci", "team", "valid"} <= set(listed.split())


def test_a_revoked_key_is_listed_as_such(data: str) -> None:
    haiga("keys", "create", "ci", "--data-dir", data)
    assert 0 == haiga("keys", "revoke", "ci", "--data-dir", data).exit_code
    assert "revoked" in haiga("keys", "list", "--data-dir", data).stdout
    assert "haiga: there is no key ci to revoke" == one_line(haiga("keys", "revoke", "ci", "--data-dir", data))


def test_empty_lists_say_what_to_do(data: str) -> None:
    for command in ("keys", "models"):
        assert f"haiga {command} " in haiga(command, "list", "--data-dir", data).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("models", "add", "/no/such/place"), "haiga: source: /no/such/place: there is no such directory"),
        (("models", "add", "org/name", "--offline"), "downloading is off"),
        (("models", "add", "org/name", "--name", "starter"), "haiga: name: there is a model starter already"),
        (("models", "show", "nobody"), "haiga: there is no model nobody"),
        (("models", "remove", "nobody"), "haiga: there is no model nobody"),
        (("run", "nobody", "hi"), "haiga: there is no model nobody here"),
        (("run", "nobody"), "haiga: there is no prompt"),
        (("serve", "--host", "0.0.0.0"), "haiga: refusing to listen on 0.0.0.0 without an API key"),
        (("serve", "--host", "nowhere.invalid"), "haiga: refusing to listen on nowhere.invalid without an API key"),
        (("serve", "--host", "127.0.0.1 ", "--port", "0"), "haiga: refusing to listen on 127.0.0.1  without"),
        (("serve", "--no-starter", "--port", "0"), "haiga: there is no model"),
        (("serve", "--no-starter", "--port", "0", "--model", "x=/nope"), "haiga: model x: /nope: there is no such"),
    ],
)
def test_an_expected_error_is_one_line(data: str, arguments: tuple[str, ...], said: str) -> None:
    assert said in one_line(haiga(*arguments, "--data-dir", data))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "--port", "x"), "haiga: --port: expected a port from 0 to 65535, not 'x'"),
        (("serve", "--model", "nameless"), "haiga: --model: expected NAME=VALUE, not 'nameless'"),
        (("models", "add", "x", "--weights", "fp8"), "haiga: --weights: expected one of bf16, int8, int4, not 'fp8'"),
    ],
)
def test_a_bad_flag_is_named_and_ends_with_two(arguments: tuple[str, ...], said: str) -> None:
    assert said == one_line(haiga(*arguments), code=2)


def test_an_unknown_command_or_flag_ends_with_two() -> None:
    assert 2 == haiga("sing").exit_code == haiga("serve", "--loud").exit_code


def test_a_bad_variable_is_named() -> None:
    assert "HAIGA_DRAIN: expected a time" in one_line(haiga("serve", HAIGA_DRAIN="soon"), code=2)


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "haiga.db").write_bytes(b"something else" * 100)
    assert "haiga.db: file is not a database" in one_line(haiga("keys", "list", "--data-dir", str(tmp_path)))


def test_a_port_in_use_is_named(data: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = one_line(haiga("serve", "--port", str(port), "--data-dir", data))
    assert f"haiga: port {port} of 127.0.0.1 is in use by another program; choose one with --port" == said


def test_run_prints_the_answer_alone() -> None:
    with serving(FakeEngine()) as url:
        assert "ask me again\n" == haiga("run", "fake", "ask me again", "--url", url).stdout
        assert "piped in\n" == haiga("run", "fake", "--url", url, stdin="piped in\n").stdout
        assert "first\n\nsecond\n" == haiga("run", "fake", "first", HAIGA_URL=url, stdin="second").stdout


def test_run_tells_the_server_s_own_error() -> None:
    with serving(FakeEngine(), word="sk-right") as url:
        assert "haiga: invalid x-api-key" == one_line(haiga("run", "fake", "hi", "--url", url))
        assert "hi\n" == haiga("run", "fake", "hi", "--url", url, HAIGA_API_KEY="sk-right").stdout
        assert "haiga: model: nobody" == one_line(haiga("run", "nobody", "hi", HAIGA_URL=url, HAIGA_API_KEY="sk-right"))


def test_pictures_and_files_go_along(tmp_path: Path) -> None:
    picture, text, pages = tmp_path / "cat.png", tmp_path / "a.txt", tmp_path / "x.pdf"
    picture.write_bytes(coded(plain()))
    text.write_text("Käse")
    pages.write_bytes(pdf("Grass"))
    engine = Recording(replace(CARD, capabilities=Capabilities(images=True, documents=True)))
    sources = [
        Base64Source("image/png", b64encode(picture.read_bytes()).decode()),
        Base64Source("application/pdf", b64encode(pages.read_bytes()).decode()),
        TextSource("Käse"),
    ]
    with serving(engine) as url:
        given = ("--image", str(picture), "--file", str(pages), "--file", str(text))
        assert "what is this\n" == haiga("run", "fake", "what is this", *given, "--url", url).stdout
        assert sources == engine.sources()
        typed = f"/image {picture}\n/file {pages}\n/file {text}\nlook\nagain\n"
        assert "look\nagain\n" == haiga("chat", "--url", url, stdin=typed).stdout
        assert sources == engine.sources()
        assert "no such.png: No such file" in haiga("chat", "--url", url, stdin="/image no such.png\nhi\n").stderr


def test_files_that_cannot_go_along_are_named(tmp_path: Path) -> None:
    junk, text = tmp_path / "junk", tmp_path / "a.txt"
    junk.write_bytes(b"\xff\xfe\0")
    text.write_text("words")
    assert "neither a picture nor a PDF nor a text" in one_line(haiga("run", "fake", "hi", "--file", str(junk)))
    assert "a.txt: is no picture (JPEG, PNG, GIF or WebP)" in one_line(haiga("run", "fake", "--image", str(text)))
    assert "nowhere.png: No such file or directory" in one_line(haiga("run", "fake", "--image", "nowhere.png"))


def test_a_server_that_is_not_there_is_named() -> None:
    with serving(FakeEngine()) as gone:
        pass
    assert f"haiga: no answer from {gone}" in one_line(haiga("run", "fake", "hi", "--url", gone))


def test_chat_remembers_until_it_is_reset() -> None:
    with serving(FakeEngine()) as url:
        said = haiga("chat", "--url", url, stdin="one\n/system be brief\n/reset\n/what\ntwo\n/exit\nnever\n")
    assert "one\ntwo\n" == said.stdout
    assert said.stderr.startswith("fake   /reset starts over") and 2 == said.stderr.count("/reset starts over")


def test_ctrl_c_stops_the_answer_and_not_the_program() -> None:
    with serving(FakeEngine(script=ENDLESS, pace=0.02)) as url, terminal("chat", "--url", url) as chat:
        chat.until("> ")
        chat.type("go on\n")
        chat.until("word2")
        chat.type("\x03")
        chat.until("[stopped]")
        chat.until("> ")
        chat.type("again\n")
        chat.until("word0")
        chat.type("\x03")
        chat.until("> ")
        chat.type("/exit\n")
        assert 0 == chat.process.wait(10)


def test_lines_pasted_together_are_one_turn() -> None:
    with serving(FakeEngine()) as url, terminal("chat", "--url", url) as chat:
        chat.until("> ")
        chat.type("three\npasted\nlines\n")
        chat.until("three\r\npasted\r\nlines\r\n> ")
        chat.type("\x04")
        assert 0 == chat.process.wait(10)


class Terminal:
    """A program on a pseudo-terminal, read up to what is expected next."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self._master = master
        self._seen = ""

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, expected: str) -> None:
        while expected not in self._seen:
            self._seen += os.read(self._master, 4096).decode()
        self._seen = self._seen.partition(expected)[2]


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from haiga.cli import main; main()", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb"},
        preexec_fn=lambda: take_terminal(slave),
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def take_terminal(slave: int) -> None:
    """Make it the terminal that Ctrl-C on it interrupts."""
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
