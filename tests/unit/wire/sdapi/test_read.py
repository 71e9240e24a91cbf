"""What A1111's clients ask, as core values."""

from typing import Any

import pytest

from haiga.core.errors import Invalid, NotFound, Unsupported
from haiga.core.images import Hires, Variation
from haiga.wire.sdapi.options import Options, with_options, write_options
from haiga.wire.sdapi.preset import with_parameters
from haiga.wire.sdapi.read import Asked, Masked, job_id, read_img2img, read_txt2img

OPTIONS = Options(model="tiny")


def txt2img(**asked: Any) -> Asked:
    return read_txt2img(asked, OPTIONS, lambda: 77)


def img2img(**asked: Any) -> Asked:
    return read_img2img({"init_images": ["AAAA"], **asked}, OPTIONS, lambda: 77)


def test_what_is_not_said_is_left_to_the_model_and_seeds_are_drawn() -> None:
    request = txt2img(prompt="a fox", seed=-1, sampler_name=None, scheduler="Automatic", styles=[""]).request
    assert ("tiny", "a fox", 77, None, None, None) == (
        request.model,
        request.prompt,
        request.seed,
        request.sampler,
        request.schedule,
        request.width,
    )


def test_batches_and_rounds_are_pictures_and_those_made_together() -> None:
    assert (6, 2) == ((request := txt2img(batch_size=2, n_iter=3).request).count, request.together)


def test_the_older_field_names_the_sampler_where_the_newer_does_not() -> None:
    assert "Euler a" == txt2img(sampler_index="Euler a").request.sampler
    assert "DDIM" == txt2img(sampler_index="Euler a", sampler_name="DDIM").request.sampler


def test_a_variation_has_a_seed_of_its_own() -> None:
    assert Variation(77, 0.5) == txt2img(seed=1, subseed=-1, subseed_strength=0.5).request.variation
    assert None is txt2img(seed=1, subseed=3, subseed_strength=0).request.variation


def test_a_second_pass_is_read_with_its_own_sampler_and_schedule() -> None:
    asked = txt2img(
        enable_hr=True,
        hr_scale=1.5,
        hr_upscaler="None",
        hr_second_pass_steps=0,
        hr_resize_x=96,
        denoising_strength=0.4,
        hr_sampler_name="DPM++ 2M",
        hr_scheduler="Karras",
        hr_prompt="a dog",
        hr_negative_prompt="text",
    )
    expected = Hires(
        1.5, 0.4, None, "Lanczos", width=96, sampler="DPM++ 2M", schedule="Karras", prompt="a dog", negative="text"
    )
    assert expected == asked.request.hires
    assert None is txt2img(hr_scale=2).request.hires


def test_a_mask_is_read_with_all_that_says_how_it_is_meant() -> None:
    asked = img2img(
        mask="MASK",
        mask_blur=3,
        inpainting_fill=2,
        inpaint_full_res=1,
        inpaint_full_res_padding=8,
        inpainting_mask_invert=1,
        denoising_strength=0.6,
        resize_mode=1,
    )
    assert Masked("MASK", 3, True, 8, "noise") == asked.masked
    assert (0.6, 1, "AAAA") == (asked.request.strength, asked.resize, asked.source)
    assert None is (img2img(mask="MASK", inpaint_full_res=False).masked or Masked("", 0, True, 1, "fill")).padding


def test_the_answer_repeats_no_pictures_unless_they_are_wanted() -> None:
    assert (None, None) == ((echo := img2img(mask="M").echo or {})["init_images"], echo["mask"])
    assert ["AAAA"] == (img2img(include_init_images=True).echo or {})["init_images"]


def test_options_for_one_request_name_the_model_its_decoder_and_the_file() -> None:
    override = {
        "sd_model_checkpoint": "other.safetensors [6ce0161689]",
        "sd_vae": "bright",
        "CLIP_stop_at_last_layers": 2,
        "samples_format": "jpg",
        "something_else": [1],
    }
    asked = txt2img(override_settings=override)
    assert ("other", "bright", 1) == (asked.request.model, asked.request.vae, asked.request.clip_skip)
    assert "jpeg" == asked.options.format
    assert Options(model="tiny") == OPTIONS


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLIP_stop_at_last_layers", 99), ("samples_format", "bmp"), ("jpeg_quality", "much"), ("sd_vae", 3)],
)
def test_an_option_that_cannot_be_is_refused_by_its_path(name: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        txt2img(override_settings={name: value})
    assert f"override_settings.{name}" == caught.value.field


def test_options_are_told_as_they_are_set() -> None:
    told: dict[str, Any] = {
        "sd_vae": "bright",
        "CLIP_stop_at_last_layers": 2,
        "samples_format": "webp",
        "jpeg_quality": 70,
    }
    told["live_previews_enable"] = False
    assert told.items() <= write_options(with_options(OPTIONS, told)).items()


@pytest.mark.parametrize(
    "asked",
    [
        {"restore_faces": True},
        {"refiner_checkpoint": "xl-refiner"},
        {"seed_resize_from_h": 512},
        {"s_churn": 1},
        {"script_name": "X/Y/Z plot"},
        {"alwayson_scripts": {"ADetailer": {"args": [True, {}]}}},
        {"enable_hr": True, "hr_checkpoint_name": "another"},
    ],
)
def test_what_is_not_done_is_refused_by_its_name(asked: dict[str, Any]) -> None:
    with pytest.raises(Unsupported) as caught:
        txt2img(**asked)
    assert caught.value.field in asked


def test_scripts_that_are_switched_off_may_be_there() -> None:
    off = {"ADetailer": {"args": [False]}, "roop": {"args": []}, "ControlNet": {"args": []}}
    assert () == txt2img(alwayson_scripts=off).units


def test_units_of_controlnet_are_read_in_the_forms_that_clients_send() -> None:
    units = [
        {"input_image": "P", "module": "Canny", "model": "edges [d14c016b]", "weight": 0.5, "guidance_end": 0.8},
        {"image": {"image": "Q", "mask": None}, "model": "depth", "control_mode": ["My prompt is more important"]},
        {"enabled": False, "model": "off"},
        {"module": "none", "model": "None"},
        {"image": "R", "module": "ip-adapter_clip_sd15", "model": "faces", "control_mode": 2},
    ]
    first, second, third = txt2img(alwayson_scripts={"controlnet": {"args": units}}).units
    assert ("edges", "P", "canny", 0.5, 0.8) == (
        first.model,
        first.picture,
        first.preprocessor,
        first.weight,
        first.end,
    )
    assert ("Q", "prompt", False) == (second.picture, second.mode, second.adapter)
    assert ("R", "control", True) == (third.picture, third.mode, third.adapter)


def test_a_unit_that_is_wrong_is_refused_by_its_path() -> None:
    with pytest.raises(Invalid) as caught:
        txt2img(alwayson_scripts={"ControlNet": {"args": [{"model": "edges", "weight": "heavy"}]}})
    assert "alwayson_scripts.ControlNet.args.0.weight" == caught.value.field


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("batch_size", 17), ("width", 9000), ("cfg_scale", -1), ("denoising_strength", 2), ("seed", 2**60)],
)
def test_numbers_out_of_bounds_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(Invalid) as caught:
        txt2img(**{field: value})
    assert field == caught.value.field


def test_a_picture_to_begin_from_is_needed_and_there_is_one() -> None:
    for wrong in (None, [], ["a", "b"]):
        with pytest.raises(Invalid) as caught:
            img2img(init_images=wrong)
        assert "init_images" == caught.value.field


def test_without_a_model_there_is_none() -> None:
    with pytest.raises(NotFound):
        read_txt2img({}, Options(), lambda: 1)


def test_a_client_s_own_id_becomes_one_that_can_stand_in_a_url() -> None:
    assert ("task-abc-1-", None) == (job_id("task(abc/1)"), job_id(""))


def test_what_a_request_says_goes_before_its_infotext() -> None:
    told = with_parameters({"steps": 5, "seed": None}, {"Prompt": "a fox", "Steps": "20", "Seed": "3", "Size-1": "64"})
    assert {"prompt": "a fox", "steps": 5, "seed": "3", "width": "64"} == told
    assert (5, 3) == ((request := read_txt2img(told, OPTIONS, lambda: 1).request).steps, request.seed)
