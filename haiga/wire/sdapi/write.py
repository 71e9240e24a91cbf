"""Core values to the answers of /sdapi/v1.

Rule: `info` has every field of A1111's, so that its clients find them; what there is not here has the value that it has
there when it is switched off.
"""

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from haiga.core.images import Progress
from haiga.wire.sdapi.read import Asked

STAMP = "%Y%m%d%H%M%S"
NO_TASK: Mapping[str, Any] = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}


@dataclass(frozen=True, slots=True)
class Made:
    """A picture's file, its seed, its infotext and the parameters in that."""

    file: bytes
    seed: int
    text: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """A job that waits or runs: `done` of all, 0 to 1; `eta` in seconds as far as one can tell; `preview`: a file."""

    id: str
    running: bool
    done: float
    progress: Progress | None
    pictures: int
    created_at: float
    eta: float | None = None
    preview: bytes | None = None


def write_pictures(asked: Asked, made: Sequence[Made], id: str) -> bytes:
    """The answer of txt2img and img2img: `images`, `parameters`, and `info`, JSON in a text."""
    images = [b64encode(each.file).decode() for each in made] if asked.send_images else []
    info = orjson.dumps(_info(asked, made, id)).decode()
    return orjson.dumps({"images": images, "parameters": asked.echo or {}, "info": info})


def _info(asked: Asked, made: Sequence[Made], id: str) -> dict[str, Any]:
    request, variation = asked.request, asked.request.variation
    first = made[0].parameters if made else {}
    width, _, height = first.get("Size", "0x0").partition("x")
    subseeds = [int(each.parameters.get("Variation seed", -1)) for each in made]
    return {
        "prompt": first.get("Prompt", "") if made else request.prompt,
        "all_prompts": [each.parameters.get("Prompt", "") for each in made],
        "negative_prompt": first.get("Negative prompt", "") if made else request.negative,
        "all_negative_prompts": [each.parameters.get("Negative prompt", "") for each in made],
        "seed": made[0].seed if made else request.seed,
        "all_seeds": [each.seed for each in made],
        "subseed": subseeds[0] if subseeds else -1,
        "all_subseeds": subseeds,
        "subseed_strength": variation.strength if variation else 0,
        "width": int(width),
        "height": int(height),
        "sampler_name": first.get("Sampler", request.sampler),
        "cfg_scale": request.guidance,
        "steps": request.steps,
        "batch_size": request.together,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": request.model,
        "sd_model_hash": None,
        "sd_vae_name": request.vae,
        "sd_vae_hash": None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": float(first["Denoising strength"]) if "Denoising strength" in first else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": [each.text for each in made],
        "styles": list(asked.styles),
        "job_timestamp": time.strftime(STAMP, time.gmtime()),
        "clip_skip": request.clip_skip + 1,
        "is_using_inpainting_conditioning": False,
        "version": "haiga",
        "job_id": id,
    }


def write_progress(task: Task | None) -> bytes:
    """The answer of GET /sdapi/v1/progress for the caller's job, if there is one. `id` is SD.Next's."""
    if task is None:
        return _progress(None, 0.0, 0.0, NO_TASK, None)
    step = task.progress or Progress(0, 0)
    steps = step.steps // task.pictures if task.pictures else 0
    state = {
        **NO_TASK,
        "job": task.id,
        "job_count": task.pictures,
        "job_timestamp": time.strftime(STAMP, time.gmtime(task.created_at)),
        "job_no": min(task.pictures - 1, step.step // steps) if steps else 0,
        "sampling_step": step.step % steps if steps else 0,
        "sampling_steps": steps,
    }
    return _progress(task.id, task.done, task.eta, state, task.preview)


def _progress(id: str | None, done: float, eta: float | None, state: Mapping[str, Any], preview: bytes | None) -> bytes:
    image = b64encode(preview).decode() if preview else None
    told = {"progress": done, "eta_relative": eta or 0.0, "state": state, "current_image": image, "textinfo": None}
    return orjson.dumps({"id": id, **told})


def write_task(task: Task | None, known: bool) -> bytes:
    """The answer of POST /internal/progress; `known`: whether there was a job of this id, which may be over."""
    preview = f"data:image/png;base64,{b64encode(task.preview).decode()}" if task and task.preview else None
    return orjson.dumps(
        {
            "active": bool(task and task.running),
            "queued": bool(task and not task.running),
            "completed": known and task is None,
            "progress": task.done if task else None,
            "eta": task.eta if task else None,
            "live_preview": preview,
            "id_live_preview": task.progress.step if task and task.progress else -1,
            "textinfo": "In queue..." if task and not task.running else None,
        }
    )


def write_texts(text: str, parameters: Mapping[str, str], others: Mapping[str, str]) -> bytes:
    """The answer of POST /sdapi/v1/png-info."""
    items = {**({"parameters": text} if text else {}), **others}
    return orjson.dumps({"info": text, "items": items, "parameters": parameters})


def write_enlarged(files: Sequence[bytes], several: bool) -> bytes:
    """The answer of the two routes that enlarge pictures."""
    images = [b64encode(file).decode() for file in files]
    return orjson.dumps({"html_info": "", **({"images": images} if several else {"image": images[0]})})
