"""The autoencoder: 64x64 pixels to 8x8 latents of 16 channels and back, as diffusers' AutoencoderTiny.

Rule: the encoder is not learnt: its convolutions are principal components of blocks of 8x8 pixels, found in three steps
of 2x2. So latents are there at once, and the decoder, which makes sharp what the components leave soft, is learnt
apart.
"""

import math
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from trainers.starter_image.clock import worked

LATENT, WIDTH = 16, 32  # channels of latents, and between convolutions
NOISE = 0.15  # upon latents while the decoder learns
EVEN = 0.5  # latents deviate by the components' deviation to this power: 0 is whitened


def build() -> Any:
    kind: Any = diffusers.AutoencoderTiny
    return kind(
        latent_channels=LATENT,
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 0, 0, 0),
        num_decoder_blocks=(4, 2, 1, 1),
        scaling_factor=1.0,
    ).to(memory_format=torch.channels_last)


def to_model(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """[pictures, 64, 64, 3] of bytes to [pictures, 3, 64, 64] of -1..1, in PyTorch's channels_last order."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(127.5).sub(1)


@torch.no_grad()
def set_encoder(model: Any, pixels: NDArray[np.uint8]) -> None:
    """Gives the encoder's convolutions the principal components of these pictures. Its first convolution passes the
    colours on, the next three each halve height and width, the last one scales."""
    first, *halving, last = model.encoder.layers
    for each in model.encoder.layers:
        each.weight.zero_()
        if each.bias is not None:
            each.bias.zero_()
    for channel in range(3):
        first.weight[channel, channel, 1, 1] = 1.0
    states, deviation = first(to_model(pixels).add(1).div(2)), torch.ones(WIDTH)
    for each in halving:
        into = min(states.shape[1], 3 if each is halving[0] else WIDTH)
        basis, deviation = components(functional.pixel_unshuffle(states[:, :into], 2), WIDTH)
        # pixel_unshuffle's channels are [channel, row, column]; the kernel's middle is the block's upper left pixel
        each.weight[: len(basis), :into, 1:, 1:] = basis.reshape(len(basis), into, 2, 2)
        states = each(states)
    mean = states[:, :LATENT].mean((0, 2, 3))
    scale = deviation[:LATENT] ** (EVEN - 1)
    scale = scale / (scale * deviation[:LATENT]).square().mean().sqrt()
    for channel in range(LATENT):
        last.weight[channel, channel, 1, 1] = scale[channel]
        last.bias[channel] = -mean[channel] * scale[channel]


def components(states: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The principal components of [pictures, channels, rows, columns] as rows, and their deviations, largest first."""
    flat = states.permute(1, 0, 2, 3).flatten(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat.double()))
    order = values.argsort(descending=True)[:most]
    return vectors[:, order].T.float(), values[order].clamp_min(1e-12).sqrt().float()


@torch.no_grad()
def latents_of(model: Any, pixels: NDArray[np.uint8], batch: int = 512) -> torch.Tensor:
    """[pictures, 16, 8, 8]. The encoder sees blocks of 8x8 pixels one by one and is linear, so one product does."""
    values = 3 * 8 * 8
    probes = torch.cat([torch.zeros(1, values), torch.eye(values)]).reshape(-1, 3, 8, 8) * 2 - 1
    made = model.encode(probes.to(memory_format=torch.channels_last)).latents.flatten(1)
    bias, kernel = made[0], (made[1:] - made[0]).T.reshape(LATENT, 3, 8, 8)
    parts = [to_model(pixels[at : at + batch]).add(1).div(2) for at in range(0, len(pixels), batch)]
    return torch.cat([functional.conv2d(part.contiguous(), kernel, bias, stride=8) for part in parts])


def train(
    model: Any, pixels: NDArray[np.uint8], latents: torch.Tensor, minutes: float, rate: float = 2e-3, batch: int = 8
) -> float:
    """Teaches the decoder for so long; returns the mean absolute error of late batches, of pixels 0..1."""
    engine = torch.optim.AdamW(model.decoder.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    chance = np.random.default_rng(0)
    began, step, done, smooth = worked(), 0, 0.0, 0.0
    while done < 1.0:
        engine.param_groups[0]["lr"] = rate * min(step / 100 + 0.02, 0.5 + 0.5 * math.cos(math.pi * done))
        some = chance.integers(0, len(pixels), batch)
        wanted, known = to_model(pixels[some]), latents[torch.from_numpy(some)].float()
        with torch.autocast("cpu", torch.bfloat16):
            known = (known + NOISE * torch.randn_like(known)).contiguous(memory_format=torch.channels_last)
            off = model.decode(known).sample.float() - wanted
        loss = off.abs().mean() + 0.5 * _edges(off)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.decoder.parameters(), 1.0)
        engine.step()
        engine.zero_grad(set_to_none=True)
        lost = float(off.detach().abs().mean()) / 2
        step, smooth = step + 1, lost if step == 0 else 0.98 * smooth + 0.02 * lost
        done = (worked() - began) / (60 * minutes)
        if step % 100 == 0:
            speed = step * batch / (worked() - began)
            print(f"decoder: step {step} {done:.1%} error {smooth:.4f} {speed:,.0f} pictures/s", flush=True)
    return smooth


def _edges(off: torch.Tensor) -> torch.Tensor:
    """How far apart the differences of neighbouring pixels are."""
    return (off[..., 1:] - off[..., :-1]).abs().mean() + (off[..., 1:, :] - off[..., :-1, :]).abs().mean()
