"""A whole engine process: its start, its memory, the first token of a second request that shares a prefix.

Rule: cold and warm are measured in turn on the same process; memory is what the system says of the process.
"""

import asyncio
import statistics
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from haiga.core.generation import BlockStarted, Finished, SamplingRequest, TextRequest
from haiga.core.messages import Message, Text
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.models.description import describe

SHARED = 2000  # tokens; the tokenizer of bench/shapes.py makes one of each byte
KV = 512 << 20


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds and bytes. `cold` and `warm` are the first token's time without and with the shared prefix cached."""

    start: float
    cold: float
    warm: float
    weights: int
    pool: int
    resident: int

    @property
    def overhead(self) -> int:
        """What the process holds besides weights and KV pool."""
        return self.resident - self.weights - self.pool


async def measure(directory: Path, cache_dir: Path, rounds: int = 5) -> Figures:
    options = NativeOptions(weights="int4", cache="u8", kv_memory=KV, context=8192, cache_dir=cache_dir)
    engine = open_engine(Found.at("bench", directory, created=0), options)
    await engine.start()  # packs the weights if that was not done yet
    await engine.close()
    began = time.perf_counter()
    await engine.start()
    start = time.perf_counter() - began
    try:
        pairs = [(await _first_token(engine, n, "a"), await _first_token(engine, n, "b")) for n in range(rounds + 1)]
        await _fill(engine)
        resident = _resident(engine)
    finally:
        await engine.close()
    cold, warm = (statistics.median(times) for times in zip(*pairs[1:], strict=True))
    described = describe(directory)
    return Figures(start, cold, warm, described.weight_bytes("int4"), engine.pool * described.kv_bytes("u8"), resident)


async def _first_token(engine: NativeEngine, number: int, question: str) -> float:
    """Seconds until the first text of an answer; the prefix of SHARED tokens differs by `number` from its first."""
    prefix = f"{number} ".ljust(SHARED, "x")
    request = _ask(f"{prefix}{question * 32}", max_tokens=1)
    began = time.perf_counter()
    async with aclosing(engine.generate(request)) as events:
        async for event in events:
            if isinstance(event, BlockStarted | Finished):
                return time.perf_counter() - began
    raise AssertionError("no answer")


async def _fill(engine: NativeEngine) -> None:
    """Use every block of the pool once, so that all its memory is really there."""
    size = engine.card.context - 64
    count = -(-engine.pool // size)
    for number in range(count):
        async with aclosing(engine.generate(_ask(f"{number} ".ljust(size, "y"), max_tokens=1))) as events:
            async for _ in events:
                pass


def _ask(text: str, max_tokens: int) -> TextRequest:
    greedy = SamplingRequest(temperature=0)
    return TextRequest("bench", (Message("user", (Text(text),)),), max_tokens, sampling=greedy, overflow="stop")


def _resident(engine: NativeEngine) -> int:
    lines = Path(f"/proc/{engine.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) << 10


def run(directory: Path, cache_dir: Path, rounds: int) -> Figures:
    return asyncio.run(measure(directory, cache_dir, rounds))
