"""The bodies of /sdapi/v1, as A1111 and SD.Next document them.

Rule: lenient as they are: null is the same as nothing said, numbers may be strings, what is not known is left alone.
What is known and would change the picture, but is not done here, is refused by its name (read.py).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

LARGEST_SIDE = 8192
LONGEST_PROMPT = 32_768  # characters


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Prompt = Annotated[str, Field(max_length=LONGEST_PROMPT)]
Name = Annotated[str, Field(max_length=256)]
Side = Annotated[int, Field(ge=0, le=LARGEST_SIDE)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=-(2**53), le=2**53)]


class Body(BaseModel):
    """Base of the shapes."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else value


class GenerationBody(Body):
    """What txt2img and img2img have in common. `sd_model`, `sd_model_checkpoint` and `clip_skip` are SD.Next's."""

    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    styles: Annotated[list[Name], BeforeValidator(_as_list), Field(max_length=32)] = []
    seed: Seed = -1
    subseed: Seed = -1
    subseed_strength: Share = 0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: Name = ""
    sampler_index: Name = ""
    scheduler: Name = ""
    batch_size: int = Field(default=1, ge=1, le=16)
    n_iter: int = Field(default=1, ge=1, le=64)
    steps: int = Field(default=20, ge=1, le=1000)
    cfg_scale: float | None = Field(default=None, ge=0, le=100)
    width: Side = 0
    height: Side = 0
    restore_faces: bool = False
    tiling: bool = False
    eta: float | None = Field(default=None, ge=0, le=10)
    s_churn: float = 0
    s_noise: float = 1
    clip_skip: float = 0
    sd_model_checkpoint: Name = ""
    sd_model: Name = ""
    refiner_checkpoint: Name = ""
    override_settings: dict[str, Any] = {}
    script_name: Name = ""
    alwayson_scripts: dict[str, Any] = Field(default={}, max_length=64)
    send_images: bool = True
    force_task_id: Name = ""
    infotext: str = Field(default="", max_length=100_000)


class TextToImageBody(GenerationBody):
    """The body of POST /sdapi/v1/txt2img."""

    enable_hr: bool = False
    denoising_strength: Share = 0.75
    hr_scale: float = Field(default=2.0, ge=1, le=8)
    hr_upscaler: Name = ""
    hr_second_pass_steps: int = Field(default=0, ge=0, le=1000)
    hr_resize_x: Side = 0
    hr_resize_y: Side = 0
    hr_checkpoint_name: Name = ""
    hr_sampler_name: Name = ""
    hr_scheduler: Name = ""
    hr_prompt: Prompt = ""
    hr_negative_prompt: Prompt = ""


class ImageToImageBody(GenerationBody):
    """The body of POST /sdapi/v1/img2img. A picture is base64, a data URL, or a URL."""

    init_images: list[str] = Field(min_length=1, max_length=1)
    denoising_strength: Share = 0.75
    resize_mode: int = Field(default=0, ge=0, le=3)
    mask: str = ""
    latent_mask: str = ""
    mask_blur: int = Field(default=4, ge=0, le=256)
    mask_blur_x: int | None = Field(default=None, ge=0, le=256)
    inpainting_fill: int = Field(default=1, ge=0, le=3)
    inpaint_full_res: bool = False
    inpaint_full_res_padding: int = Field(default=0, ge=0, le=LARGEST_SIDE)
    inpainting_mask_invert: int = Field(default=0, ge=0, le=1)
    initial_noise_multiplier: float = 1
    include_init_images: bool = False


class ControlUnit(Body):
    """A unit of the extension sd-webui-controlnet, in `alwayson_scripts.ControlNet.args`."""

    enabled: bool = True
    image: Any = None
    input_image: Any = None
    mask: Any = None
    module: Name = "none"
    model: Name = "None"
    weight: float = Field(default=1.0, ge=0, le=10)
    guidance_start: Share = 0.0
    guidance_end: Share = 1.0
    control_mode: Any = 0


class ExtrasBody(Body):
    """What both routes that enlarge pictures have in common."""

    resize_mode: Literal[0, 1] = 0
    upscaling_resize: float = Field(default=2, gt=0, le=8)
    upscaling_resize_w: int = Field(default=512, ge=1, le=LARGEST_SIDE)
    upscaling_resize_h: int = Field(default=512, ge=1, le=LARGEST_SIDE)
    upscaling_crop: bool = True
    upscaler_1: Name = "None"
    upscaler_2: Name = "None"
    extras_upscaler_2_visibility: Share = 0
    gfpgan_visibility: Share = 0
    codeformer_visibility: Share = 0


class ExtrasSingleBody(ExtrasBody):
    """The body of POST /sdapi/v1/extra-single-image."""

    image: str


class ExtrasFile(Body):
    """One of several pictures that are to be enlarged."""

    data: str
    name: Name = ""


class ExtrasBatchBody(ExtrasBody):
    """The body of POST /sdapi/v1/extra-batch-images."""

    imageList: list[ExtrasFile] = Field(min_length=1, max_length=64)


class PngInfoBody(Body):
    """The body of POST /sdapi/v1/png-info."""

    image: str


class ProgressBody(Body):
    """The body of POST /internal/progress."""

    id_task: Name = ""
    id_live_preview: int = -1
    live_preview: bool = True


class SdapiErrorAnswer(BaseModel):
    """Every error: `detail` says it all."""

    error: str
    detail: str
    body: str
    errors: str
