"""What it costs to hold an answer to tools: their grammar compiled, and its masks beside a decode step.

Rule: the vocabulary is as large as those of today's models and made here, of what stands in Python's own library; the
step is that of kernels.py's model, on the same machine in the same run.
"""

import random
import re
import statistics
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as Inner
from tokenizers import decoders, models, pre_tokenizers

from bench.kernels import BLOCKS, Bare
from bench.sampling import VOCABULARY
from haiga.batching.sampler import Draw, Sampler
from haiga.core.errors import Invalid
from haiga.core.generation import Sampling
from haiga.core.messages import Tool, ToolChoice
from haiga.engines.native.constraint import GrammarConstraint
from haiga.models.load import Settings, load
from haiga.text.formats import named
from haiga.text.grammar import Grammars, Rules
from haiga.text.tokenizer import Tokenizer

BATCH = 8
TOOLS = 20
WORD = re.compile(r" ?\w+| ?[^\w\s]+|\s+")
SPECIAL = ("<s>", "</s>", "<tool_call>", "</tool_call>")
DRAWN = Sampling(temperature=0.8)
HOSTILE: dict[str, dict[str, Any]] = {
    "an enum of 200,000 values": {"enum": [str(number) for number in range(200_000)]},
    "repetitions inside repetitions": {"type": "string", "pattern": "(((a{1,200}){1,200}){1,200}){1,200}(b|c)*x"},
    "a million long strings": {"type": "array", "items": {"type": "string", "maxLength": 10**9}, "minItems": 10**6},
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds: a request's grammar checked where it arrives, compiled in the engine, had again; masks and what they
    add to choosing, for one step of BATCH answers; that step; each hostile schema until it is refused or ready."""

    checked: float
    compiled: float
    kept: float
    masks: float
    step: float
    hostile: dict[str, float]


def run(checkpoint: Path, cache_dir: Path, rounds: int = 5) -> Figures:
    tokenizer = make_tokenizer()
    grammars = Grammars(tokenizer, [1])
    held = [_held(grammars, tools(seed)) for seed in range(rounds)]
    checked, compiled, kept = (statistics.median(times) for times in zip(*held, strict=True))
    hostile = {name: _timed(lambda schema=schema: _hostile(schema)) for name, schema in HOSTILE.items()}  # type: ignore[misc]
    return Figures(checked, compiled, kept, masks(grammars), step(checkpoint, cache_dir), hostile)


def make_tokenizer() -> Tokenizer:
    """VOCABULARY tokens: bytes, and the commonest words of Python's library."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words: Counter[str] = Counter()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        words.update(WORD.findall(path.read_text("utf-8", errors="ignore")))
        if len(words) > 4 * VOCABULARY:
            break
    pieces = (spelled.pre_tokenize_str(word)[0][0] for word, _ in words.most_common() if len(word) < 40)
    tokens = list(dict.fromkeys([*SPECIAL, *alphabet, *pieces]))[:VOCABULARY]
    inner = Inner(models.BPE({token: at for at, token in enumerate(tokens)}, []))
    inner.pre_tokenizer, inner.decoder = spelled, decoders.ByteLevel()
    inner.add_special_tokens(list(SPECIAL))
    return Tokenizer(inner, {"bos_token": "<s>", "eos_token": "</s>"})


def tools(seed: int) -> list[Tool]:
    """As many tools as an agent has, each with a handful of parameters, some of them objects and lists."""
    pick = random.Random(seed)
    return [Tool(f"tool_{seed}_{at}", "Does something.", _parameters(pick)) for at in range(TOOLS)]


def _parameters(pick: random.Random, depth: int = 0) -> dict[str, Any]:
    names = [f"parameter_{at}" for at in range(pick.randint(3, 8))]
    properties = {name: _parameter(pick, depth) for name in names}
    return {"type": "object", "properties": properties, "required": names[:2], "additionalProperties": False}


def _parameter(pick: random.Random, depth: int) -> dict[str, Any]:
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"type": "string", "description": "A text."},
        lambda: {"type": "integer", "minimum": 0, "maximum": 1000},
        lambda: {"type": "boolean"},
        lambda: {"enum": ["alpha", "beta", "gamma", "delta"]},
        lambda: {"type": "array", "items": {"type": "string"}},
    ]
    return _parameters(pick, depth + 1) if depth < 2 and pick.random() < 0.15 else pick.choice(kinds)()


def _held(grammars: Grammars, offered: list[Tool]) -> tuple[float, float, float]:
    made: list[str | None] = []
    rules = Rules(grammars.special)
    checked = _timed(lambda: made.append(rules.answer(named("hermes"), offered, ToolChoice("any"))))
    grammar = made[0] or ""
    return checked, _timed(lambda: grammars.matcher(grammar)), _timed(lambda: grammars.matcher(grammar))


def masks(grammars: Grammars, length: int = 100) -> float:
    """What one step's masks take for BATCH answers, and what they add to choosing: the median over `length` steps."""
    grammar = Rules(grammars.special).answer(named("hermes"), tools(0), ToolChoice("any")) or ""
    answers = [GrammarConstraint(grammars, grammar) for _ in range(BATCH)]
    sampler = Sampler(VOCABULARY)
    logits = (np.random.default_rng(0).standard_normal(VOCABULARY) * 3).astype(np.float32)
    held = [_step(sampler, logits, answers, position) for position in range(length)]
    free = [_step(sampler, logits, [None] * BATCH, position) for position in range(length)]
    return statistics.median(held) - statistics.median(free)


def _step(
    sampler: Sampler, logits: NDArray[np.float32], answers: "list[GrammarConstraint] | list[None]", position: int
) -> float:
    began = time.perf_counter()
    for seed, answer in enumerate(answers):
        mask = answer.mask() if answer else None
        choice = sampler.choose(logits, Draw(DRAWN, seed, position, mask=mask))
        if answer:
            answer.accept(choice.token)
    return time.perf_counter() - began


def step(checkpoint: Path, cache_dir: Path, steps: int = 16) -> float:
    """Seconds of one decode step of BATCH sequences, nothing else done."""
    loaded = load(checkpoint, Settings("int4", "u8", 0, 8192), cache_dir)
    bare = Bare(loaded.compiled, BLOCKS)
    bare.prefill(1)
    return statistics.median(BATCH / bare.decode(BATCH, steps) for _ in range(3))


def _hostile(schema: dict[str, Any]) -> None:
    """The schema as far as it comes."""
    try:
        Rules({}).schema(schema)
    except Invalid:
        return


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
