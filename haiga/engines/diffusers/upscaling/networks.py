"""The networks that enlarge pictures, as their papers have them: pictures [1, 3, height, width] of 0 to 1 in and out.

Rule: names of weights are ours; `reading` turns the files' names into them.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

BLOCKS = 6  # of a SPAN
MEAN = (0.4488, 0.4371, 0.4040)  # of the pictures that SPANs were trained on (DIV2K)


def conv(inner: int, outer: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, side, padding=side // 2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it made."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        inner = [width + place * growth for place in range(5)]
        for place, outer in enumerate([growth] * 4 + [width]):
            self.add_module(f"conv{place + 1}", conv(inner[place], outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [x]
        layers = list(self.children())
        for layer in layers[:-1]:
            seen.append(F.leaky_relu(layer(torch.cat(seen, 1)), 0.2))
        made: torch.Tensor = layers[-1](torch.cat(seen, 1))
        return made * 0.2 + x


class Residual(nn.Module):
    """Three dense blocks in a residual one."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(width, growth) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return made * 0.2 + x


class Esrgan(nn.Module):
    """RRDBNet (Wang et al. 2018, https://arxiv.org/abs/1809.00219). folded: pixels of a side that are put into one
    before, as Real-ESRGAN does for small scales."""

    def __init__(self, width: int, growth: int, blocks: int, ups: int, folded: int) -> None:
        super().__init__()
        self.scale = 2**ups // folded
        self.multiple = folded
        self._folded = folded
        self.conv_first = conv(3 * folded**2, width)
        self.body = nn.Sequential(*(Residual(width, growth) for _ in range(blocks)))
        self.conv_body = conv(width, width)
        self.ups = nn.ModuleList(conv(width, width) for _ in range(ups))
        self.conv_hr = conv(width, width)
        self.conv_last = conv(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_first(F.pixel_unshuffle(x, self._folded))
        x = x + self.conv_body(self.body(x))
        for up in self.ups:
            x = F.leaky_relu(up(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        made: torch.Tensor = self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))
        return made


class Compact(nn.Module):
    """SRVGGNetCompact of Real-ESRGAN (Wang et al. 2021, https://arxiv.org/abs/2107.10833): convolutions in a row whose
    last is spread out over pixels and added to the picture. widths: what each convolution sees and the last makes."""

    multiple = 1

    def __init__(self, widths: list[int], scale: int) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = []
        for inner, outer in pairwise(widths):
            layers += [conv(inner, outer), nn.PReLU(outer)]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = F.pixel_shuffle(self.body(x), self.scale)
        return made + F.interpolate(x, scale_factor=self.scale, mode="nearest")


class Attended(nn.Module):
    """SPAN's block: what it makes is weighted by itself, with no parameters for that."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r = (conv(width, width) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What it makes, and what its first convolution made."""
        first = F.silu(self.c1_r(x))
        third = self.c3_r(F.silu(self.c2_r(first)))
        return (third + x) * (torch.sigmoid(third) - 0.5), first


class Span(nn.Module):
    """Swift parameter-free attention network (Wan et al. 2023, https://arxiv.org/abs/2311.12770). normed: whether it
    sees pictures of 0 to 255 about their mean."""

    multiple = 1

    def __init__(self, width: int, scale: int, normed: bool) -> None:
        super().__init__()
        self.scale = scale
        self._normed = normed
        self.conv_1 = conv(3, width)
        for place in range(BLOCKS):
            self.add_module(f"block_{place + 1}", Attended(width))
        self.conv_2 = conv(width, width)
        self.conv_cat = conv(4 * width, width, 1)
        self.upsampler = conv(width, 3 * scale**2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._normed:
            x = (x - x.new_tensor(MEAN).reshape(1, 3, 1, 1)) * 255
        first = x = self.conv_1(x)
        made = []
        for place in range(BLOCKS):
            x, inside = getattr(self, f"block_{place + 1}")(x)
            made.append(x)
        together = self.conv_cat(torch.cat([first, self.conv_2(x), made[0], inside], 1))
        return F.pixel_shuffle(self.upsampler(together), self.scale)
