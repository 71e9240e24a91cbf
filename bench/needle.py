"""Needles in a text of a million tokens: found or not, and what time and memory do as the text grows.

Rule: the model has Llama 4's layers (three local ones that keep to chunks, with positions; one that sees everything,
without; experts on every second) at tiny sizes. It is not trained: its weights are random, but for what lets the last
layer look up a needle, which is a token that carries one of 8 keys and one of 8 values. A question names a key; the
only right answer is the value that stood beside it. So an answer is right only if the one block among tens of thousands
is where the table says, and in the memory that it was written to.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from haiga.batching.blocks import BlockPool
from haiga.batching.local import least_blocks
from haiga.batching.loop import Loop, Output
from haiga.batching.scheduler import Scheduler
from haiga.batching.sequence import Request
from haiga.core.generation import Sampling
from haiga.core.ports import Horizon
from haiga.engines.native.runner import OpenVINORunner

FILLERS, KEYS = 128, 8
NEEDLES, QUESTIONS, ANSWERS = FILLERS, FILLERS + KEYS * KEYS, FILLERS + KEYS * KEYS + KEYS  # where their ids begin
VOCABULARY = ANSWERS + KEYS
HIDDEN, SIZE, LAYERS, CHUNK = 64, 16, 4, 2048
BUDGET = 512
FAR = 10_000_000  # tokens that time and memory are told for
SHARP = 6.0  # what queries and keys are multiplied by: the right key must beat a million others
Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Point:
    """A text of `tokens`. seconds: for all of its tokens, one prompt. speed: tokens/s over those since the last point.
    whole, near: bytes of keys and values held by the layers that see everything, and by local ones. found of asked:
    needles."""

    tokens: int
    seconds: float
    speed: float
    whole: int
    near: int
    found: int
    asked: int


def write(directory: Path, context: int) -> Path:
    """The checkpoint."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(_weights(np.random.default_rng(0)), directory / "model.safetensors")
    config = {
        "architectures": ["Llama4ForCausalLM"], "model_type": "llama4_text", "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN, "head_dim": SIZE, "num_hidden_layers": LAYERS, "num_attention_heads": 1,
        "num_key_value_heads": 1, "intermediate_size": 32, "intermediate_size_mlp": 64, "num_local_experts": 2,
        "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "attention_chunk_size": CHUNK, "use_qk_norm": True,
        "attn_temperature_tuning": True, "floor_scale": 8192, "attn_scale": 0.1, "rope_theta": 500000.0,
        "rms_norm_eps": 1e-5, "hidden_act": "silu", "max_position_embeddings": context, "eos_token_id": 0,
        "tie_word_embeddings": False,
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def _weights(random: np.random.Generator) -> Weights:
    """A state holds, in four parts of 16: a needle's key, a question's key, a needle's value, what was looked up."""

    def noise(*shape: int, scale: float = 0.02) -> NDArray[np.float32]:
        return (random.standard_normal(shape) * scale).astype(np.float32)

    codes = np.linalg.qr(random.standard_normal((SIZE, SIZE)))[0].astype(np.float32)
    keys, values = codes[:KEYS], codes[KEYS:]
    table, head, part = noise(VOCABULARY, HIDDEN, scale=0.1), noise(VOCABULARY, HIDDEN), np.eye(SIZE, dtype=np.float32)
    table[:FILLERS, 2 * SIZE : 3 * SIZE] = noise(FILLERS, SIZE, scale=0.25)
    for key in range(KEYS):
        table[QUESTIONS + key, SIZE : 2 * SIZE] = keys[key]
        head[ANSWERS + key, 3 * SIZE :] = values[key]
        for value in range(KEYS):
            table[NEEDLES + KEYS * key + value, :SIZE] = keys[key]
            table[NEEDLES + KEYS * key + value, 2 * SIZE : 3 * SIZE] = values[value]
    weights = {"model.embed_tokens.weight": table, "lm_head.weight": head, "model.norm.weight": np.ones(HIDDEN, "f4")}
    for number in range(LAYERS):
        weights |= {f"model.layers.{number}.{name}": each for name, each in _layer(noise, number).items()}
    last = f"model.layers.{LAYERS - 1}.self_attn."
    weights[last + "q_proj.weight"] = SHARP * np.hstack([0 * part, part, 0 * part, 0 * part])
    weights[last + "k_proj.weight"] = SHARP * np.hstack([part, 0 * part, 0 * part, 0 * part])
    weights[last + "v_proj.weight"] = np.hstack([0 * part, 0 * part, part, 0 * part])
    weights[last + "o_proj.weight"] = np.vstack([0 * part, 0 * part, 0 * part, part])
    return weights


def _layer(noise: Callable[..., NDArray[np.float32]], number: int) -> Weights:
    weights: Weights = {
        "input_layernorm.weight": np.ones(HIDDEN, "f4"),
        "post_attention_layernorm.weight": np.ones(HIDDEN, "f4"),
        "self_attn.o_proj.weight": noise(HIDDEN, SIZE),
        **{f"self_attn.{name}_proj.weight": noise(SIZE, HIDDEN, scale=0.2) for name in "qkv"},
    }
    if number % 2 == 0:
        return weights | _gated(noise, "feed_forward.", 64)
    experts = {"gate_up_proj": noise(2, HIDDEN, 64), "down_proj": noise(2, 32, HIDDEN)}
    weights |= {f"feed_forward.experts.{name}": each for name, each in experts.items()}
    weights["feed_forward.router.weight"] = noise(2, HIDDEN, scale=0.2)
    return weights | _gated(noise, "feed_forward.shared_expert.", 32)


def _gated(noise: Callable[..., NDArray[np.float32]], at: str, inner: int) -> Weights:
    return {
        f"{at}gate_proj.weight": noise(inner, HIDDEN),
        f"{at}up_proj.weight": noise(inner, HIDDEN),
        f"{at}down_proj.weight": noise(HIDDEN, inner),
    }


class Haystack:
    """A text of `tokens`, with a needle of each key at a place of its own from beginning to end."""

    def __init__(self, tokens: int) -> None:
        random = np.random.default_rng(1)
        self.text: list[int] = random.integers(0, FILLERS, tokens).tolist()
        self.values: list[int] = random.integers(0, KEYS, KEYS).tolist()
        self.places = [5, *(int(tokens * part) for part in (0.03, 0.12, 0.24, 0.37, 0.49, 0.74, 0.99))]
        for key, (place, value) in enumerate(zip(self.places, self.values, strict=True)):
            self.text[place] = NEEDLES + KEYS * key + value

    def questions(self, length: int) -> dict[int, int]:
        """The answer to each key's question whose needle is within the first `length` tokens."""
        return {key: ANSWERS + self.values[key] for key in range(KEYS) if self.places[key] < length}


class Reader:
    """An engine that reads the text piece by piece, each prompt going on from the last one's blocks."""

    def __init__(self, directory: Path, context: int) -> None:
        blocks = context // 32 + 64
        self._runner = OpenVINORunner.load(directory, "f32", "f32", blocks=blocks, exact=False, local_blocks=_near())
        self.whole, self.near = BlockPool(blocks, 32), BlockPool(self._runner.local_blocks, 32)
        self._context = context
        self._held = [0, 0]

    def ask(self, prompt: list[int]) -> tuple[int, float]:
        """The next token, and the seconds that it took."""
        horizon = self._runner.horizon
        scheduler = Scheduler(self.whole, BUDGET, 4, self._context, horizon=horizon, local=self.near)
        outputs: list[Output] = []
        loop = Loop(_Kept(self._runner, self._look), scheduler, outputs.extend)
        loop.submit(Request("", tuple(prompt), 1), Sampling(temperature=0))
        loop.shutdown()
        began = time.perf_counter()
        loop.run()
        return outputs[-1].choices[-1].token, time.perf_counter() - began

    def held(self) -> tuple[int, int]:
        """The most bytes of each pool that were held at once since the last call."""
        held = [self._runner.block_bytes(bool(at)) * count for at, count in enumerate(self._held)]
        self._held = [0, 0]
        return held[0], held[1]

    def close(self) -> None:
        self._runner.close()

    def _look(self) -> None:
        now = [pool.count - pool.free_count for pool in (self.whole, self.near)]
        self._held = [max(pair) for pair in zip(self._held, now, strict=True)]


class _Kept:
    """A runner that outlives the loop which closes it, and calls `look` before each step."""

    def __init__(self, runner: OpenVINORunner, look: Callable[[], None]) -> None:
        self._runner, self._look = runner, look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def step(self, rows: Any) -> Any:
        self._look()
        return self._runner.step(rows)

    def close(self) -> None:
        pass


def _near() -> int:
    return 4 * least_blocks(Horizon(CHUNK, chunked=True), BUDGET, 32)


def run(tokens: int, folder: Path, pieces: int = 8) -> list[Point]:
    """A point for each of `pieces` equal parts of the text."""
    context = tokens + 1024
    reader = Reader(write(folder / f"needle-{context}", context), context)
    haystack, points, spent, before = Haystack(tokens), list[Point](), 0.0, 0
    for part in range(1, pieces + 1):
        length = tokens * part // pieces
        _, seconds = reader.ask(haystack.text[:length])
        whole, near = reader.held()
        spent += seconds
        questions = haystack.questions(length)
        found = sum(reader.ask([*haystack.text[:length], QUESTIONS + key])[0] == questions[key] for key in questions)
        reader.held()
        speed = (length - before) / seconds
        points.append(Point(length, spent, speed, whole, near, found, len(questions)))
        before = length
    reader.close()
    return points


def project(points: list[Point], tokens: int) -> tuple[float, float, float]:
    """Seconds for `tokens` by the least squares fit seconds = a n + b n^2; with a and b."""
    lengths = np.array([point.tokens for point in points], float)
    seconds = np.array([point.seconds for point in points])
    (a, b), *_ = np.linalg.lstsq(np.stack([lengths, lengths**2], 1), seconds, rcond=None)
    return float(a * tokens + b * tokens**2), float(a), float(b)
