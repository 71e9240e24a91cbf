"""A server that is told to stop: what happens to the answers under way."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

BODY = {"model": "fake", "max_tokens": 4000, "stream": True, "messages": [{"role": "user", "content": "go"}]}


class Answer:
    """A streamed answer that has begun, from a server that can be told to stop."""

    def __init__(self, server: "subprocess.Popen[str]", lines: Iterator[str]) -> None:
        self.server = server
        self._lines = lines

    def read_until(self, word: str) -> None:
        assert any(word in line for line in self._lines)

    def rest(self) -> str:
        return "\n".join(self._lines)

    def read_complaint(self, expected: str) -> None:
        assert self.server.stderr is not None
        assert expected in self.server.stderr.readline()

    def complaints(self) -> str:
        """What else the server wrote to stderr."""
        assert self.server.stderr is not None
        return self.server.stderr.read()


@contextmanager
def answering(words: int, drain: str) -> Iterator[Answer]:
    command = [sys.executable, "-m", "tests.e2e.slow_server", str(words), drain]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1/messages"
            with httpx.stream("POST", url, json=BODY, headers={"anthropic-version": "2023-06-01"}, timeout=30) as got:
                answer = Answer(server, got.iter_lines())
                answer.read_until("text_delta")
                yield answer
        finally:
            server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_answer_under_way_is_finished_and_the_server_ends_with_zero(number: signal.Signals) -> None:
    with answering(words=50, drain="30s") as answer:
        answer.server.send_signal(number)
        assert "message_stop" in answer.rest()
        assert 0 == answer.server.wait(30)


def test_an_answer_that_outlasts_the_limit_ends_with_a_clean_error() -> None:
    with answering(words=3000, drain="1s") as answer:
        answer.server.send_signal(signal.SIGTERM)
        assert "event: error" in answer.rest()
        assert 0 == answer.server.wait(30)
        assert "Traceback" not in answer.complaints()


def test_a_second_signal_ends_at_once() -> None:
    with answering(words=3000, drain="1h") as answer:
        answer.server.send_signal(signal.SIGTERM)
        answer.read_complaint("a second signal ends it")
        answer.server.send_signal(signal.SIGTERM)
        assert "event: error" in answer.rest()
        assert 0 == answer.server.wait(30)
        assert "" == answer.complaints()
