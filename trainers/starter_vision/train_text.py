"""The second half of the training: the text model learns to say what the tower's tokens hold.

Rule: the tower stands still, but for its connector. What the text model said without a picture it is to say still: on
rows of its own dialogues it is held to what it said before (distilled), so that little changes there.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from trainers.starter import dialogues, vocabulary
from trainers.starter.muon import Muon
from trainers.starter.network import Network
from trainers.starter_vision.network import place, shown
from trainers.starter_vision.pool import Pool, varied
from trainers.starter_vision.tower import Eyes, Tower, patches_of
from trainers.starter_vision.train_tower import Report, rate, rows_of

Talks = Callable[[int], tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True, slots=True)
class Speech:
    """`minutes` or `steps`; `pictures` and rows of dialogues (`talks`) of a step; rates of matrices and of all else;
    `hold`: how much a nat counts by which the text model moves from what it said before; `far`: up to where in its
    context a picture stands in a third of the rows."""

    minutes: float | None = None
    steps: int | None = None
    pictures: int = 48
    talks: int = 2
    rate: float = 1e-3
    other_rate: float = 5e-4
    hold: float = 1.0
    far: int = 4096
    seed: int = 12


@dataclass(frozen=True, slots=True)
class Rows:
    """ids, positions, targets (-100: not to be said), each [pictures, length]."""

    ids: Tensor
    positions: Tensor
    targets: Tensor


def said_ids(tokenizer: Tokenizer, answer: str) -> list[int]:
    """The answer as tokens; what it quotes is spelt letter by letter, so that any word can be read."""
    before, quote, rest = answer.partition(' "')
    if not quote:
        return [*tokenizer.encode(answer + vocabulary.STOP).ids]
    word, _, after = rest.partition('"')
    letters = [token for letter in word for token in tokenizer.encode(letter).ids]
    ends = tokenizer.encode(f'"{after}{vocabulary.STOP}').ids
    return [*tokenizer.encode(before + quote).ids, *letters, *ends]


def asked_rows(pool: Pool, tokenizer: Tokenizer, eyes: Eyes, length: int, far: int, rng: np.random.Generator) -> Rows:
    """The questions of the pool's pictures with their answers; the question stands before the picture in a quarter."""
    ids = np.zeros((len(pool), length), np.int64)
    targets = np.full((len(pool), length), -100, np.int64)
    for row, (asked, answer) in enumerate(pool.talks):
        prompt = tokenizer.encode(shown(asked, eyes, rng.random() < 0.75)).ids
        said = said_ids(tokenizer, answer)
        whole = [*prompt, *said][: length + 1]
        ids[row, : len(whole) - 1] = whole[:-1]
        targets[row, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]
    starts = np.where(rng.random(len(pool)) < 1 / 3, rng.integers(0, far, len(pool)), 0)
    positions = starts[:, None] + np.arange(length)
    return Rows(torch.from_numpy(ids), torch.from_numpy(positions), torch.from_numpy(targets))


def longest(pool: Pool, tokenizer: Tokenizer, eyes: Eyes) -> int:
    """Tokens of the longest question with its answer."""
    talks = set(pool.talks)
    return max(
        len(tokenizer.encode(shown(asked, eyes)).ids) + len(said_ids(tokenizer, answer)) for asked, answer in talks
    )


def embedded(network: Network, ids: Tensor, tokens: Tensor, picture: int) -> Tensor:
    """Embeddings of the ids, those of pictures in the places that stand for them."""
    x: Tensor = network.embedding(ids)
    return x.masked_scatter((ids == picture)[..., None], tokens.to(x.dtype))


@dataclass(frozen=True, slots=True)
class Parts:
    """`before` is the text model as it was without eyes; it stands still."""

    tower: Tower
    network: Network
    before: Network
    tokenizer: Tokenizer


def train_text(parts: Parts, pool: Pool, talks: Talks, speech: Speech) -> Report:
    """Trains tower's connector and network in place. `talks` gives ids and positions of so many rows of dialogues."""
    tower, network, tokenizer = parts.tower, parts.network, parts.tokenizer
    eyes, rng = tower.eyes, np.random.default_rng(speech.seed)
    picture, length = place(tokenizer), longest(pool, tokenizer, eyes)
    before = parts.before.eval().requires_grad_(False)
    engines = _engines(tower, network, speech)
    tops = [engine.param_groups[0]["lr"] for engine in engines]

    def spoken(ids: Tensor, positions: Tensor, tokens: Tensor) -> Tensor:
        return network.through(embedded(network, ids, tokens, picture), positions)

    began = time.monotonic()
    step, done, smooth = 0, 0.0, np.zeros(2)
    rows = rows_of(pool, speech.pictures, rng)
    while done < 1.0:
        for engine, top in zip(engines, tops, strict=True):
            engine.param_groups[0]["lr"] = top * rate(done)
        batch = varied(pool, next(rows), rng)
        asked = asked_rows(batch, tokenizer, eyes, length, speech.far, rng)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                states = tower.states(patches_of(torch.from_numpy(batch.pixels), eyes), eyes.layers)
            hidden = spoken(asked.ids, asked.positions, tower.folded(states).float())
            wanted = asked.targets != -100
            lost = F.cross_entropy(network.logits(hidden[wanted]).float(), asked.targets[wanted])
            ids, positions = (torch.from_numpy(part) for part in talks(speech.talks))
            with torch.no_grad():
                said = F.log_softmax(before.logits(before(ids, positions)).float(), -1)
            says = F.log_softmax(network.logits(network(ids, positions)).float(), -1)
            moved = (said.exp() * (said - says)).sum(-1).mean()
        torch.autograd.backward(lost + speech.hold * moved)
        for engine in engines:
            torch.nn.utils.clip_grad_norm_(engine.param_groups[0]["params"], 1.0)
            engine.step()
            engine.zero_grad(set_to_none=True)
        step += 1
        smooth = 0.95 * smooth + 0.05 * np.asarray([float(lost.detach()), float(moved.detach())])
        now = time.monotonic()
        done = step / speech.steps if speech.steps else (now - began) / (60 * (speech.minutes or 1.0))
        if step % 20 == 0:
            told = " ".join(f"{each:.4f}" for each in smooth / (1 - 0.95**step))
            print(
                f"step {step} {done:.1%} loss, moved {told} {step * speech.pictures / (now - began):,.0f}/s", flush=True
            )
    return Report(step, step * speech.pictures, time.monotonic() - began)


@torch.no_grad()
def match_scale(tower: Tower, network: Network, pool: Pool) -> None:
    """Makes the tower's tokens as large as the text model's own embeddings."""
    tokens = tower(patches_of(torch.from_numpy(pool.pixels[:64]), tower.eyes))
    own = network.embedding.weight[network.embedding.weight.abs().sum(1) > 0]
    tower.connector.weight *= own.pow(2).mean().sqrt() / tokens.pow(2).mean().sqrt()


def _engines(tower: Tower, network: Network, speech: Speech) -> list[torch.optim.Optimizer]:
    matrices = [p for block in network.blocks for p in block.parameters() if p.dim() == 2]
    inside = {id(p) for p in matrices}
    others = [*(p for p in network.parameters() if id(p) not in inside), tower.connector.weight]
    return [
        Muon(matrices, lr=speech.rate, momentum=0.95, weight_decay=0.0),
        torch.optim.AdamW(others, lr=speech.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def talks_of(
    makers: Sequence[tuple[dialogues.Maker, float]],
    tools: dialogues.Maker,
    tokenizer: Tokenizer,
    rng: np.random.Generator,
    length: int = 320,
) -> Talks:
    """Rows of dialogues, two of five with tools."""
    chance = Random(int(rng.integers(2**32)))
    talk = dialogues.stream(makers, chance)

    def row(tooled: bool) -> list[int]:
        ids: list[int] = []
        while len(ids) < length:
            ids += vocabulary.encode(tokenizer, tools(chance) if tooled else next(talk), 0.0)[0]
        return ids[:length]

    def take(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        ids = np.asarray([row(chance.random() < 0.4) for _ in range(count)], np.int64)
        return ids, rng.integers(0, 8192, (count, 1)) * (rng.random((count, 1)) < 0.3) + np.arange(length)

    return take
