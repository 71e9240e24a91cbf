"""Llama 4's processor as transformers writes it, but for torchvision, which cannot be installed beside this torch.

Rule: sizes, prompts, padding and scaling are the library's own functions, taken from its source; resizing is Pillow's.
"""

import ast
import importlib.util
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_transforms import split_to_tiles
from transformers.image_utils import SizeDict
from transformers.models.llama4.processing_llama4 import Llama4Processor

SIDE, MOST = 28, 6


def functions() -> dict[str, Any]:
    """The functions of the library's image processor that need no torchvision."""
    wanted = ("get_factors", "get_max_res_without_distortion", "find_supported_resolutions", "get_best_fit")
    spec = importlib.util.find_spec("transformers.models.llama4")
    assert spec and spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0]) / "image_processing_llama4.py"
    tree = ast.parse(source.read_text())
    tree.body = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name in wanted]
    for each in tree.body:
        assert isinstance(each, ast.FunctionDef)
        each.decorator_list = []
    space: dict[str, Any] = {"math": math, "torch": torch, "defaultdict": defaultdict, "SizeDict": SizeDict}
    exec(compile(tree, str(source), "exec"), space)
    return space


class Processor:
    """What tests use of a processor."""

    def __init__(self, tokenizer: Any, template: str) -> None:
        self.tokenizer, self.template = tokenizer, template
        self._own = functions()

    def save_pretrained(self, directory: Path) -> None:
        self.tokenizer.save_pretrained(directory)
        (directory / "chat_template.jinja").write_text(self.template)
        size = f'{{"height": {SIDE}, "width": {SIDE}}}'
        (directory / "preprocessor_config.json").write_text(f'{{"size": {size}, "max_patches": {MOST}}}')

    def apply_chat_template(self, said: list[dict[str, Any]], **how: Any) -> str:
        text: str = self.tokenizer.apply_chat_template(said, chat_template=self.template, **how)
        return text

    def __call__(self, images: list[Image.Image] | None, text: list[str], return_tensors: str) -> dict[str, Any]:
        (prompt,) = text
        if not images:
            return dict(self.tokenizer([prompt], return_tensors=return_tensors))
        cut = [self.tiles(image) for image in images]
        pieces = prompt.split("<|image|>")
        written = [Llama4Processor._prompt_split_image(_Tokens(), ratio, 4) for _, ratio in cut]
        whole = pieces[0] + "".join(each + piece for each, piece in zip(written, pieces[1:], strict=True))
        pixels = torch.cat([tiles for tiles, _ in cut]).float()
        return {**self.tokenizer([whole], return_tensors=return_tensors), "pixel_values": pixels}

    def tiles(self, image: Image.Image) -> tuple[torch.Tensor, tuple[int, int]]:
        """The picture's squares, the whole last where there are several, and how many down and across."""
        found = self._own["find_supported_resolutions"](MOST, SizeDict(height=SIDE, width=SIDE))
        size = (image.height, image.width)
        target = [int(each) for each in self._own["get_best_fit"](size, torch.tensor(found))]
        most = tuple(min(max(each, SIDE), limit) for each, limit in zip(size, target, strict=True))
        height, width = self._own["get_max_res_without_distortion"](size, most)
        small = _scaled(image.resize((max(width, 1), max(height, 1)), Image.Resampling.BILINEAR), target)
        ratio = (target[0] // SIDE, target[1] // SIDE)
        tiles = split_to_tiles(small[None], *ratio)[0]
        if len(tiles) == 1:
            return tiles, ratio
        whole = _scaled(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), [SIDE, SIDE])
        return torch.cat([tiles, whole[None]]), ratio


class _Tokens:
    """Stands for the processor where its method uses nothing of it."""


def _scaled(image: Image.Image, size: list[int]) -> torch.Tensor:
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[: image.height, : image.width] = np.asarray(image)
    pixels = torch.tensor(canvas).permute(2, 0, 1).to(torch.bfloat16) * (1 / 255)
    half = torch.tensor(0.5, dtype=torch.bfloat16)
    return (pixels - half) / half
