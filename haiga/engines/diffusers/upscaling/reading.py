"""Files of networks that enlarge: which network it is and of what shape, from the weights alone.

Rule: what does not fit whole, with no weight missing and none left over, is refused.
"""

import re
from collections.abc import Mapping
from math import isqrt
from typing import TypeAlias

import torch
from torch import nn

from haiga.core.errors import Unsupported
from haiga.engines.diffusers.upscaling.networks import Compact, Esrgan, Span

Weights: TypeAlias = Mapping[str, torch.Tensor]
KNOWN = "ESRGAN (RRDBNet), Real-ESRGAN's compact networks and SPAN"


def network(weights: Weights, name: str) -> nn.Module:
    """Raises Unsupported for the weights of anything else."""
    weights = {key.removeprefix("module.").removeprefix("model_g."): value for key, value in weights.items()}
    try:
        made = _made(weights)
    except (RuntimeError, KeyError, ValueError, IndexError) as problem:
        raise Unsupported(f"the upscaler {name!r} is none of {KNOWN}: {problem}", field="upscaler") from None
    return made.eval().requires_grad_(False)


def _made(weights: Weights) -> nn.Module:
    if "block_1.c1_r.sk.weight" in weights or "block_1.c1_r.eval_conv.weight" in weights:
        return _span(weights)
    if "body.0.weight" in weights and weights["body.0.weight"].ndim == 4:
        return _compact(weights)
    return _esrgan(_renamed(weights))


# --- ESRGAN ---

_TRUNK = re.compile(r"(?:RRDB_trunk|body)\.(\d+)\.(?:RDB|rdb)(\d)\.conv(\d)\.(\w+)")
_OLD = re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(\w+)")
_NAMES = {"trunk_conv": "conv_body", "HRconv": "conv_hr", "upconv1": "ups.0", "upconv2": "ups.1", "upconv3": "ups.2"}
_NAMES |= {f"conv_up{place + 1}": f"ups.{place}" for place in range(3)}


def _renamed(weights: Weights) -> Weights:
    """In our names, from those of the first ESRGAN, of its second edition and of Real-ESRGAN."""
    ends = sorted({int(key.split(".")[1]) for key in weights if re.fullmatch(r"model\.\d+\.weight", key)})
    old = {0: "conv_first"} | {number: f"ups.{place}" for place, number in enumerate(ends[1:-2])}
    old |= dict(zip(ends[-2:], ("conv_hr", "conv_last"), strict=False))
    return {_ours(key, old): value for key, value in weights.items()}


def _ours(key: str, old: Mapping[int, str]) -> str:
    if match := _OLD.fullmatch(key) or _TRUNK.fullmatch(key):
        return f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"
    if match := re.fullmatch(r"model\.(\d+)\.(\w+)", key):
        return f"{old[int(match[1])]}.{match[2]}"
    if match := re.fullmatch(r"model\.1\.sub\.\d+\.(\w+)", key):
        return f"conv_body.{match[1]}"
    head, _, tail = key.rpartition(".")
    return f"{_NAMES.get(head, head)}.{tail}"


def _esrgan(weights: Weights) -> nn.Module:
    blocks = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("body."))
    ups = len([key for key in weights if re.fullmatch(r"ups\.\d\.weight", key)])
    folded = isqrt(weights["conv_first.weight"].shape[1] // 3)
    width, growth = weights["conv_first.weight"].shape[0], weights["body.0.rdb1.conv1.weight"].shape[0]
    return _filled(Esrgan(width, growth, blocks, ups, folded), weights)


# --- the others ---


def _compact(weights: Weights) -> nn.Module:
    places = sorted(int(key.split(".")[1]) for key, value in weights.items() if value.ndim == 4)
    layers = [weights[f"body.{place}.weight"] for place in places]
    return _filled(
        Compact([layer.shape[1] for layer in layers] + [layers[-1].shape[0]], _spread(layers[-1].shape[0])), weights
    )


def _span(weights: Weights) -> nn.Module:
    plain = {key: value for key, value in weights.items() if key.startswith(("conv_cat.",))}
    plain |= {f"upsampler.{part}": weights[f"upsampler.0.{part}"] for part in ("weight", "bias")}
    for place in {match[1] for key in weights if (match := re.fullmatch(r"(.+?)\.(?:sk|eval_conv)\.weight", key))}:
        plain[f"{place}.weight"], plain[f"{place}.bias"] = _folded(place, weights)
    width = weights["conv_cat.weight"].shape[0]
    return _filled(Span(width, _spread(plain["upsampler.weight"].shape[0]), "no_norm" not in weights), plain)


def _folded(place: str, weights: Weights) -> tuple[torch.Tensor, torch.Tensor]:
    """SPAN's three convolutions in a row and the one beside them, as the one that they are together."""
    if f"{place}.sk.weight" not in weights:
        return weights[f"{place}.eval_conv.weight"], weights[f"{place}.eval_conv.bias"]
    (first, a), (middle, b), (last, c), (beside, d) = (
        (weights[f"{place}.{part}.weight"].double(), weights[f"{place}.{part}.bias"].double())
        for part in ("conv.0", "conv.1", "conv.2", "sk")
    )
    weight = torch.einsum("on,nmhw,mi->oihw", last[..., 0, 0], middle, first[..., 0, 0])
    weight[:, :, 1, 1] += beside[..., 0, 0]
    bias = last[..., 0, 0] @ (middle.sum((2, 3)) @ a + b) + c + d
    return weight.float(), bias.float()


def _spread(channels: int) -> int:
    """The scale of a network that ends in so many channels."""
    scale = isqrt(channels // 3)
    if 3 * scale**2 != channels:
        raise ValueError(f"{channels} channels are no picture's")
    return scale


def _filled(made: nn.Module, weights: Weights) -> nn.Module:
    made.load_state_dict({key: value.float() for key, value in weights.items()})
    return made
