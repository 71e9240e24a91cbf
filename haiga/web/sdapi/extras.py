"""/sdapi/v1/extra-*, png-info, and what is refused: work on pictures that are there already."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import Unsupported
from haiga.core.images import ImageRequest, UpscaleRequest
from haiga.core.pictures import Picture
from haiga.services.images import Jobs, error_of
from haiga.services.images.encoding import encode
from haiga.services.images.resizing import WAYS, enlarged
from haiga.services.images.taking import ENLARGED, Taker
from haiga.text.image_prompts import recall
from haiga.web.credentials import authenticate
from haiga.web.painting import ended
from haiga.web.sdapi.answers import answer
from haiga.web.sdapi.preferences import Preferences
from haiga.web.services import Services
from haiga.web.streaming import while_connected
from haiga.wire.body import read_object, read_shape
from haiga.wire.sdapi.options import AUTOMATIC
from haiga.wire.sdapi.read import upscaler
from haiga.wire.sdapi.shapes import ExtrasBatchBody, ExtrasBody, ExtrasSingleBody, PngInfoBody
from haiga.wire.sdapi.write import write_enlarged, write_texts

REFUSED = (
    "interrogate",
    "create/embedding",
    "create/hypernetwork",
    "train/embedding",
    "train/hypernetwork",
    "server-kill",
    "server-restart",
    "server-stop",
)


class Extras:
    def __init__(self, services: Services, jobs: Jobs, taker: Taker, preferences: Preferences) -> None:
        self._services = services
        self._jobs = jobs
        self._taker = taker
        self._preferences = preferences

    async def single(self, request: Request) -> Response:
        """Enlarge a picture."""
        caller = await authenticate(self._services.access, request)
        asked = read_shape(ExtrasSingleBody, read_object(await request.body()))
        made = await while_connected(request, self._enlarged(caller, asked, [(asked.image, "image")]))
        return answer(write_enlarged(made, several=False))

    async def batch(self, request: Request) -> Response:
        """Enlarge several pictures."""
        caller = await authenticate(self._services.access, request)
        asked = read_shape(ExtrasBatchBody, read_object(await request.body()))
        told = [(each.data, f"imageList.{at}.data") for at, each in enumerate(asked.imageList)]
        made = await while_connected(request, self._enlarged(caller, asked, told))
        return answer(write_enlarged(made, several=True))

    async def png_info(self, request: Request) -> Response:
        """Tell what a picture's file says of how it was made."""
        await authenticate(self._services.access, request)
        asked = read_shape(PngInfoBody, read_object(await request.body()))
        found = await asyncio.to_thread(recall, await self._taker.texts(asked.image, "image"))
        return answer(write_texts(found.text, found.parameters, found.others))

    async def refused(self, request: Request) -> Response:
        """Refuse what A1111 does and this server does not."""
        await authenticate(self._services.access, request)
        raise Unsupported(f"{request.url.path} is not done here")

    async def _enlarged(self, caller: Caller, asked: ExtrasBody, told: Sequence[tuple[str, str]]) -> list[bytes]:
        for field in ("gfpgan_visibility", "codeformer_visibility"):
            if getattr(asked, field):
                raise Unsupported("faces are not restored here", field=field)
        return [await self._one(caller, asked, picture, field) for picture, field in told]

    async def _one(self, caller: Caller, asked: ExtrasBody, told: str, field: str) -> bytes:
        """A picture's file, larger: resampled here, or by a network, for which there is a job."""
        async with self._taker.room(2, ENLARGED):
            picture = await self._taker.picture(told, field, ENLARGED)
            wanted = _wanted(asked, picture, self._preferences.of(caller).model or "")
            if {wanted.upscaler, wanted.second} <= {*WAYS, None}:
                return await asyncio.to_thread(encode, await asyncio.to_thread(enlarged, wanted))
            seen = await self._jobs.submit(caller, ImageRequest(wanted.model, "", upscale=wanted))
        seen = await ended(self._jobs, caller, seen)
        if seen.job.state != "done":
            error = error_of(seen.job)
            error.field = "upscaler_1" if error.field == "upscaler" else error.field
            raise error
        return await self._jobs.read(seen.job.results[0])


def _wanted(asked: ExtrasBody, picture: Picture, model: str) -> UpscaleRequest:
    sized = asked.resize_mode == 1
    return UpscaleRequest(
        model=model,
        picture=picture,
        upscaler=upscaler(asked.upscaler_1),
        scale=asked.upscaling_resize,
        width=asked.upscaling_resize_w if sized else None,
        height=asked.upscaling_resize_h if sized else None,
        crop=asked.upscaling_crop,
        second=None if asked.upscaler_2 in AUTOMATIC else asked.upscaler_2,
        visibility=asked.extras_upscaler_2_visibility,
    )
