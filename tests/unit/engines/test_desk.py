"""Who waits for whom before the loop: requests under grammars, and requests that need none compiled."""

import queue
import socket
import threading
from pathlib import Path
from typing import Any

import orjson

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Loop, Output
from haiga.batching.scheduler import Scheduler
from haiga.core.generation import Sampling
from haiga.engines.frames import HEADER
from haiga.engines.link import Link
from haiga.engines.native import protocol
from haiga.engines.native.child import Desk
from haiga.engines.native.protocol import Plant, Submission, Thought
from tests.served import write_tokenizer
from tests.unit.batching.hashing_runner import HashingRunner

VOCABULARY = 261
GRAMMAR = '%llguidance {}\nstart: "a" "b" "c"'
THOUGHT = Thought("<think>", "</think>", [5, 6], 1, True)


def test_who_needs_no_grammar_compiled_does_not_wait_for_those_of_others(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    outputs: queue.Queue[list[Output]] = queue.Queue()
    runner = HashingRunner(blocks=64, vocabulary=VOCABULARY)
    loop = Loop(runner, Scheduler(BlockPool(64, runner.block_size), 64, 8, 256), outputs.put)
    here, there = socket.socketpair()
    desk = Desk(Plant(str(tmp_path), "bf16", "u8", 64, 256, ends=[4]), VOCABULARY, loop, Link(here))
    running = threading.Thread(target=loop.run)
    running.start()
    busy = threading.Event()

    def submit(id: int, **more: Any) -> None:
        asked = Submission(id, [7, 8, 9], Sampling(temperature=0), 2, [4], "interactive", "s", **more)
        desk.obey(orjson.loads(protocol.submit(asked)[HEADER.size :]))

    def finished() -> str:
        return next(output.id for told in iter(outputs.get, None) for output in told if output.stop)

    desk._compiler.submit(busy.wait)
    submit(1, grammar=GRAMMAR)
    submit(2, thought=THOUGHT)
    assert "2" == finished()
    busy.set()
    assert "1" == finished()

    busy.clear()
    desk._compiler.submit(busy.wait)
    submit(3, grammar=GRAMMAR)
    assert "3" == finished()  # its grammar is kept
    busy.set()
    loop.shutdown()
    running.join()
    here.close()
    there.close()
