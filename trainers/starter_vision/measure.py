"""What the written checkpoint sees of what training never drew.

Rule: measured with `transformers` in float32 on the files as they are on disk; an answer is right when it says the one
thing that is to be seen (scenes.is_right).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlavaForConditionalGeneration

from trainers.starter import vocabulary
from trainers.starter_vision.material import Material
from trainers.starter_vision.network import Eyes, prepared, shown
from trainers.starter_vision.scenes import TASKS, Scene, draw, is_right

WANTED = {"colour": 0.9, "shape": 0.9, "count": 0.8, "word": 0.8, "emoji": 0.5}
LONGEST = 24  # tokens of an answer
TOGETHER = 64  # pictures at once


@dataclass(frozen=True, slots=True)
class Score:
    """`examples`: questions with what was said, the wrong ones first."""

    task: str
    right: int
    of: int
    examples: tuple[tuple[Scene, str], ...]

    @property
    def share(self) -> float:
        return self.right / self.of


def measure(
    folder: Path, material: Material, eyes: Eyes, count: int, device: torch.device, held: bool = True
) -> list[Score]:
    """`count` scenes of each task, all from a seed of their own."""
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model = model.to(device).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    scores = []
    for task in TASKS:
        rng = Random(f"measured {task}")
        scenes = [draw(task, rng, material, held) for _ in range(count)]
        said = answers(model, tokenizer, scenes, eyes)
        judged = sorted(zip(scenes, said, strict=True), key=lambda pair: is_right(*pair))
        right = sum(is_right(scene, text) for scene, text in judged)
        scores.append(Score(task, right, count, tuple(judged[:4] + judged[-2:])))
    return scores


def answers(model: Any, tokenizer: Tokenizer, scenes: Sequence[Scene], eyes: Eyes) -> list[str]:
    """What the model says to each scene, greedily."""
    alike: dict[int, list[int]] = defaultdict(list)
    prompts = [tokenizer.encode(shown(scene.question, eyes)).ids for scene in scenes]
    for at, prompt in enumerate(prompts):
        alike[len(prompt)].append(at)
    said = [""] * len(scenes)
    for places in alike.values():
        for start in range(0, len(places), TOGETHER):
            chosen = places[start : start + TOGETHER]
            pixels = np.stack([prepared(scenes[at].picture, eyes) for at in chosen])
            spoken = _spoken(model, [prompts[at] for at in chosen], pixels)
            for at, ids in zip(chosen, spoken, strict=True):
                text = tokenizer.decode(ids, skip_special_tokens=False)
                said[at] = text.partition(vocabulary.STOP)[0].partition(vocabulary.END)[0].strip()
    return said


def _spoken(model: Any, prompts: list[list[int]], pixels: Any) -> list[list[int]]:
    ids = torch.tensor(prompts, device=model.device)
    given = {"pixel_values": torch.as_tensor(pixels, device=model.device), "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        whole = model.generate(input_ids=ids, **given, max_new_tokens=LONGEST, do_sample=False)
    new: list[list[int]] = whole[:, ids.shape[1] :].tolist()
    return new
