"""The engine process: one model, its loop, and one socket to the server.

Rule: this process lives as long as its socket. When the server goes away, however it goes, the process ends.

    python -m haiga.engines.native.child '{"directory": …}' SOCKET
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import orjson

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Constraint, Loop, Output
from haiga.batching.sampler import Choice
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Breakpoint, Request
from haiga.core.errors import HaigaError
from haiga.core.generation import Usage
from haiga.engines.native import protocol
from haiga.engines.native.constraint import GrammarConstraint, ThoughtConstraint
from haiga.engines.native.protocol import Logprob, Plant, Ready, Submission, Update
from haiga.engines.native.runner import OpenVINORunner
from haiga.text.grammar import Grammars
from haiga.text.grammar.masks import token_bytes
from haiga.text.tokenizer import Tokenizer

HEARTBEAT = 5.0  # seconds


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the whole group, and the server's to handle: it drains
        signal.signal(number, signal.SIG_IGN)
    plant = Plant(**orjson.loads(sys.argv[1]))
    wire = Wire(socket.socket(fileno=int(sys.argv[2])))
    threading.Thread(target=_beat, args=(wire,), daemon=True).start()
    try:
        runner = _load(plant)
    except HaigaError as error:
        wire.send(protocol.refused(error))
        return
    scheduler = Scheduler(BlockPool(runner.blocks, runner.block_size), plant.budget, plant.rows, plant.context)
    loop = Loop(runner, scheduler, lambda outputs: wire.send(_report(loop, outputs)))
    wire.send(protocol.ready(Ready(runner.blocks, runner.block_size, resident_bytes())))
    desk = Desk(plant, runner.vocabulary, loop, wire)
    threading.Thread(target=_listen, args=(wire, desk), daemon=True).start()
    loop.run()


class Wire:
    """The socket to the server; frames from several threads do not mix."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lock = threading.Lock()

    def send(self, frame: bytes) -> None:
        try:
            with self._lock:
                self.connection.sendall(frame)
        except OSError:  # the server is gone
            os._exit(0)


class Desk:
    """Takes commands to the loop. A request under a grammar waits at the side until that is compiled."""

    def __init__(self, plant: Plant, vocabulary: int, loop: Loop, wire: Wire) -> None:
        self._plant = plant
        self._vocabulary = vocabulary
        self._loop = loop
        self._wire = wire
        self._compiler = ThreadPoolExecutor(1, "grammar")
        self._waiting: set[int] = set()

    def obey(self, command: Mapping[str, Any]) -> None:
        match command["do"]:
            case "submit":
                self._submit(protocol.read_submission(command))
            case "abort":
                self._waiting.discard(command["id"])
                self._loop.abort(str(command["id"]))
            case "clear_cache":
                self._loop.clear_cache()

    def _submit(self, submission: Submission) -> None:
        if submission.grammar is None and submission.thought is None:
            self._loop.submit(_request(submission), submission.sampling)
        else:
            self._waiting.add(submission.id)
            self._compiler.submit(self._compile, submission)

    def _compile(self, submission: Submission) -> None:
        try:
            constraint = self._constraint(submission)
        except HaigaError as error:
            self._wire.send(protocol.step([Update(submission.id, error=error)], asdict(self._loop.stats)))
            return
        if submission.id in self._waiting:
            self._waiting.discard(submission.id)
            self._loop.submit(_request(submission), submission.sampling, constraint)

    def _constraint(self, submission: Submission) -> Constraint | None:
        grammar = GrammarConstraint(self._grammars, submission.grammar) if submission.grammar else None
        if submission.thought is None:
            return grammar
        spell = partial(token_bytes, self._tokenizer)
        return ThoughtConstraint(submission.thought, self._vocabulary, spell, grammar)

    @cached_property
    def _grammars(self) -> Grammars:
        """Made when the first grammar comes: a large vocabulary takes a moment."""
        return Grammars(self._tokenizer, self._plant.ends, self._vocabulary)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer.load(Path(self._plant.directory))


def _load(plant: Plant) -> OpenVINORunner:
    return OpenVINORunner.load(
        Path(plant.directory),
        weights=plant.weights,
        cache=plant.cache,
        blocks=plant.blocks,
        threads=plant.threads,
        cache_dir=Path(plant.cache_dir) if plant.cache_dir else None,
        context=plant.context,
    )


def _beat(wire: Wire) -> None:
    """A sign of life while a model loads or a long step runs."""
    while True:
        wire.send(protocol.alive())
        time.sleep(HEARTBEAT)


def _listen(wire: Wire, desk: Desk) -> None:
    """Commands to the loop until the server goes away; then there is nobody left to answer."""
    with wire.connection.makefile("rb") as stream:
        while len(header := stream.read(protocol.HEADER.size)) == protocol.HEADER.size:
            (length,) = protocol.HEADER.unpack(header)
            desk.obey(orjson.loads(stream.read(length)))
    os._exit(0)


def _request(submission: Submission) -> Request:
    return Request(
        id=str(submission.id),
        prompt=tuple(submission.tokens),
        max_tokens=submission.max_tokens,
        end=frozenset(submission.ends),
        priority=submission.priority,
        salt=submission.salt.encode(),
        breakpoints=tuple(Breakpoint(offset, ttl) for offset, ttl in submission.breakpoints),
    )


def _report(loop: Loop, outputs: list[Output]) -> bytes:
    return protocol.step([_update(output) for output in outputs], asdict(loop.stats))


def _update(output: Output) -> Update:
    return Update(
        id=int(output.id),
        tokens=[choice.token for choice in output.choices],
        logprobs=[_logprob(choice) for choice in output.choices if choice.logprob is not None],
        usage=output.usage or Usage(),
        prefilled=output.prefilled,
        stop=output.stop,
        error=output.error,
    )


def _logprob(choice: Choice) -> Logprob:
    return Logprob(choice.logprob or 0.0, choice.top)


def resident_bytes() -> int:
    """This process's resident memory (Linux: the second field of /proc/self/statm, in pages)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
