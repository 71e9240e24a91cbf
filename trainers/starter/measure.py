"""What the written checkpoint can do: held-out bits per byte, behaviour by position, the openers' answers.

Rule: measured with `transformers` in float32 on the files as they are on disk, not on the network in memory.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import Idefics3ForConditionalGeneration, LlamaForCausalLM

from trainers.starter import vocabulary
from trainers.starter.openers import OPENERS, Opener
from trainers.starter.sources import Document

BUCKETS = (0, 1024, 4096, 8192, 16384, 30720)


@dataclass(frozen=True, slots=True)
class Answer:
    """`ended`: the model gave its end token by itself within the limit."""

    opener: Opener
    text: str
    ended: bool


@dataclass(frozen=True, slots=True)
class LongPrompt:
    tokens: int
    finite: bool
    answer: str
    ended: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """`bits`: per byte over 2,048-token windows of the held-out documents; `by_position`: (from, to, bits)."""

    bits: float
    documents: int
    held_out_bytes: int
    by_position: tuple[tuple[int, int, float], ...]
    answers: tuple[Answer, ...]
    long: tuple[LongPrompt, ...]


class Loaded:
    """The checkpoint in `folder`, in float32 on the CPU."""

    def __init__(self, folder: Path) -> None:
        sees = (folder / "preprocessor_config.json").exists()  # trainers/starter_vision put a tower before it
        kind: Any = Idefics3ForConditionalGeneration if sees else LlamaForCausalLM
        self.model = kind.from_pretrained(folder, dtype=torch.float32)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    @torch.inference_mode()
    def nats(self, ids: Sequence[int]) -> torch.Tensor:
        """Cross entropy of every token but the first, given those before it."""
        row = torch.tensor([list(ids)])
        hidden = self.model.model(row).last_hidden_state[0, :-1]
        found = [
            torch.nn.functional.cross_entropy(self.model.lm_head(h), t, reduction="none")
            for h, t in zip(torch.split(hidden, 4096), torch.split(row[0, 1:], 4096), strict=True)
        ]
        return torch.cat(found)

    @torch.inference_mode()
    def answer(self, turns: Iterable[tuple[str, str]], most: int) -> tuple[str, bool]:
        """The greedy answer and whether it was ended by the end token."""
        prompt = self.tokenizer.encode(vocabulary.prompt(turns)).ids
        out = self.model.generate(
            torch.tensor([prompt]), max_new_tokens=most, do_sample=False, temperature=None, top_p=None
        )
        new = out[0, len(prompt) :].tolist()
        ended = new[-1] == self.tokenizer.token_to_id(vocabulary.STOP)
        return self.tokenizer.decode(new[:-1] if ended else new, skip_special_tokens=False), ended

    def widths(self, ids: Sequence[int]) -> list[int]:
        """Bytes of every token: in the byte-level alphabet a token has one character per byte."""
        return [len(self.tokenizer.id_to_token(i) or "") for i in ids]


def bits_per_byte(loaded: Loaded, documents: Sequence[Document], window: int = 2048) -> float:
    nats, size = 0.0, 0
    for document in documents:
        ids = loaded.tokenizer.encode(document.text).ids
        for start in range(0, len(ids), window):
            part = ids[start : start + window]
            if len(part) > 1:
                nats += float(loaded.nats(part).sum())
                size += sum(loaded.widths(part[1:]))
    return nats / math.log(2) / size


def by_position(loaded: Loaded, documents: Sequence[Document]) -> tuple[tuple[int, int, float], ...]:
    """Bits per byte by distance from the start, on the held-out documents laid end to end."""
    ids = [i for d in documents for i in loaded.tokenizer.encode(d.text + "\n\n").ids]
    nats: list[float] = [0.0] * (len(BUCKETS) - 1)
    size = [0] * (len(BUCKETS) - 1)
    for start in range(0, len(ids) - BUCKETS[-1] + 1, BUCKETS[-1]):
        row = ids[start : start + BUCKETS[-1]]
        lost, widths = loaded.nats(row).tolist(), loaded.widths(row[1:])
        for n, (a, b) in enumerate(pairwise(BUCKETS)):
            nats[n] += sum(lost[a : b - 1])
            size[n] += sum(widths[a : b - 1])
    found = zip(BUCKETS, BUCKETS[1:], nats, size, strict=False)
    return tuple((a, b, n / math.log(2) / s) for a, b, n, s in found if s)


def long_prompt(loaded: Loaded, documents: Sequence[Document], tokens: int, question: str) -> LongPrompt:
    """A question below `tokens` tokens of held-out text."""
    ids = [i for d in documents for i in loaded.tokenizer.encode(d.text + "\n\n").ids][:tokens]
    text = f"{loaded.tokenizer.decode(ids)}\n\n{question}"
    began = time.monotonic()
    finite = bool(loaded.nats(loaded.tokenizer.encode(text).ids).isfinite().all())
    said, ended = loaded.answer([("user", text)], 60)
    return LongPrompt(len(ids), finite, said, ended, time.monotonic() - began)


def measure(folder: Path, documents: Sequence[Document]) -> Measured:
    loaded = Loaded(folder)
    answers = tuple(Answer(o, *loaded.answer([("user", o.text)], 256)) for o in OPENERS)
    long = tuple(long_prompt(loaded, documents, n, "What is a river?") for n in (1000, 8000, 30_000))
    size = sum(len(d.text.encode()) for d in documents)
    return Measured(
        bits_per_byte(loaded, documents), len(documents), size, by_position(loaded, documents), answers, long
    )
