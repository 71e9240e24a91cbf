"""ControlNets and IP-Adapters do what they do in diffusers' own pipelines, and nothing of them is left afterwards."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting, AutoPipelineForText2Image
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import Control, Inpaint, Reference
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.pixels import image_of
from haiga.engines.diffusers.preprocessors import canny
from haiga.engines.diffusers.shelf import Shelf
from tests.parity.painting.drawn import SIDE, Pipelines, asked, box_mask, difference, own, scene

SIZE = {"width": SIDE, "height": SIDE}


def make_net(family: str, path: Path, seed: int) -> Any:
    """A ControlNet for the family, with no zeros in it."""
    torch.manual_seed(seed)
    if family == "flux":
        net = diffusers.FluxControlNetModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
        )
    else:
        from tests.pipelines import made

        unet = made(family).unet
        net = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32))
    for weight in net.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.2)
    net.save_pretrained(path)
    return net.eval()


def painted(pipeline: Any, shelf: Path, **changes: Any) -> Any:
    request = asked(**changes)
    return image_of(next(iter(Painter(pipeline, "tiny", Shelf(shelf)).paint(request, 1))).picture)


@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux"])
def test_a_unit_leads_as_in_diffusers_own(family: str, tmp_path: Path, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    net = make_net(family, tmp_path / "controlnet" / "edges", 1)
    theirs = AutoPipelineForText2Image.from_pipe(pipeline, controlnet=net)
    shown = {"control_image" if family == "flux" else "image": canny(image_of(scene()))}
    told = {"controlnet_conditioning_scale": 0.7, "control_guidance_start": 0.3, "control_guidance_end": 0.9}
    expected = own(theirs, **shown, **told, **SIZE)
    unit = Control("edges", scene(), "canny", 0.7, 0.3, 0.9)
    plain = painted(pipeline, tmp_path)
    assert 0 == difference(expected, painted(pipeline, tmp_path, controls=(unit,)))
    assert 0 < difference(plain, expected)
    assert 0 == difference(plain, painted(pipeline, tmp_path))


def test_units_lead_together_and_beside_pictures_and_masks(tmp_path: Path, pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    nets = [make_net("sd15", tmp_path / "controlnet" / name, seed) for seed, name in enumerate(("a", "b"))]
    source, mask = image_of(scene()), image_of(box_mask()).convert("L")
    units = (Control("a", None, "tile"), Control("b", scene(), "invert", 0.5))
    shown = {"control_image": [_preprocessed(units[0]), _preprocessed(units[1])], "strength": 0.7}
    shown["controlnet_conditioning_scale"] = [1.0, 0.5]
    begun = AutoPipelineForImage2Image.from_pipe(pipeline, controlnet=nets)
    assert 0 == difference(
        own(begun, image=source, **shown, **SIZE),
        painted(pipeline, tmp_path, source=scene(), strength=0.7, controls=units),
    )
    masked = AutoPipelineForInpainting.from_pipe(pipeline, controlnet=nets)
    expected = own(masked, image=source, mask_image=mask, **shown, **SIZE)
    inpaint = Inpaint(box_mask(), blur=0)
    actual = painted(pipeline, tmp_path, source=scene(), strength=0.7, controls=units, inpaint=inpaint)
    box = (SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2)
    assert 0 == difference(expected.crop(box), actual.crop(box))


def test_modes_put_the_unit_or_the_prompt_first(tmp_path: Path, pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    net = make_net("sd15", tmp_path / "controlnet" / "a", 1)
    theirs = AutoPipelineForText2Image.from_pipe(pipeline, controlnet=net)
    first = painted(pipeline, tmp_path, controls=(Control("a", scene(), mode="control"),))
    assert 0 == difference(own(theirs, image=image_of(scene()), guess_mode=True, **SIZE), first)
    made = [painted(pipeline, tmp_path, controls=(Control("a", scene(), mode=m),)) for m in ("balanced", "prompt")]
    assert 0 < difference(*made)
    make_net("flux", tmp_path / "controlnet" / "f", 1)
    with pytest.raises(Unsupported, match="balanced"):
        painted(pipelines("flux"), tmp_path, controls=(Control("f", scene(), mode="prompt"),))


def test_units_that_cannot_be_are_refused_by_name(tmp_path: Path, pipelines: Pipelines) -> None:
    make_net("sd15", tmp_path / "controlnet" / "a", 1)
    pipelines("sd15").vae.save_pretrained(tmp_path / "controlnet" / "vae")
    for unit, why in (
        (Control("b", scene()), "there is no ControlNet 'b'; near it|Those there are: a"),
        (Control("a"), "needs a picture"),
        (Control("a", scene(), "deepness"), "no preprocessor 'deepness'.*canny"),
        (Control("a", scene(), begin=0.5, end=0.2), "no part"),
        (Control("vae", scene()), "AutoencoderKL"),
    ):
        with pytest.raises(Invalid, match=why):
            painted(pipelines("sd15"), tmp_path, controls=(unit,))
    with pytest.raises(Unsupported, match="needs a model"):
        painted(pipelines("sd15"), tmp_path, controls=(Control("a", scene(), "depth_midas"),))


def test_depth_is_seen_by_a_model_of_the_users(tmp_path: Path, pipelines: Pipelines) -> None:
    make_net("sd15", tmp_path / "controlnet" / "a", 1)
    config = transformers.DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=37,
        image_size=32,
        patch_size=16,
        neck_hidden_sizes=[16, 32, 64, 64],
        backbone_out_indices=[0, 1, 2, 3],
        fusion_hidden_size=16,
        is_hybrid=False,
    )
    place = tmp_path / "preprocessors" / "depth"
    torch.manual_seed(0)
    transformers.DPTForDepthEstimation(config).save_pretrained(place)
    (place / "preprocessor_config.json").write_text('{"size": {"height": 32, "width": 32}}')
    units = [Control("a", scene(), name) for name in ("depth", "none")]
    assert 0 < difference(*(painted(pipelines("sd15"), tmp_path, controls=(unit,)) for unit in units))


def make_adapter(pipeline: Any, path: Path, seed: int) -> dict[str, dict[str, torch.Tensor]]:
    """An IP-Adapter for a Stable Diffusion of these shapes."""
    torch.manual_seed(seed)
    wide = pipeline.unet.config.cross_attention_dim
    processors = [name for name in pipeline.unet.attn_processors if "attn2" in name]
    keys = {}
    for place, name in enumerate(processors):
        hidden = pipeline.unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        keys |= {f"{2 * place + 1}.to_{part}_ip.weight": torch.randn(hidden, wide) * 0.3 for part in "kv"}
    shapes = {"proj.weight": (4 * wide, 32), "proj.bias": (4 * wide,), "norm.weight": (wide,), "norm.bias": (wide,)}
    weights = {"image_proj": {name: torch.randn(shape) for name, shape in shapes.items()}, "ip_adapter": keys}
    path.mkdir(parents=True)
    flat = {f"{part}.{name}": weight for part, each in weights.items() for name, weight in each.items()}
    save_file(flat, path / "weights.safetensors")
    config = transformers.CLIPVisionConfig(
        hidden_size=32,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        intermediate_size=37,
        patch_size=8,
    )
    torch.manual_seed(5)
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(path / "image_encoder")
    return weights


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_pictures_that_are_shown_do_what_they_do_in_diffusers_own(
    family: str, tmp_path: Path, pipelines: Pipelines
) -> None:
    pipeline = pipelines(family)
    plain = painted(pipeline, tmp_path)
    weights = [make_adapter(pipeline, tmp_path / "ip_adapters" / name, n) for n, name in enumerate(("a", "b"))]
    shown = (Reference("a", scene(), 0.5), Reference("b", box_mask(), 1.0))
    actual = painted(pipeline, tmp_path, references=shown)
    encoder = transformers.CLIPVisionModelWithProjection.from_pretrained(tmp_path / "ip_adapters/a/image_encoder")
    looks = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    pipeline.register_modules(image_encoder=encoder.eval(), feature_extractor=looks)
    pipeline.load_ip_adapter(weights, subfolder=["", ""], weight_name=["", ""])
    pipeline.set_ip_adapter_scale([0.5, 1.0])
    expected = own(pipeline, ip_adapter_image=[image_of(each.picture) for each in shown], **SIZE)
    pipeline.unload_ip_adapter()
    assert 0 == difference(expected, actual) < difference(plain, actual)
    assert 0 == difference(plain, painted(pipeline, tmp_path))


def test_attention_is_the_very_one_that_it_was_when_a_picture_was_shown(tmp_path: Path, pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    make_adapter(pipeline, tmp_path / "ip_adapters" / "a", 1)
    usual = dict(pipeline.unet.attn_processors)
    pipeline.unet.set_attn_processor(AttnProcessor())
    try:
        mine, plain = dict(pipeline.unet.attn_processors), painted(pipeline, tmp_path)
        painted(pipeline, tmp_path, references=(Reference("a", scene()),))
        assert mine == pipeline.unet.attn_processors
        assert plain.tobytes() == painted(pipeline, tmp_path).tobytes()
    finally:
        pipeline.unet.set_attn_processor(usual)


def test_a_picture_shown_to_a_model_that_cannot_see_it_is_refused(tmp_path: Path, pipelines: Pipelines) -> None:
    make_adapter(pipelines("sdxl"), tmp_path / "ip_adapters" / "xl", 1)
    plain = painted(pipelines("sd15"), tmp_path)
    with pytest.raises(Invalid, match="xl"):
        painted(pipelines("sd15"), tmp_path, references=(Reference("xl", scene()),))
    with pytest.raises(Unsupported, match="ZImage"):
        painted(pipelines("z-image"), tmp_path, references=(Reference("xl", scene()),))
    assert 0 == difference(plain, painted(pipelines("sd15"), tmp_path))


def _preprocessed(unit: Control) -> Any:
    from haiga.engines.diffusers.preprocessors import BUILT_IN

    return BUILT_IN[unit.preprocessor](image_of(unit.picture or scene()))
