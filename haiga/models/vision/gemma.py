"""Gemma 3: a SigLIP tower whose patches are averaged in squares; a picture is always so many tokens.

Rule: a picture's tokens see each other, so they run in one step. Pan and scan, which is off as published, is refused.
Paper: arXiv 2503.19786.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np
import openvino as ov
import openvino.opset15 as op

from haiga.core.pictures import Grid, Picture
from haiga.models.fields import Fields
from haiga.models.graph import Norm, constant
from haiga.models.vision.frame import Frame, read_frame
from haiga.models.vision.pixels import pixels_of
from haiga.models.vision.sight import Features, View
from haiga.models.vision.tower import SIGLIP, Encoder, TowerGraph, embed, encode, find_prefix, read_encoder
from haiga.models.weights import Tensors, Weights

_HALF = (0.5,) * 3
_BEGIN, _SOFT, _END = "<start_of_image>", "<image_soft_token>", "<end_of_image>"


@dataclass(frozen=True, slots=True)
class Gemma:
    """side: features along a side of the picture; width: of a feature."""

    encoder: Encoder
    frame: Frame
    side: int
    width: int

    token: ClassVar[str] = _BEGIN
    written: ClassVar[str] = _BEGIN
    filler: ClassVar[str] = _SOFT
    mutual: ClassVar[bool] = True

    def spelling(self, width: int, height: int) -> str:
        return f"\n\n{_BEGIN}{_SOFT * self.side**2}{_END}\n\n"

    def grid(self, width: int, height: int) -> Grid | None:
        return None

    def views(self, picture: Picture) -> Iterator[View]:
        yield {"patches": self.frame.patches(pixels_of(picture), self.encoder.patch)}

    def tower(self, weights: Weights) -> ov.Model:
        part, graph = self.encoder, TowerGraph(weights)
        at = find_prefix(weights.checkpoint, "embeddings.patch_embedding.weight")
        x = encode(graph, part, at + "encoder.", embed(graph, part, SIGLIP, at))
        x = graph.layer_norm(x, at + "post_layernorm", part.hidden, part.eps)
        square = part.side // self.side
        cut = op.reshape(x, constant([self.side, square, self.side, square, part.hidden], np.int64), False)
        mean = op.reshape(
            op.reduce_mean(cut, constant([1, 3], np.int64), False), constant([-1, part.hidden], np.int64), False
        )
        name = "multi_modal_projector.mm_input_projection_weight"
        at = find_prefix(weights.checkpoint, name)
        norm = Norm(part.eps, beside=1.0)
        x = graph.norm(mean, norm, at + "multi_modal_projector.mm_soft_emb_norm", part.hidden)
        x = op.matmul(x, constant(weights.vector(at + name, part.hidden, self.width), np.float32), False, False)
        return graph.model(x, "features", "tower")

    def collect(self, seen: Sequence[Features], width: int, height: int, tensors: Tensors) -> Features:
        return seen[0]


def read_gemma(config: Fields, processor: Fields) -> Gemma:
    """The family's sight from config.json and its processor's config. Raises Invalid naming the field."""
    vision = config.object("vision_config") or Fields(config.source, {})
    encoder = read_encoder(
        vision,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=224,
        patch_size=16,
        hidden_act="gelu_pytorch_tanh",
    )
    count = config.integer("mm_tokens_per_image", 256)
    if isqrt(count) ** 2 != count or encoder.side % isqrt(count):
        raise config.refuse("mm_tokens_per_image", f"({count}) is no square that divides {encoder.side} patches a side")
    if processor.flag("do_pan_and_scan", False):
        raise processor.refuse("do_pan_and_scan", "is true, which is not supported")
    frame = read_frame(
        Fields(processor.source, {"resample": 2, **processor, "do_center_crop": False}),
        pads=False,
        mean=_HALF,
        deviation=_HALF,
    )
    return Gemma(encoder, frame, isqrt(count), config.integer("hidden_size"))
