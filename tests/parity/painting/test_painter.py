"""What is painted is what diffusers' own pipelines make of the same request."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    DDIMScheduler,
    QwenImageEditPlusPipeline,
)
from PIL import Image, ImageChops

from haiga.core.errors import Invalid, Unsupported
from haiga.core.images import Hires, Inpaint, Progress, Variation
from haiga.engines.diffusers.noise import filled
from haiga.engines.diffusers.painter import Painter
from haiga.engines.diffusers.pixels import image_of
from tests.parity.painting.drawn import SIDE, Pipelines, asked, box_mask, difference, latents, own, painted, scene
from tests.pipelines import FAMILIES

MAIN = ["sd15", "sdxl", "sd3", "flux", "z-image"]
SIZE = {"width": SIDE, "height": SIDE}


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_size_that_is_not_said_is_the_model_s_own(family: str, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    assert own(pipeline).size == painted(pipeline, width=None, height=None).size


@pytest.mark.parametrize("family", FAMILIES)
def test_the_latents_of_a_plain_run_are_those_of_the_pipeline_itself(family: str, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    with latents(pipeline) as theirs:
        expected = own(pipeline, **SIZE)
    with latents(pipeline) as ours:
        actual = painted(pipeline)
    assert torch.equal(theirs[0], ours[0])
    assert 0 == difference(expected, actual)


def test_guidance_is_what_the_pipeline_calls_so(pipelines: Pipelines) -> None:
    flux, qwen = pipelines("flux"), pipelines("qwen-image")
    assert 0 == difference(own(flux, guidance_scale=2.0, **SIZE), painted(flux, guidance=2.0))
    for said, negative in ((" ", ""), ("a dog", "a dog")):
        expected = own(qwen, true_cfg_scale=3.0, negative_prompt=said, **SIZE)
        assert 0 == difference(expected, painted(qwen, guidance=3.0, negative=negative))


@pytest.mark.parametrize("family", [*MAIN, "qwen-image"])
def test_a_picture_made_from_another_is_that_of_the_pipeline_itself(family: str, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    theirs = AutoPipelineForImage2Image.from_pipe(pipeline)
    expected = own(theirs, image=image_of(scene()), strength=0.7, **({} if family in ("sd15", "sdxl") else SIZE))
    assert 0 == difference(expected, painted(pipeline, source=scene(), strength=0.7))


def test_a_picture_made_from_several_is_that_of_the_pipeline_itself(pipelines: Pipelines) -> None:
    pipeline = pipelines("flux2")
    expected = own(pipeline, image=[image_of(scene()), image_of(scene(96))], **SIZE)
    assert 0 == difference(expected, painted(pipeline, source=scene(), beside=(scene(96),)))
    assert 0 < difference(expected, painted(pipeline, source=scene()))
    with pytest.raises(Unsupported, match="one picture"):
        painted(pipelines("sd15"), source=scene(), beside=(scene(),))


def test_a_model_that_makes_pictures_from_others_alone_says_so(pipelines: Pipelines) -> None:
    parts = {**pipelines("qwen-image").components, "processor": None}
    with pytest.raises(Invalid, match="from others alone"):
        painted(QwenImageEditPlusPipeline(**parts))


@pytest.mark.parametrize("family", MAIN)
def test_under_a_mask_is_what_the_pipeline_itself_makes_and_outside_what_was(family: str, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    mask = image_of(box_mask()).convert("L")
    theirs = AutoPipelineForInpainting.from_pipe(pipeline)
    made = own(theirs, image=image_of(scene()), mask_image=mask, strength=0.7, **SIZE)
    actual = painted(pipeline, source=scene(), strength=0.7, inpaint=Inpaint(box_mask(), blur=0))
    assert 0 == difference(Image.composite(made, image_of(scene()), mask), actual)


def test_an_inverted_mask_keeps_what_it_shows(pipelines: Pipelines) -> None:
    actual = painted(pipelines("sd15"), source=scene(), inpaint=Inpaint(box_mask(), blur=0, inverted=True))
    box = (SIDE // 4, SIDE // 4, SIDE // 2, SIDE // 2)
    assert 0 == difference(image_of(scene()).crop(box), actual.crop(box))
    assert 0 < difference(image_of(scene()), actual)


def test_only_what_is_masked_is_worked_on_enlarged_in_a_picture_of_any_size(pipelines: Pipelines) -> None:
    source, mask = scene(100), box_mask(100)
    actual = painted(pipelines("sd15"), source=source, inpaint=Inpaint(mask, blur=0, padding=5))
    changed = ImageChops.difference(image_of(source), actual).getbbox()
    assert (100, 100) == actual.size
    assert changed is not None and (25, 25, 50, 50) == changed
    box = (20, 20, 55, 55)
    cut = image_of(source).crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    theirs = AutoPipelineForInpainting.from_pipe(pipelines("sd15"))
    small = image_of(mask).convert("L").crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    made = own(theirs, image=cut, mask_image=small, strength=0.75, **SIZE)
    back = made.resize((35, 35), Image.Resampling.LANCZOS).crop((5, 5, 30, 30))
    assert 0 == difference(back, actual.crop((25, 25, 50, 50)))


def test_an_empty_mask_has_no_place_to_work_on(pipelines: Pipelines) -> None:
    empty = Inpaint(box_mask(), inverted=False, padding=3)
    black = type(empty.mask).of(bytes(SIDE * SIDE * 3), SIDE, SIDE)
    with pytest.raises(Invalid, match="nothing in it"):
        painted(pipelines("sd15"), source=scene(), inpaint=Inpaint(black, padding=3))


def test_under_a_mask_noise_is_added_to_noise_or_to_nothing_but_once() -> None:
    scheduler = DDIMScheduler()
    latent, none, at = torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 8, 8), torch.tensor([0])
    mask = image_of(box_mask()).convert("L")
    with filled(scheduler, "nothing", mask, [1]):
        begun = scheduler.add_noise(latent, none, at)
        later = scheduler.add_noise(latent, none, at)
    assert 0 == begun[..., 2:4, 2:4].abs().max() < begun[..., :2, :].min()
    assert torch.equal(later, scheduler.add_noise(latent, none, at))


def test_no_variation_is_the_seed_and_a_whole_one_the_other_seed(pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    assert 0 == difference(painted(pipeline), painted(pipeline, variation=Variation(7, 0.0)))
    with latents(pipeline) as seen:
        for variation, seed in ((Variation(7, 1.0), 1), (None, 7), (Variation(7, 0.3), 1), (None, 1)):
            painted(pipeline, seed, variation=variation)
    assert torch.allclose(seen[1], seen[0], atol=1e-4)
    assert (seen[2] - seen[3]).norm() < (seen[2] - seen[1]).norm()


def test_pictures_made_together_are_those_made_alone(pipelines: Pipelines) -> None:
    for family, extra in (("sd15", {}), ("flux", {}), ("sd15", {"prompt_and": True})):
        request = asked(count=3)
        if extra:
            request = type(request)("tiny", "a cat AND a (dog:1.3)", width=SIDE, height=SIDE, steps=3, count=3)
        alone = _latents(pipelines(family), request)
        together = _latents(pipelines(family), type(request)(**{**_fields(request), "together": 2}))
        assert torch.allclose(alone, together, atol=1e-4)


def test_each_picture_has_its_seed(pipelines: Pipelines) -> None:
    painter = Painter(pipelines("sd15"), "tiny")
    first, second = painter.paint(asked(count=2, together=2), 5)
    assert (5, 6) == (first.seed, second.seed)
    assert "1" == second.parameters["Batch pos"]
    varied = list(painter.paint(asked(count=2, variation=Variation(9, 0.2)), 5))
    assert [("5", "9"), ("5", "10")] == [(p.parameters["Seed"], p.parameters["Variation seed"]) for p in varied]


def test_clip_skip_leaves_the_last_layers_out(pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")  # whose own clip_skip looks for a module that transformers 5 has no more
    said, against = _skipped(pipeline, "a cat"), _skipped(pipeline, "")
    made = own(pipeline, prompt=None, prompt_embeds=said, negative_prompt_embeds=against, **SIZE)
    assert 0 == difference(made, painted(pipeline, clip_skip=1))


def test_eta_is_the_pipelines_own_and_refused_by_samplers_without(pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    assert 0 == difference(own(pipeline, eta=0.8, **SIZE), painted(pipeline, eta=0.8))
    with pytest.raises(Invalid, match="no eta"):
        painted(pipeline, eta=0.8, sampler="Euler")


def test_a_tiling_picture_has_no_place_where_it_begins(pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    by = 16  # latents, a multiple of what the denoiser halves

    def moved(tiling: bool) -> torch.Tensor:
        own_draw = pipeline.prepare_latents.__globals__["randn_tensor"]
        with latents(pipeline) as seen:
            painted(pipeline, tiling=tiling)
            pipeline.prepare_latents.__globals__["randn_tensor"] = lambda *a, **k: own_draw(*a, **k).roll(by, -1)
            try:
                painted(pipeline, tiling=tiling)
            finally:
                pipeline.prepare_latents.__globals__["randn_tensor"] = own_draw
        return (seen[0].roll(by, -1) - seen[1]).abs().max()

    assert moved(True) < 1e-3 < moved(False)
    assert 0 == difference(own(pipeline, **SIZE), painted(pipeline))
    with pytest.raises(Unsupported, match="convolutions"):
        painted(pipelines("flux"), tiling=True)


@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux"])
def test_a_second_pass_is_a_picture_made_from_the_first_enlarged(family: str, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    large = own(pipeline, **SIZE).resize((96, 96), Image.Resampling.BICUBIC)
    sized = {} if family != "flux" else {"width": 96, "height": 96}
    theirs = own(AutoPipelineForImage2Image.from_pipe(pipeline), image=large, strength=0.7, **sized)
    hires = Hires(1.5, 0.7, upscaler="Bicubic")
    assert 0 == difference(theirs, painted(pipeline, hires=hires))


def test_a_second_pass_has_prompts_of_its_own(pipelines: Pipelines) -> None:
    pipeline = pipelines("sd15")
    large = own(pipeline, **SIZE).resize((96, 96), Image.Resampling.BICUBIC)
    said = {"prompt": "a dog", "negative_prompt": "text"}
    theirs = own(AutoPipelineForImage2Image.from_pipe(pipeline), image=large, strength=0.7, **said)
    hires = Hires(1.5, 0.7, upscaler="Bicubic", prompt="a dog", negative="text")
    assert 0 == difference(theirs, painted(pipeline, hires=hires))
    with pytest.raises(Invalid, match="both passes"):
        painted(pipeline, hires=Hires(prompt="a dog <lora:other:1>"))


@pytest.mark.parametrize(
    ("skipped_at", "changes", "left"),
    [
        (4, {}, [1, 3]),
        (1, {"together": 2}, [3]),
        (2, {"hires": Hires(1.5, 0.7)}, [2, 3]),
        (4, {"hires": Hires(1.5, 0.7)}, [2, 3]),
        (1, {"hires": Hires(1.5, 0.7), "together": 2}, [3]),
    ],
)
def test_a_skipped_picture_is_left_out_and_the_others_are_as_they_would_be(
    skipped_at: int, changes: dict[str, Any], left: list[int], pipelines: Pipelines
) -> None:
    painter, told = Painter(pipelines("sd15"), "tiny"), list[Progress]()
    request = asked(count=3, **changes)
    whole = {each.seed: each.picture.digest for each in painter.paint(request, 1)}
    said = iter([False] * skipped_at + [True])
    made = {
        each.seed: each.picture.digest
        for each in painter.paint(request, 1, told.append, skipped=lambda: next(said, False))
    }
    assert {seed: whole[seed] for seed in left} == made
    assert told[-1].steps == told[-1].step
    assert sorted(each.step for each in told) == [each.step for each in told]


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_a_second_pass_can_begin_from_latents(family: str, pipelines: Pipelines) -> None:
    pipeline = pipelines(family)
    told: list[Progress] = []
    request = asked(hires=Hires(2, 0.7, steps=4, upscaler="Latent"), count=2)
    pictures = list(Painter(pipeline, "tiny").paint(request, 1, told.append))
    assert [(2 * SIDE, 2 * SIDE)] * 2 == [(p.picture.width, p.picture.height) for p in pictures]
    assert Progress(10, 10) == told[-1]
    assert sorted(each.step for each in told) == [each.step for each in told]


def test_the_same_request_gives_the_same_bytes_after_any_other(pipelines: Pipelines) -> None:
    painter = Painter(pipelines("sdxl"), "tiny")
    before = [p.picture.digest for p in painter.paint(asked(sampler="DPM++ 2M SDE Karras"), 3)]
    list(painter.paint(asked(tiling=True, hires=Hires(1.5), variation=Variation(3, 0.5), sampler="Euler a"), 1))
    assert before == [p.picture.digest for p in painter.paint(asked(sampler="DPM++ 2M SDE Karras"), 3)]


def _skipped(pipeline: Any, text: str) -> torch.Tensor:
    encoder = pipeline.text_encoder
    tokens = pipeline.tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder(tokens, output_hidden_states=True).hidden_states[-2]
        normed: torch.Tensor = encoder.final_layer_norm(states)
    return normed


def _fields(request: object) -> dict[str, object]:
    return {name: getattr(request, name) for name in type(request).__dataclass_fields__}  # type: ignore[attr-defined]


def _latents(pipeline: object, request: object) -> torch.Tensor:
    with latents(pipeline) as seen:
        list(Painter(pipeline, "tiny").paint(request, 1))  # type: ignore[arg-type]
    found: Sequence[torch.Tensor] = seen
    return torch.cat(list(found))
