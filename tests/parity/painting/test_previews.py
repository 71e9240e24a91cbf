"""Previews look like the picture, cost little, and change nothing."""

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import pytest
import torch

from haiga.core.images import Progress
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.previews import RATE, SIDE, Previews, fitted_colours, tiny_decoder
from tests.parity.painting.drawn import SIDE as SMALL
from tests.parity.painting.drawn import Pipelines, asked
from tests.pipelines import saved


class Linear(torch.nn.Module):
    """An encoder whose latents are four mixtures of the colours: what a trained one comes near to."""

    config = SimpleNamespace(block_out_channels=(1, 1), shift_factor=0.1, scaling_factor=0.5)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = torch.nn.Conv2d(3, 4, 1)

    def encode(self, pixels: torch.Tensor) -> Any:
        mixed = self.mix(torch.nn.functional.avg_pool2d(pixels, 2))
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: mixed))


def test_what_latents_look_like_is_found_from_the_models_own_encoder() -> None:
    vae = Linear()
    colours = fitted_colours(vae)
    pixels = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        latents = (vae.encode(pixels * 2 - 1).latent_dist.mode()[0] - 0.1) * 0.5
    seen = torch.einsum("chw,cr->rhw", latents, colours[:-1]) + colours[-1].reshape(3, 1, 1)
    assert torch.allclose(torch.nn.functional.avg_pool2d(pixels, 2)[0], seen, atol=1e-3)


@pytest.mark.parametrize("family", ["sd15", "flux", "flux2"])
def test_steps_show_how_it_looks_where_that_is_asked_for_and_can_be(family: str, pipelines: Pipelines) -> None:
    painter = Painter(pipelines(family), "tiny")
    told: dict[bool, list[Progress]] = {True: [], False: []}
    made = [next(iter(painter.paint(asked(previews=p), 1, told[p].append))).picture.digest for p in (True, False)]
    assert made[0] == made[1]
    assert not [each for each in told[False] if each.preview]
    shown = [each.preview for each in told[True] if each.preview]
    assert bool(shown) == (family != "flux2")
    assert {(SMALL, SMALL)} >= {(each.width, each.height) for each in shown}


def test_previews_are_few_and_small(pipelines: Pipelines) -> None:
    ticks = count()
    previews = Previews(pipelines("sd15"), clock=lambda: next(ticks) / 100)
    look = previews.look(2048, 1024)
    latents = torch.randn(1, 4, 512, 1024)
    seen = [look(latents) for _ in range(100)] if look else []
    shown = [each for each in seen if each]
    assert 1 < len(shown) <= 2 * RATE
    assert {(SIDE, SIDE // 2)} == {(each.width, each.height) for each in shown}


def test_a_tiny_decoder_beside_the_model_is_used(tmp_path: Path, pipelines: Pipelines) -> None:
    assert tiny_decoder(saved("sd15", tmp_path)) is None
    torch.manual_seed(0)
    tiny = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(4, 4),
        decoder_block_out_channels=(4, 4),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    tiny.save_pretrained(tmp_path / "taesd")
    look = Previews(pipelines("sd15"), tiny_decoder(tmp_path)).look(SMALL, SMALL)
    seen = look(torch.randn(1, 4, 32, 32)) if look else None
    assert seen is not None and (SMALL, SMALL) == (seen.width, seen.height)
