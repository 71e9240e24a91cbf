"""Files of networks that enlarge are read as what they are, and applied tile by tile as if at once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import UpscaleRequest
from haiga.engines.diffusers.pixels import picture_of
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.upscaling.networks import Compact, Esrgan, Span
from haiga.engines.diffusers.upscaling.reading import network
from haiga.engines.diffusers.upscaling.upscalers import Upscalers

Weights = dict[str, torch.Tensor]


def seeded(made: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    return made.eval()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def first_names(key: str, blocks: int) -> str:
    """As in the first ESRGAN's files, for a scale of 4."""
    head, _, part = key.rpartition(".")
    if head.startswith("body."):
        _, block, dense, conv = head.split(".")
        return f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{part}"
    places = {"conv_first": 0, "conv_body": f"1.sub.{blocks}", "ups.0": 3, "ups.1": 6, "conv_hr": 8, "conv_last": 10}
    return f"model.{places[head]}.{part}"


def real_names(key: str) -> str:
    """As in Real-ESRGAN's files."""
    return key.replace("ups.0", "conv_up1").replace("ups.1", "conv_up2")


@pytest.mark.parametrize("names", [lambda key: first_names(key, 2), real_names])
@pytest.mark.parametrize("folded", [1, 2])
def test_an_esrgan_is_read_from_its_files_by_shape(names: object, folded: int) -> None:
    made = seeded(Esrgan(8, 4, 2, 2, folded))
    file = {names(key): value for key, value in made.state_dict().items()}  # type: ignore[operator]
    read = network(file, "x")
    x = torch.rand(1, 3, 8, 8)
    assert 4 // folded == read.scale
    assert torch.equal(made(x), read(x))
    assert (1, 3, 8 * read.scale, 8 * read.scale) == read(x).shape  # type: ignore[operator]


def test_a_compact_network_is_read_by_shape() -> None:
    made = seeded(Compact([3, 8, 8, 12], 2))
    read = network(made.state_dict(), "x")
    x = torch.rand(1, 3, 5, 7)
    assert 2 == read.scale
    assert torch.equal(made(x), read(x))


def test_a_spans_branches_are_folded_into_one_convolution() -> None:
    """Each as the paper trains them: three in a row over a padded picture, and one beside them."""
    made = seeded(Span(6, 2, True))
    torch.manual_seed(1)
    file: Weights = {"upsampler.0.weight": made.upsampler.weight, "upsampler.0.bias": made.upsampler.bias}  # type: ignore[union-attr,dict-item]
    branches: dict[str, torch.nn.Module] = {}
    for key, layer in made.named_modules():
        if isinstance(layer, torch.nn.Conv2d) and key not in ("upsampler", "conv_cat"):
            inner, outer = layer.in_channels, layer.out_channels
            row = torch.nn.Sequential(
                torch.nn.Conv2d(inner, 2 * inner, 1),
                torch.nn.Conv2d(2 * inner, 2 * outer, 3),
                torch.nn.Conv2d(2 * outer, outer, 1),
            )
            branches[key] = torch.nn.ModuleDict({"conv": row, "sk": torch.nn.Conv2d(inner, outer, 1)})
            file |= {f"{key}.{name}": value for name, value in branches[key].state_dict().items()}
    file |= {f"conv_cat.{name}": value for name, value in made.conv_cat.state_dict().items()}  # type: ignore[operator]
    read = network(file, "x")
    for key, branch in branches.items():
        layer = read.get_submodule(key)
        x = torch.rand(1, layer.in_channels, 6, 6)  # type: ignore[arg-type]
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
        parts = dict(branch.named_children())
        assert torch.allclose(parts["conv"](padded) + parts["sk"](x), layer(x), atol=1e-5)
    assert (1, 3, 12, 12) == read(torch.rand(1, 3, 6, 6)).shape


def test_weights_of_anything_else_are_refused_with_what_is_known() -> None:
    for file in ({"conv.weight": torch.zeros(3, 3, 3, 3)}, {}, {"body.0.weight": torch.zeros(8, 3, 3, 3)}):
        with pytest.raises(Unsupported, match="ESRGAN"):
            network(file, "x")
    missing = seeded(Esrgan(8, 4, 1, 2, 1)).state_dict()
    del missing["conv_hr.bias"]
    with pytest.raises(Unsupported, match="conv_hr"):
        network(missing, "x")


def test_tiles_are_seamless_and_a_job_can_stop_between_them(tmp_path: Path) -> None:
    made = seeded(Compact([3, 4, 12], 2))
    (tmp_path / "upscalers").mkdir()
    save_file(made.state_dict(), tmp_path / "upscalers" / "mine.safetensors")
    upscalers, image = Upscalers(Shelf(tmp_path)), noise(200, 210)
    tiles: list[int] = []
    actual = np.asarray(upscalers.to(image, (400, 420), "mine", lambda: tiles.append(1)))
    with torch.no_grad():
        whole = made(torch.from_numpy(np.asarray(image, np.float32).transpose(2, 0, 1)[None] / 255))
    expected = (whole[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert 4 == len(tiles)
    assert np.abs(expected - actual).max() <= 1


def test_a_picture_comes_out_in_the_size_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "ESRGAN").mkdir()
    save_file(seeded(Compact([3, 4, 12], 2)).state_dict(), tmp_path / "ESRGAN" / "mine.safetensors")
    upscalers, picture = Upscalers(Shelf(tmp_path)), picture_of(noise(20, 10))
    sizes = [
        (UpscaleRequest("m", picture, "Nearest", 1.5), (30, 15)),
        (UpscaleRequest("m", picture, "mine", 7.0), (140, 70)),
        (UpscaleRequest("m", picture, "mine", width=60, height=60), (60, 60)),
        (UpscaleRequest("m", picture, "Lanczos", width=60, height=60, crop=False), (120, 60)),
        (UpscaleRequest("m", picture, "mine", 2.0, second="Bicubic", visibility=0.5), (40, 20)),
    ]
    assert [size for _, size in sizes] == [upscalers.enlarged(request).size for request, _ in sizes]
    for request, why in (
        (UpscaleRequest("m", picture, "yours"), "Lanczos.*mine"),
        (UpscaleRequest("m", picture, "Nearest", 1000.0), "no size"),
        (UpscaleRequest("m", picture, "Nearest", 0.01), "no size"),
    ):
        with pytest.raises(Invalid, match=why):
            upscalers.enlarged(request)


def test_two_upscalers_are_mixed_by_how_much_the_second_shows() -> None:
    picture = picture_of(noise(8, 8))
    upscalers = Upscalers(Shelf())
    first, second = (np.asarray(upscalers.to(noise(8, 8), (16, 16), n), np.float32) for n in ("Nearest", "Bilinear"))
    made = upscalers.enlarged(UpscaleRequest("m", picture, "Nearest", 2, second="Bilinear", visibility=0.25))
    assert np.abs(np.asarray(made, np.float32) - (first * 0.75 + second * 0.25)).max() <= 1
