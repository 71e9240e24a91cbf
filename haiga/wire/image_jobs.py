"""Jobs for pictures as the server's own API, /v1/jobs, reads and writes them.

Rule: unknown fields are refused here, since nobody but us defines them; pictures come as base64, a data URL or a URL.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from haiga.core.errors import HaigaError, Invalid
from haiga.core.images import Control, Fill, Hires, ImageRequest, Inpaint, Reference, Variation
from haiga.core.painting import HIGHEST, ImageJob, JobState, Seen
from haiga.core.pictures import Picture
from haiga.wire.body import read_object
from haiga.wire.openai_body import read_shape
from haiga.wire.openai_errors import envelope
from haiga.wire.sse import comment, frame

SOON = 10 * 366 * 24 * 3600.0  # seconds; no time in a request is longer


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class InpaintBody(_Strict):
    mask: str
    blur: int = Field(default=4, ge=0, le=64)
    inverted: bool = False
    padding: int | None = Field(default=None, ge=0, le=1024)
    fill: Fill = "original"


class HiresBody(_Strict):
    scale: float = Field(default=2.0, ge=1, le=8)
    width: int | None = Field(default=None, ge=8, le=8192)
    height: int | None = Field(default=None, ge=8, le=8192)
    strength: float = Field(default=0.7, ge=0, le=1)
    steps: int | None = Field(default=None, ge=1, le=500)
    upscaler: str = "Lanczos"
    sampler: str | None = None
    scheduler: str | None = None
    prompt: str | None = Field(default=None, max_length=64 << 10)
    negative_prompt: str | None = Field(default=None, max_length=64 << 10)


class VariationBody(_Strict):
    seed: int = Field(ge=0, lt=1 << 63)
    strength: float = Field(ge=0, le=1)


class ControlBody(_Strict):
    model: str
    image: str | None = None
    preprocessor: str = "none"
    weight: float = Field(default=1.0, ge=-10, le=10)
    begin: float = Field(default=0.0, ge=0, le=1)
    end: float = Field(default=1.0, ge=0, le=1)
    mode: Literal["balanced", "prompt", "control"] = "balanced"


class ReferenceBody(_Strict):
    model: str
    image: str
    weight: float = Field(default=1.0, ge=-10, le=10)


class JobBody(_Strict):
    """The body of POST /v1/jobs."""

    prompt: str = Field(max_length=64 << 10)
    model: str | None = None
    id: str | None = None
    negative_prompt: str = Field(default="", max_length=64 << 10)
    styles: list[str] = Field(default=[], max_length=32)
    width: int | None = Field(default=None, ge=8, le=8192)
    height: int | None = Field(default=None, ge=8, le=8192)
    steps: int | None = Field(default=None, ge=1, le=500)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    seed: int | None = Field(default=None, ge=0, lt=1 << 63)
    n: int = Field(default=1, ge=1, le=64)
    together: int = Field(default=1, ge=1, le=16)
    sampler: str | None = None
    scheduler: str | None = None
    eta: float | None = Field(default=None, ge=0, le=1)
    clip_skip: int = Field(default=0, ge=0, le=12)
    image: str | None = None
    more_images: list[str] = Field(default=[], max_length=15)
    strength: float = Field(default=0.75, ge=0, le=1)
    inpaint: InpaintBody | None = None
    hires: HiresBody | None = None
    variation: VariationBody | None = None
    controls: list[ControlBody] = Field(default=[], max_length=4)
    references: list[ReferenceBody] = Field(default=[], max_length=4)
    vae: str | None = None
    tiling: bool = False
    previews: bool = False
    output_format: Literal["png", "jpeg", "webp"] = "png"
    output_compression: int = Field(default=90, ge=1, le=100)
    priority: int = Field(default=0, ge=-HIGHEST, le=HIGHEST)
    deadline: float | None = Field(default=None, gt=0, le=SOON)
    lifetime: float | None = Field(default=None, gt=0, le=SOON)

    def pictures(self) -> dict[str, str]:
        """The pictures that it brings, by the paths of their fields."""
        inpaint = {"inpaint.mask": self.inpaint.mask} if self.inpaint else {}
        controls = {f"controls[{i}].image": each.image for i, each in enumerate(self.controls) if each.image}
        references = {f"references[{i}].image": each.image for i, each in enumerate(self.references)}
        more = {f"more_images[{i}]": each for i, each in enumerate(self.more_images)}
        return {**({"image": self.image} if self.image else {}), **more, **inpaint, **controls, **references}


class JobProgress(BaseModel):
    step: int
    steps: int
    fraction: float


class JobError(BaseModel):
    code: str
    message: str
    param: str | None


class JobPicture(BaseModel):
    """`parameters` are in infotext's names; `Memory` among them says how the model was run, `memory_reason` why."""

    index: int
    url: str
    media_type: str
    width: int
    height: int
    size: int
    seed: int
    parameters: dict[str, str]
    memory_reason: str


class JobAnswer(BaseModel):
    """A job. Times are unix seconds, `eta` is seconds."""

    id: str
    object: Literal["job"]
    model: str
    status: JobState
    position: int | None
    progress: JobProgress | None
    eta: float | None
    priority: int
    created_at: int
    deadline: float | None
    began_at: float | None
    ended_at: float | None
    expires_at: int
    error: JobError | None
    pictures: list[JobPicture]
    request: dict[str, Any]


class JobsAnswer(BaseModel):
    object: Literal["list"]
    data: list[JobAnswer]
    has_more: bool


class JobDeletedAnswer(BaseModel):
    id: str
    object: Literal["job"]
    deleted: Literal[True]


@dataclass(frozen=True, slots=True)
class Watched:
    """A job as whoever watches it is told; `preview`: how it looks so far, as a file of a media type."""

    seen: Seen
    preview: bytes | None = None
    media_type: str = "image/jpeg"


def read_job(body: bytes) -> JobBody:
    """Raises Invalid."""
    return read_shape(JobBody, read_object(body))


def request_of(body: JobBody, default: str, pictures: dict[str, Picture]) -> ImageRequest:
    """What a body asks, with its `pictures` by the paths of their fields; `default` is the model where none is
    named."""
    told = body.inpaint
    return ImageRequest(
        body.model or default,
        body.prompt,
        body.negative_prompt,
        body.width,
        body.height,
        body.steps,
        body.guidance_scale,
        body.seed,
        body.n,
        body.together,
        body.sampler,
        body.scheduler,
        body.clip_skip,
        pictures.get("image"),
        body.strength,
        Inpaint(pictures["inpaint.mask"], told.blur, told.inverted, told.padding, told.fill) if told else None,
        _hires(body.hires) if body.hires else None,
        body.tiling,
        Variation(**body.variation.model_dump()) if body.variation else None,
        body.eta,
        body.vae,
        tuple(
            Control(picture=pictures.get(f"controls[{i}].image"), **each.model_dump(exclude={"image"}))
            for i, each in enumerate(body.controls)
        ),
        tuple(
            Reference(each.model, pictures[f"references[{i}].image"], each.weight)
            for i, each in enumerate(body.references)
        ),
        body.previews,
        tuple(pictures[f"more_images[{i}]"] for i in range(len(body.more_images))),
    )


def _hires(body: HiresBody) -> Hires:
    told = body.model_dump(exclude={"scheduler", "negative_prompt"})
    return Hires(schedule=body.scheduler, negative=body.negative_prompt, **told)


def write_job(seen: Seen) -> bytes:
    return orjson.dumps(job_body(seen))


def write_jobs(jobs: Sequence[Seen], more: bool) -> bytes:
    return orjson.dumps({"object": "list", "data": [job_body(each) for each in jobs], "has_more": more})


def write_job_deleted(id: str) -> bytes:
    return orjson.dumps({"id": id, "object": "job", "deleted": True})


def job_body(seen: Seen) -> dict[str, Any]:
    """A job as JSON; see JobAnswer."""
    job, progress, reason = seen.job, seen.progress, seen.job.reason
    return {
        "id": job.id,
        "object": "job",
        "model": job.model,
        "status": job.state,
        "position": seen.position,
        "progress": progress
        and {"step": progress.step, "steps": progress.steps, "fraction": round(progress.step / progress.steps, 4)},
        "eta": None if seen.eta is None else round(seen.eta, 2),
        "priority": job.priority,
        "created_at": job.created_at,
        "deadline": job.deadline,
        "began_at": job.began_at,
        "ended_at": job.ended_at,
        "expires_at": job.expires_at,
        "error": reason and {"code": reason.name, "message": reason.message, "param": reason.field},
        "pictures": _pictures(job),
        "request": _asked(job),
    }


class JobStream:
    """A job's events as a stream: named `job`, the last one has its last state."""

    def write(self, item: "Watched | object") -> bytes:
        return frame(event_body(item)) if isinstance(item, Watched) else b""

    def idle(self) -> bytes:
        return comment("keepalive")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        return frame(error_body(error))


def event_body(watched: Watched) -> dict[str, Any]:
    """An event of a stream or a WebSocket."""
    shown = watched.preview and f"data:{watched.media_type};base64,{b64encode(watched.preview).decode()}"
    return {"type": "job", "job": job_body(watched.seen), "preview": shown}


def error_body(error: HaigaError) -> dict[str, Any]:
    return {"type": "error", **envelope(error)}


def event_text(watched: Watched) -> str:
    return orjson.dumps(event_body(watched)).decode()


def error_text(error: HaigaError) -> str:
    return orjson.dumps(error_body(error)).decode()


def read_order(text: str) -> Literal["cancel", "skip"]:
    """What a watcher says is to be done with the job. Raises Invalid for anything that it cannot say."""
    match read_object(text.encode(errors="replace")).get("type"):
        case "cancel":
            return "cancel"
        case "skip":
            return "skip"
    raise Invalid('expected {"type": "cancel"} or {"type": "skip"}', field="type")


def _pictures(job: ImageJob) -> list[dict[str, Any]]:
    return [
        {
            "index": at,
            "url": f"/v1/jobs/{job.id}/pictures/{at}",
            "media_type": each.media_type,
            "width": each.width,
            "height": each.height,
            "size": each.size,
            "seed": each.seed,
            "parameters": dict(each.parameters),
            "memory_reason": each.reason,
        }
        for at, each in enumerate(job.results)
    ]


def _asked(job: ImageJob) -> dict[str, Any]:
    """What was asked, a picture as its place among those that came with it."""
    told = orjson.loads(job.asked)["request"]
    return {name: value for name, value in told.items() if value not in (None, [], "") and name != "model"}
