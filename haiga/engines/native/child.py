"""The engine process: one model, its loop, and one socket to the server.

Rule: commands become the loop's requests, the loop's outputs reports; what takes long happens on neither's thread.

    python -m haiga.engines.native.child '{"directory": …}' SOCKET
"""

import logging
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import orjson

from haiga.batching.blocks import BlockPool
from haiga.batching.loop import Constraint, Loop, Output
from haiga.batching.sampler import Choice
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Breakpoint, Request
from haiga.core.errors import Failed, HaigaError, Unsupported
from haiga.core.generation import Usage
from haiga.core.pictures import Seen
from haiga.core.ports import Adapter
from haiga.engines import frames
from haiga.engines.link import Link, resident_bytes
from haiga.engines.native import protocol
from haiga.engines.native.constraint import GrammarConstraint, ThoughtConstraint
from haiga.engines.native.mounting import Mounting
from haiga.engines.native.protocol import Logprob, Mounted, Plant, Ready, Submission, Update
from haiga.engines.native.runner import OpenVINORunner
from haiga.engines.native.seeing import Eye, Lane
from haiga.engines.native.texts import load_tokenizer
from haiga.engines.native.tier import Shelf, Tier
from haiga.models.load import Settings, describe_origin
from haiga.models.vision.load import Tower
from haiga.text.grammar import Grammars
from haiga.text.grammar.masks import token_bytes
from haiga.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)


def main() -> None:
    plant = Plant(**orjson.loads(sys.argv[1]))
    link = Link.inherited(sys.argv[2])
    try:
        runner, tower = _load(plant), _load_tower(plant)
        tier = _open_tier(plant, runner)
        scheduler = _schedule(plant, runner, tier)
    except HaigaError as error:
        link.send(frames.refused(error))
        return
    loop = Loop(runner, scheduler, lambda outputs: link.send(_report(loop, outputs)), cold=tier)
    if tier:
        tier.start(loop)
    link.send(protocol.ready(Ready(runner.blocks, runner.block_size, resident_bytes())))
    mounting = Mounting(Path(plant.directory), runner, loop)
    desk = Desk(plant, runner.vocabulary, loop, link, mounting, Eye(tower) if tower else None)
    link.listen(desk.obey, partial(loop.shutdown, drain=False) if tier else None)
    loop.run()
    link.close()


@dataclass(frozen=True, slots=True)
class Beside:
    """What was got for a request beside the loop."""

    adapter: Adapter | None = None
    seen: tuple[Seen, ...] = ()


class Desk:
    """Takes commands to the loop. A request under a grammar waits at the side until that is compiled; one whose grammar
    is kept, or whose thoughts alone are bounded, does not wait for the grammars of others. One whose adapter is
    not open waits for that first, and one with pictures for these to be seen."""

    def __init__(
        self,
        plant: Plant,
        vocabulary: int,
        loop: Loop,
        link: Link,
        mounting: Mounting | None = None,
        eye: Eye | None = None,
    ) -> None:
        self._plant = plant
        self._vocabulary = vocabulary
        self._loop = loop
        self._link = link
        self._mounting = mounting
        self._opener = ThreadPoolExecutor(1, "adapter")
        self._compiler = ThreadPoolExecutor(1, "grammar")
        self._aside = ThreadPoolExecutor(1, "constraint")
        self._eye = eye
        self._pictures = Lane("pictures")
        self._made: Grammars | None = None
        self._waiting: set[int] = set()
        self._gate = threading.Lock()  # over what is waiting and what goes to the loop, so that an abort comes after

    def obey(self, command: Mapping[str, Any], pixels: bytes = b"") -> None:
        match command["do"]:
            case "submit":
                self._submit(protocol.read_submission(command, pixels))
            case "abort":
                with self._gate:
                    self._waiting.discard(command["id"])
                    self._loop.abort(str(command["id"]))
            case "clear_cache":
                self._loop.clear_cache()

    def _submit(self, submission: Submission) -> None:
        wanted, mounting = submission.adapter, self._mounting
        adapter = mounting.at_hand(wanted) if wanted and mounting else None
        if wanted is None or mounting is None or adapter is not None:
            self._take(submission, Beside(adapter))
        else:
            self._waiting.add(submission.id)
            self._opener.submit(self._mount, submission, wanted, mounting)

    def _mount(self, submission: Submission, wanted: Mounted, mounting: Mounting) -> None:
        """Have the adapter opened, unless nobody waits for it any more."""
        if submission.id not in self._waiting:
            return
        try:
            beside = Beside(mounting.mount(wanted))
        except Exception as error:  # whatever happens, the request must end
            self._refuse(submission, error, "the adapter could not be opened")
            return
        with self._gate:
            if submission.id in self._waiting:
                self._waiting.discard(submission.id)
                self._take(submission, beside)

    def _take(self, submission: Submission, beside: Beside) -> None:
        if submission.pictures:
            self._waiting.add(submission.id)
            self._pictures.put(submission.priority == "interactive", partial(self._see, submission, beside))
        elif submission.grammar is None and submission.thought is None:
            self._loop.submit(_request(submission, beside), submission.sampling)
        else:
            self._waiting.add(submission.id)
            self._hold(submission, beside)

    def _see(self, submission: Submission, beside: Beside) -> None:
        """Have the pictures seen, as long as somebody waits for them."""
        seen: list[Seen] = []
        try:
            if self._eye is None:
                raise Unsupported("this model takes no pictures")
            for placed in submission.pictures:
                if submission.id not in self._waiting:
                    return
                seen.append(self._eye.see(placed, submission.salt))
        except Exception as error:  # whatever happens, the request must end
            self._refuse(submission, error, "a picture could not be read")
            return
        beside = replace(beside, seen=tuple(seen))
        if submission.grammar is None and submission.thought is None:
            self._pass(submission, beside, None)
        else:
            self._hold(submission, beside)

    def _hold(self, submission: Submission, beside: Beside) -> None:
        lane = self._compiler if self._compiles(submission) else self._aside
        lane.submit(self._prepare, submission, beside)

    def _compiles(self, submission: Submission) -> bool:
        """Whether a grammar has to be compiled for it."""
        return submission.grammar is not None and not (self._made and self._made.keeps(submission.grammar))

    def _prepare(self, submission: Submission, beside: Beside) -> None:
        if submission.id not in self._waiting:
            return
        try:
            constraint = self._constraint(submission)
        except BaseException as error:  # llguidance panics outside of Exception; the request must end whatever happens
            self._refuse(submission, error, "the grammar could not be compiled")
            return
        self._pass(submission, beside, constraint)

    def _pass(self, submission: Submission, beside: Beside, constraint: Constraint | None) -> None:
        """To the loop, unless it was aborted meanwhile."""
        with self._gate:
            if submission.id in self._waiting:
                self._waiting.discard(submission.id)
                self._loop.submit(_request(submission, beside), submission.sampling, constraint)

    def _refuse(self, submission: Submission, error: BaseException, what: str) -> None:
        reason = error if isinstance(error, HaigaError) else Failed(f"{what}: {error}")
        self._waiting.discard(submission.id)
        self._link.send(protocol.step([Update(submission.id, error=reason)], asdict(self._loop.stats)))

    def _constraint(self, submission: Submission) -> Constraint | None:
        grammar = GrammarConstraint(self._grammars, submission.grammar) if submission.grammar else None
        if submission.thought is None:
            return grammar
        spell = partial(token_bytes, self._tokenizer)
        return ThoughtConstraint(submission.thought, self._vocabulary, spell, grammar)

    @property
    def _grammars(self) -> Grammars:
        """Made when the first grammar comes, by the thread that compiles: a large vocabulary takes a moment."""
        if self._made is None:
            self._made = Grammars(self._tokenizer, self._plant.ends, self._vocabulary)
        return self._made

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(Path(self._plant.directory))


def _load(plant: Plant) -> OpenVINORunner:
    return OpenVINORunner.load(
        Path(plant.directory),
        weights=plant.weights,
        cache=plant.cache,
        blocks=plant.blocks,
        threads=plant.threads,
        cache_dir=Path(plant.cache_dir) if plant.cache_dir else None,
        context=plant.context,
        local_blocks=plant.local_blocks,
        adapted=plant.adapted,
        slots=plant.slots,
    )


def _load_tower(plant: Plant) -> Tower | None:
    return Tower.load(Path(plant.directory), plant.weights, plant.threads) if plant.sees else None


def _schedule(plant: Plant, runner: OpenVINORunner, tier: Tier | None) -> Scheduler:
    return Scheduler(
        BlockPool(runner.blocks, runner.block_size),
        plant.budget,
        plant.rows,
        plant.context,
        horizon=runner.horizon,
        local=BlockPool(runner.local_blocks, runner.block_size),
        cold=tier,
        slots=plant.slots,
    )


def _open_tier(plant: Plant, runner: OpenVINORunner) -> Tier | None:
    """Where blocks are kept in files. A directory that cannot be used is told, and costs nothing else."""
    if plant.kv_dir is None:
        return None
    settings = Settings(plant.weights, plant.cache, plant.threads, plant.context)
    identity = {**describe_origin(Path(plant.directory), settings), "layout": runner.layout}
    sizes = (runner.block_bytes(False), runner.block_bytes(True))
    try:
        return Tier(Shelf(Path(plant.kv_dir), identity, sizes, plant.kv_disk), sum(sizes), plant.kv_room)
    except OSError as problem:
        log.warning("keys and values cannot be kept in files: %s", problem)
        return None


def _request(submission: Submission, beside: Beside) -> Request:
    adapter = beside.adapter
    return Request(
        id=str(submission.id),
        prompt=tuple(submission.tokens),
        max_tokens=submission.max_tokens,
        end=frozenset(submission.ends),
        priority=submission.priority,
        salt=submission.salt.encode() + (b"\0" + adapter.key.encode() if adapter else b""),
        owner=submission.owner.encode(),
        breakpoints=tuple(Breakpoint(offset, ttl) for offset, ttl in submission.breakpoints),
        prediction=tuple(submission.prediction),
        scored=submission.scored,
        pictures=beside.seen,
        adapter=adapter,
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
        scores=[_logprob(score) for score in output.scores],
        waited=output.waited,
        ran=output.ran,
    )


def _logprob(choice: Choice) -> Logprob:
    return Logprob(choice.logprob or 0.0, choice.top)


if __name__ == "__main__":
    main()
