"""The lists of /sdapi/v1: what can be named in a request, and what its clients look at besides."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.palette import Palette
from haiga.web.credentials import authenticate
from haiga.web.sdapi.answers import answer, json
from haiga.web.services import Services
from haiga.wire.sdapi import listed

Handler = Callable[[Request], Awaitable[Response]]
LISTS: dict[str, Callable[[Palette], Any]] = {
    "samplers": listed.samplers,
    "schedulers": listed.schedulers,
    "upscalers": listed.upscalers,
    "latent-upscale-modes": listed.latent_modes,
    "sd-vae": listed.vaes,
    "loras": listed.loras,
    "embeddings": listed.embeddings,
    "prompt-styles": listed.styles,
    "scripts": listed.scripts,
    "script-info": listed.script_info,
}
EMPTY = ("hypernetworks", "face-restorers", "realesrgan-models", "extensions")  # there is nothing of the kind here
UNCHANGED = (  # lists are always as things are, and models come and go by themselves
    "refresh-checkpoints",
    "refresh-vae",
    "refresh-loras",
    "refresh-embeddings",
    "unload-checkpoint",
    "reload-checkpoint",
)


class Listing:
    def __init__(self, services: Services) -> None:
        self._services = services

    def named(self, write: Callable[[Palette], Any]) -> Handler:
        """The handler of one of LISTS."""

        async def handle(request: Request) -> Response:
            """List what can be named in a request."""
            await authenticate(self._services.access, request)
            return json(write(self._services.palette()))

        return handle

    async def empty(self, request: Request) -> Response:
        """List what there is none of here."""
        await authenticate(self._services.access, request)
        return json([])

    async def refresh(self, request: Request) -> Response:
        """Do nothing: there is no state to be loaded or looked at anew."""
        await authenticate(self._services.access, request)
        return answer(b"null")

    async def memory(self, request: Request) -> Response:
        """Tell how much memory this machine has, and how much of it is free, in bytes."""
        await authenticate(self._services.access, request)
        page, total, free = (os.sysconf(name) for name in ("SC_PAGE_SIZE", "SC_PHYS_PAGES", "SC_AVPHYS_PAGES"))
        ram = {"free": free * page, "used": (total - free) * page, "total": total * page}
        return json({"ram": ram, "cuda": {"error": "unavailable"}})

    async def flags(self, request: Request) -> Response:
        """Tell the flags of A1111's that clients look at."""
        await authenticate(self._services.access, request)
        return json({"api": True, "nowebui": True, "listen": False, "share": False})
