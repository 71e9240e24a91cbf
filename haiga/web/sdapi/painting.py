"""/sdapi/v1/txt2img and img2img: a job of the one queue, for a client that waits.

Rule: the job is there under the client's own id from the start, so that it can be watched and ended; the answer of one
that was interrupted has the pictures that it made until then.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import HaigaError, Invalid, NotFound
from haiga.core.images import Control, ImageRequest, Inpaint, Reference
from haiga.core.painting import Seen
from haiga.core.palette import Palette
from haiga.services.images import Jobs, Wish, error_of
from haiga.services.images.resizing import Way, fitted
from haiga.services.images.styles import with_styles
from haiga.services.images.taking import Taker
from haiga.text.image_prompts import infotext, recall
from haiga.web.credentials import authenticate
from haiga.web.painting import ended
from haiga.web.sdapi.answers import answer
from haiga.web.sdapi.preferences import Preferences
from haiga.web.services import Services
from haiga.web.streaming import while_connected
from haiga.wire.body import read_object
from haiga.wire.sdapi.preset import with_parameters
from haiga.wire.sdapi.read import Asked, read_img2img, read_txt2img
from haiga.wire.sdapi.write import Made, write_pictures

WAYS: tuple[Way, ...] = ("stretch", "crop", "fill")  # A1111's resize_mode
FIELDS = {
    "id": "force_task_id",
    "n": "batch_size",
    "sampler": "sampler_name",
    "upscaler": "hr_upscaler",
    "hires.sampler": "hr_sampler_name",
    "hires.scheduler": "hr_scheduler",
    "hires.prompt": "hr_prompt",
    "hires.negative_prompt": "hr_negative_prompt",
}


class Painting:
    def __init__(self, services: Services, jobs: Jobs, taker: Taker, preferences: Preferences) -> None:
        self._services = services
        self._jobs = jobs
        self._taker = taker
        self._preferences = preferences

    async def txt2img(self, request: Request) -> Response:
        """Make pictures from a prompt."""
        return await self._paint(request, read_txt2img)

    async def img2img(self, request: Request) -> Response:
        """Make pictures from another one, or anew where a mask says."""
        return await self._paint(request, read_img2img)

    async def _paint(self, request: Request, read: Callable[..., Asked]) -> Response:
        caller = await authenticate(self._services.access, request)
        body = read_object(await request.body())
        if isinstance(text := body.get("infotext"), str):
            body = with_parameters(body, recall({"parameters": text}).parameters)
        asked = read(body, self._preferences.of(caller), _draw)
        try:
            asked = _named(asked, self._services.palette())
            seen, made = await while_connected(request, self._made(caller, asked))
        except HaigaError as error:
            error.field = FIELDS.get(error.field or "", error.field)
            raise
        response = answer(write_pictures(asked, made, seen.job.id))
        response.headers["haiga-job-id"] = seen.job.id
        return response

    async def _made(self, caller: Caller, asked: Asked) -> tuple[Seen, list[Made]]:
        wish = Wish(id=asked.id, kind=asked.options.format, quality=asked.options.quality)
        pictures = (asked.source is not None) + (asked.masked is not None) + len(asked.units)
        async with self._taker.room(pictures):
            seen = await self._jobs.submit(caller, await self._with_pictures(asked), wish)
        seen = await ended(self._jobs, caller, seen)
        if seen.job.state == "failed":
            raise error_of(seen.job)
        made = [
            Made(await self._jobs.read(each), each.seed, infotext(each.parameters), each.parameters)
            for each in seen.job.results
        ]
        return seen, made

    # --- pictures that it brings ---

    async def _with_pictures(self, asked: Asked) -> ImageRequest:
        request = asked.request
        if asked.source is not None:
            request = await self._begun(asked, request)
        for unit in asked.units:
            picture = None if unit.picture is None else await self._taker.picture(unit.picture, f"{unit.field}.image")
            if unit.adapter:
                shown = picture or request.source
                if shown is None:
                    raise NotFound("an IP-Adapter needs a picture", field=f"{unit.field}.image")
                request = replace(request, references=(*request.references, Reference(unit.model, shown, unit.weight)))
            else:
                control = Control(unit.model, picture, unit.preprocessor, unit.weight, unit.begin, unit.end, unit.mode)
                request = replace(request, controls=(*request.controls, control))
        return request

    async def _begun(self, asked: Asked, request: ImageRequest) -> ImageRequest:
        assert asked.source is not None
        source = await self._taker.picture(asked.source, "init_images.0")
        masked, inpaint = asked.masked, None
        if masked is not None:
            mask = await self._taker.picture(masked.picture, "mask", mask=True)
            mask = await asyncio.to_thread(fitted, mask, (source.width, source.height), "stretch")
            inpaint = Inpaint(mask, masked.blur, masked.inverted, masked.padding, masked.fill)
        size = request.width, request.height
        if size[0] and size[1] and (inpaint is None or inpaint.padding is None):
            way = WAYS[asked.resize]
            source = await asyncio.to_thread(fitted, source, (size[0], size[1]), way)
            if inpaint is not None:
                mask = await asyncio.to_thread(fitted, inpaint.mask, (size[0], size[1]), way)
                inpaint = replace(inpaint, mask=mask)
        return replace(request, source=source, inpaint=inpaint)


def _named(asked: Asked, palette: Palette) -> Asked:
    """With its styles. Raises NotFound for samplers and styles that there are not, as A1111 does."""
    try:
        palette.passes(asked.request)
        return replace(asked, request=with_styles(asked.request, asked.styles, palette.styles))
    except Invalid as error:
        raise NotFound(error.message, field=error.field) from None


def _draw() -> int:
    return secrets.randbelow(1 << 32)
