"""Handlers of the OpenAI API's Images: jobs of the one queue, for clients that wait.

Rule: a client that goes away takes its job with it.
"""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import Cancelled, Failed, HaigaError, Invalid, TooLarge
from haiga.core.generation import Finished, Usage
from haiga.core.images import Inpaint
from haiga.core.painting import Seen
from haiga.core.pictures import Picture
from haiga.services.images import Jobs, Wish
from haiga.services.images.taking import LARGEST_FILE, Taker
from haiga.web.credentials import authenticate
from haiga.web.families import request_id
from haiga.web.painting import default_model, shown
from haiga.web.services import Services
from haiga.web.streaming import stream_reply, while_connected
from haiga.wire.openai_images import AskedImages, ImageStream, read_edit, read_generation, read_variation, write_images
from haiga.wire.openai_images.write import Given, Shown

MOST_FIELDS, MOST_FILES = 64, 17
END = Finished("end_turn", Usage())
PARAMS = {"negative_prompt": "negative_prompt", "width": "size", "height": "size", "beside": "image[1]"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A form's fields and its pictures' files."""

    fields: Mapping[str, str]
    images: Sequence[bytes]
    mask: bytes | None = None


class Images:
    def __init__(self, services: Services, jobs: Jobs, taker: Taker) -> None:
        self._services = services
        self._jobs = jobs
        self._taker = taker

    async def generate(self, request: Request) -> Response:
        """Make pictures from a prompt, whole or with partial ones as server-sent events."""
        caller = await authenticate(self._services.access, request)
        asked = read_generation(await request.body(), default_model(self._services, caller))
        return await self._respond(request, caller, asked)

    async def edit(self, request: Request) -> Response:
        """Make a picture anew where a mask is transparent, or all of it, after a prompt."""
        caller = await authenticate(self._services.access, request)
        sent = await _form(request)
        asked = read_edit(sent.fields, default_model(self._services, caller), False)
        return await self._from_pictures(request, caller, asked, sent)

    async def vary(self, request: Request) -> Response:
        """Make pictures that are like another one."""
        caller = await authenticate(self._services.access, request)
        sent = await _form(request)
        asked = read_variation(sent.fields, default_model(self._services, caller))
        return await self._from_pictures(request, caller, asked, replace(sent, mask=None))

    async def _from_pictures(self, request: Request, caller: Caller, asked: AskedImages, sent: Sent) -> Response:
        if not sent.images:
            raise Invalid("Missing required parameter: 'image'.", field="image", code="missing_required_parameter")
        async with self._taker.room(len(sent.images) + 1):
            source, *beside = [
                await self._taker.decoded(file, f"image[{at}]" if at else "image")
                for at, file in enumerate(sent.images)
            ]
            mask = await self._mask(sent) if asked.kind == "image_edit" else None
            if mask is not None:  # under which everything is made anew unless the request says otherwise
                asked = read_edit(sent.fields, asked.request.model, True)
            inpaint = Inpaint(mask) if mask else None
            painted = replace(asked.request, source=source, beside=tuple(beside), inpaint=inpaint)
            return await self._respond(request, caller, replace(asked, request=painted))

    async def _mask(self, sent: Sent) -> Picture | None:
        """White where something is to change: what is transparent in the mask, or, where there is none, in the image,
        if it is the only one. A mask that has nothing transparent is taken as it is."""
        if sent.mask is None and len(sent.images) > 1:
            return None
        if sent.mask is None:
            return await self._taker.holes(sent.images[0], "image")
        return await self._taker.holes(sent.mask, "mask") or await self._taker.decoded(sent.mask, "mask")

    async def _respond(self, request: Request, caller: Caller, asked: AskedImages) -> Response:
        began = time.time()
        caller = replace(caller, origin=replace(caller.origin, streamed=asked.stream))
        wish = Wish(kind=asked.format, quality=max(1, asked.compression))
        made = self._jobs.make(caller, asked.request, wish)
        try:
            if asked.stream:
                response = await self._stream(request, asked, made, int(began))
            else:
                body = await while_connected(request, self._whole(request, asked, made, int(began)))
                response = Response(body, media_type="application/json")
        except HaigaError as error:
            error.field = PARAMS.get(error.field or "", error.field)
            raise
        response.headers["openai-processing-ms"] = str(round((time.time() - began) * 1000))
        return response

    async def _whole(
        self, request: Request, asked: AskedImages, made: AsyncGenerator[Seen, None], created: int
    ) -> bytes:
        seen = None
        async with aclosing(made):
            async for each in made:
                seen = each
        if seen is None or not seen.job.results:
            raise Failed("the job made no picture")
        base = str(request.base_url).rstrip("/")
        address = f"{base}/v1/jobs/{seen.job.id}/pictures/" if asked.url else None
        given = [
            Given(picture, url=f"{address}{at}") if address else Given(picture, await self._jobs.read(picture))
            for at, picture in enumerate(seen.job.results)
        ]
        return write_images(given, asked, created)

    async def _stream(
        self, request: Request, asked: AskedImages, made: AsyncGenerator[Seen, None], created: int
    ) -> Response:
        settings, rid = self._services.settings, request_id(request.scope)
        writer = ImageStream(asked, created)
        return await stream_reply(
            request, self._told(asked, made), writer, id=rid, patience=settings.patience, ping=settings.ping
        )

    async def _told(
        self, asked: AskedImages, made: AsyncGenerator[Seen, None]
    ) -> "AsyncGenerator[Given | Shown | Finished, None]":
        told, partial = 0, _Partial(asked)
        async with aclosing(made):
            async for seen in made:
                for picture in seen.job.results[told:]:
                    yield Given(picture, await self._jobs.read(picture))
                    told += 1
                if partial.due(seen):
                    preview = seen.progress.preview  # type: ignore[union-attr]
                    assert preview is not None
                    yield Shown(await shown(preview, asked.format), preview.width, preview.height)
        yield END


class _Partial:
    """When a picture is shown before it is done: evenly over its steps."""

    def __init__(self, asked: AskedImages) -> None:
        self._each = asked.partial
        self._count = asked.request.count
        self._shown = 0

    def due(self, seen: Seen) -> bool:
        progress = seen.progress
        if not self._each or progress is None or progress.preview is None or progress.step == progress.steps:
            return False
        done = progress.step * self._count * (self._each + 1) // progress.steps  # of as many parts as there are gaps
        wanted = done - done // (self._each + 1)
        due, self._shown = wanted > self._shown, max(self._shown, wanted)
        return due


async def _form(request: Request) -> Sent:
    """The form in a request's body. Raises Invalid and TooLarge."""
    try:
        form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=256 << 10)
    except HTTPException as problem:
        raise Invalid(f"The request body is not a valid form: {problem.detail}") from None
    except ClientDisconnect:
        raise Cancelled("the client went away") from None
    try:
        return await _sent(form)
    finally:
        await form.close()


async def _sent(form: FormData) -> Sent:
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    images = [value for name, value in form.multi_items() if name in ("image", "image[]")]
    for name in fields:
        if name in ("image", "image[]", "mask"):
            raise Invalid("Expected a file.", field=name.removesuffix("[]"), code="invalid_type")
    masks = [value for name, value in form.multi_items() if name == "mask"]
    files = [await _read(each, "image") for each in images]
    return Sent(fields, files, await _read(masks[0], "mask") if masks else None)


async def _read(file: UploadFile | str, field: str) -> bytes:
    assert not isinstance(file, str)
    data = await file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise TooLarge(f"an image has more than {LARGEST_FILE} bytes", field=field)
    return data
