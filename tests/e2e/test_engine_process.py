"""The engine process: killed, closed, aborted, overfilled. A real process with a tiny model."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from haiga.core.errors import Busy, Dead, Invalid
from haiga.core.generation import Finished, Folder, Reply, SamplingRequest, Started, TextRequest, Usage
from haiga.core.messages import CacheMark, Message, Text, text_of
from haiga.engines import supervised
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from tests.served import make_model


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[NativeEngine]:
    engine = open_tiny(directory)
    await engine.start()
    yield engine
    await engine.close()


def open_tiny(directory: Path, queue: int = 256, blocks: int = 40) -> NativeEngine:
    kv = blocks * 32 * 2 * 2 * 2 * 16 * 4  # tokens, layers, keys and values, heads, head size, f32
    return open_engine(Found.at("tiny", directory, created=0), NativeOptions(kv_memory=kv, queue=queue))


def ask(text: str, max_tokens: int = 20, cache: CacheMark | None = None) -> TextRequest:
    message = Message("user", (Text(text, cache=cache),))
    greedy = SamplingRequest(temperature=0)
    return TextRequest("tiny", (message,), max_tokens=max_tokens, sampling=greedy, overflow="stop")


async def answer(engine: NativeEngine, request: TextRequest) -> Reply:
    folder = Folder()
    async with asyncio.timeout(30), aclosing(engine.generate(request)) as events:
        async for event in events:
            folder.add(event)
    return folder.reply()


async def until(condition: object) -> None:
    async with asyncio.timeout(30):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)


def pid_of(engine: NativeEngine) -> int:
    assert engine.process.pid is not None
    return engine.process.pid


async def test_a_killed_process_ends_its_requests_cleanly_and_comes_back(engine: NativeEngine) -> None:
    expected = await answer(engine, ask("again"))
    with pytest.raises(Dead, match="stopped unexpectedly"):
        async with aclosing(engine.generate(ask("long", max_tokens=400))) as events:
            async for event in events:
                if isinstance(event, Started):
                    os.kill(pid_of(engine), signal.SIGKILL)
    assert expected == await answer(engine, ask("again"))


async def test_many_requests_in_flight_all_end_when_the_process_is_killed(engine: NativeEngine) -> None:
    tasks = [asyncio.create_task(answer(engine, ask(f"number {n}", max_tokens=400))) for n in range(8)]
    await until(lambda: engine.process.stats.get("running", 0) >= 2)
    os.kill(pid_of(engine), signal.SIGKILL)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {Dead} == {type(outcome) for outcome in outcomes}
    assert 0 == engine.process.in_flight


async def test_closing_the_generator_frees_every_block(engine: NativeEngine) -> None:
    async with aclosing(engine.generate(ask("to be left", max_tokens=400))) as events:
        async for event in events:
            if isinstance(event, Started):
                break
    await until(lambda: engine.process.stats["free_blocks"] == engine.process.stats["blocks"])
    assert 0 == engine.process.stats["running"]


async def test_what_is_read_from_the_cache_was_written_before(engine: NativeEngine) -> None:
    request = ask("w" * 100, cache=CacheMark("1h"))
    first, second = (await answer(engine, request)).usage, (await answer(engine, request)).usage
    written = first.creation_1h
    assert (first.prompt, 0, 0) == (await engine.count(request), first.cache_read, first.creation_5m)
    assert written % 32 == 0
    assert written >= 96
    assert Usage(input=first.input, cache_read=written, output=first.output) == second


async def test_after_the_cache_is_cleared_nothing_is_read(engine: NativeEngine) -> None:
    request = ask("w" * 100, cache=CacheMark())
    first = await answer(engine, request)
    engine.process.clear_cache()
    assert first == await answer(engine, request)


async def test_workspaces_do_not_share_their_caches(engine: NativeEngine) -> None:
    from dataclasses import replace

    request = ask("secret " * 20)
    await answer(engine, request)
    other = await answer(engine, replace(request, workspace="other"))
    assert (0, True) == (other.usage.cache_read, (await answer(engine, request)).usage.cache_read > 0)


async def test_answers_do_not_depend_on_what_else_runs_or_is_preempted(directory: Path) -> None:
    engine = open_tiny(directory, blocks=16)
    await engine.start()
    requests = [ask(f"{n} " * 100, max_tokens=100) for n in range(4)]  # each grows from 7 blocks to 10 of the pool's 16
    alone = [await answer(engine, request) for request in requests]
    engine.process.clear_cache()
    together = await asyncio.gather(*(answer(engine, request) for request in requests))
    assert [reply.content for reply in alone] == [reply.content for reply in together]
    assert engine.process.stats["preemptions"] > 0
    await engine.close()


async def test_a_full_queue_says_come_back(directory: Path) -> None:
    engine = open_tiny(directory, queue=1)
    await engine.start()
    together = await asyncio.gather(
        *(answer(engine, ask(text)) for text in ("first", "second")), return_exceptions=True
    )
    assert [True, False] == [isinstance(each, Busy) for each in reversed(together)]
    assert (await answer(engine, ask("third"))).stop
    await engine.close()


async def test_a_prompt_over_the_context_is_refused_with_both_numbers(engine: NativeEngine) -> None:
    request = ask("x" * 600)
    with pytest.raises(Invalid, match=f"prompt is too long: {await engine.count(request)} tokens > 511 maximum"):
        await answer(engine, request)


async def test_max_tokens_zero_fills_the_cache_and_says_nothing(engine: NativeEngine) -> None:
    request = ask("w" * 100, max_tokens=0, cache=CacheMark())
    warmed = await answer(engine, request)
    assert ((), "max_tokens", 0) == (warmed.content, warmed.stop, warmed.usage.output)
    assert warmed.usage.creation_5m == (await answer(engine, ask("w" * 100))).usage.cache_read


async def test_the_model_stops_when_its_context_is_full(engine: NativeEngine) -> None:
    events = [event async for event in engine.generate(ask("x" * 400, max_tokens=400))]
    assert isinstance(events[-1], Finished)
    assert "model_context_window_exceeded" == events[-1].stop


async def test_a_damaged_tensor_is_one_clear_line(directory: Path, tmp_path: Path) -> None:
    for file in directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5000])
    with pytest.raises(Invalid, match=r"model\.safetensors"):
        await open_tiny(tmp_path).start()


def test_no_engine_process_outlives_a_killed_server(directory: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from tests.e2e.test_engine_process import open_tiny\n"
        "async def main():\n"
        "    engine = open_tiny(Path(sys.argv[1])); await engine.start()\n"
        "    print(engine.process.pid, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        child = int(server.stdout.readline())
        server.kill()
    deadline = 100
    while Path(f"/proc/{child}").exists() and "Z" not in _state(child) and deadline:
        deadline -= 1
        subprocess.run(["sleep", "0.1"], check=True)
    assert deadline > 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2]
    except FileNotFoundError:
        return "Z"


async def test_a_process_that_hangs_is_replaced(engine: NativeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "SILENCE", 7.0)
    monkeypatch.setattr(supervised, "GRACE", 0.1)
    await answer(engine, ask("before"))  # the next wait for a report is the short one
    os.kill(pid_of(engine), signal.SIGSTOP)
    with pytest.raises(Dead):
        await answer(engine, ask("hello", max_tokens=50))
    assert (await answer(engine, ask("after"))).usage.output > 0


async def test_an_engine_that_could_not_be_started_again_for_want_of_descriptors_is_started_later(
    engine: NativeEngine,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    child = pid_of(engine)
    with ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(fd.name) for fd in Path("/proc/self/fd").iterdir()), hard))
        with suppress(OSError):
            while True:  # a gap between those in use would let a process start, and starve it
                held.enter_context(Path("/dev/null").open())
        os.kill(child, signal.SIGKILL)
        await until(lambda: engine.process.pid is None)
        await asyncio.sleep(0.3)
    assert (await answer(engine, ask("after"))).usage.output > 0


async def test_a_model_with_infill_tokens_fills_in_and_ends_at_its_own_tokens(tmp_path: Path) -> None:
    directory = make_model(tmp_path, vocab_size=265)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.add_tokens(["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>"])
    tokenizer.save(str(directory / "tokenizer.json"))
    engine = open_tiny(directory)
    assert engine.card.capabilities.infill
    await engine.start()
    try:
        bias = {tokenizer.token_to_id("<fim_pad>"): 100.0}
        request = replace(ask(""), raw="def f(", suffix="return x", sampling=SamplingRequest(logit_bias=bias))
        reply = await answer(engine, request)
        assert 3 + len("def f(return x") == reply.usage.prompt
        assert ("end_turn", "", 1) == (reply.stop, text_of(reply.content), reply.usage.output)
    finally:
        await engine.close()
