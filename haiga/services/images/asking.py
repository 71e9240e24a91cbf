"""What a job may be: its id, its priority, its times, its prompts.

Rule: whatever is wrong with a request is told before anything is kept of it.
"""

import re
from dataclasses import dataclass

import orjson

from haiga.core import errors
from haiga.core.access import Caller
from haiga.core.errors import Denied, Failed, HaigaError, Invalid
from haiga.core.flat import flat
from haiga.core.images import ImageRequest
from haiga.core.painting import HIGHEST, ImageJob
from haiga.core.palette import Palette
from haiga.core.ports import Gate
from haiga.services.images.encoding import QUALITY, Kind

MOST_PICTURES = 64  # of one job
MOST_STEPS = 500
MOST_CHARACTERS = 64 << 10  # of a prompt
ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Wish:
    """How a job is to be done. `id` of the caller's choice; `deadline`: seconds from now in which it must begin;
    `lifetime`: seconds that it is kept, at most as long as the server keeps jobs; kind, quality: of its files."""

    id: str | None = None
    priority: int = 0
    deadline: float | None = None
    lifetime: float | None = None
    kind: Kind = "png"
    quality: int = QUALITY


def check(caller: Caller, request: ImageRequest, wish: Wish, names: Palette) -> None:
    """`names`: what samplers and sigmas are called. Raises Invalid, and Denied for a priority over the others' of a key
    that is no administrator's."""
    if wish.id is not None and not ID.fullmatch(wish.id):
        raise Invalid("an id has 1 to 64 letters, digits, underscores, dots and hyphens", field="id")
    for name, value, least, most in (
        ("priority", wish.priority, -HIGHEST, HIGHEST),
        ("quality", wish.quality, 1, 100),
        ("n", request.count, 1, MOST_PICTURES),
        ("steps", request.steps or 1, 1, MOST_STEPS),
    ):
        if not least <= value <= most:
            raise Invalid(f"{name} is from {least} to {most}, not {value}", field=name)
    if wish.priority > 0 and not caller.admin:
        raise Denied("a priority above 0 takes an administrator's key", field="priority")
    for name, text in request.prompts.items():
        if len(text) > MOST_CHARACTERS:
            raise Invalid(f"{name} has more than {MOST_CHARACTERS} characters", field=name)
    if request.beside and request.source is None:
        raise Invalid("pictures beside a first one need that one", field="beside")
    if request.beside and request.inpaint is not None:
        raise Invalid("a mask is for one picture alone", field="beside")
    names.passes(request)


async def admitted(caller: Caller, gate: Gate | None, request: ImageRequest) -> ImageRequest:
    """The request with its prompts as they may be used. Raises as the gate."""
    if gate is None:
        return request
    _, pictures = flat(request)
    said = request.each or (request.prompts,)
    texts = dict.fromkeys(text for prompts in said for text in prompts.values())
    admitted = dict(zip(texts, await gate.admit(caller, request.model, list(texts), pictures), strict=True))
    return request.saying_each([{path: admitted[text] for path, text in prompts.items()} for prompts in said])


def is_again(there: ImageJob, job: ImageJob) -> bool:
    """Whether two jobs of one id ask for the same."""
    one, other = orjson.loads(there.asked), orjson.loads(job.asked)
    return (one, there.inputs, there.priority) == (other, job.inputs, job.priority)


def seed_of(job: ImageJob) -> int:
    """The seed that a job has, its own or one drawn."""
    return int(orjson.loads(job.asked)["request"]["seed"])


def pictures_of(job: ImageJob) -> int:
    """How many pictures a job is to make."""
    return int(orjson.loads(job.asked)["request"]["count"])


def error_of(job: ImageJob) -> HaigaError:
    """What a job came to, as an error for who waits for it."""
    if job.reason is None:
        return Failed("the job failed")
    kind = getattr(errors, job.reason.name.capitalize(), Failed)
    named = job.reason.name in ("invalid", "unsupported", "dead", "cancelled")
    return (kind if named else Failed)(job.reason.message, field=job.reason.field)
