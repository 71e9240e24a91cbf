"""The engine process: one model, its loop, and one socket to the server.

Rule: this process lives as long as its socket. When the server goes away, however it goes, the process ends.

    python -m haiga.engines.native.child '{"directory": …}' SOCKET
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Loop, Output
from haiga.batching.sampler import Choice
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Breakpoint, Request
from haiga.core.errors import HaigaError
from haiga.core.generation import Usage
from haiga.engines.native import protocol
from haiga.engines.native.protocol import Logprob, Plant, Ready, Submission, Update
from haiga.engines.native.runner import OpenVINORunner


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    plant = Plant(**orjson.loads(sys.argv[1]))
    wire = socket.socket(fileno=int(sys.argv[2]))
    try:
        runner = _load(plant)
    except HaigaError as error:
        wire.sendall(protocol.refused(error))
        return
    scheduler = Scheduler(BlockPool(runner.blocks, runner.block_size), plant.budget, plant.rows, plant.context)
    loop = Loop(runner, scheduler, lambda outputs: _deliver(wire, loop, outputs))
    wire.sendall(protocol.ready(Ready(runner.blocks, runner.block_size, resident_bytes())))
    threading.Thread(target=_listen, args=(wire, loop), daemon=True).start()
    loop.run()


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


def _listen(wire: socket.socket, loop: Loop) -> None:
    """Commands to the loop until the server goes away; then there is nobody left to answer."""
    with wire.makefile("rb") as stream:
        while len(header := stream.read(protocol.HEADER.size)) == protocol.HEADER.size:
            (length,) = protocol.HEADER.unpack(header)
            _obey(loop, orjson.loads(stream.read(length)))
    os._exit(0)


def _obey(loop: Loop, command: Mapping[str, Any]) -> None:
    match command["do"]:
        case "submit":
            submission = protocol.read_submission(command)
            loop.submit(_request(submission), submission.sampling)
        case "abort":
            loop.abort(str(command["id"]))
        case "clear_cache":
            loop.clear_cache()


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


def _deliver(wire: socket.socket, loop: Loop, outputs: list[Output]) -> None:
    wire.sendall(protocol.step([_update(output) for output in outputs], asdict(loop.stats)))


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
