"""Handlers that load and unload adapters, for callers who administer the server: they name directories on it."""

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.services.adapters import Adapters as Loaded
from haiga.web.credentials import actor_of, authenticate_admin
from haiga.web.services import Services
from haiga.wire.adapters import read_load, read_unload, write_done


class Adapters:
    def __init__(self, services: Services, loaded: Loaded) -> None:
        self._services = services
        self._loaded = loaded

    async def load(self, request: Request) -> Response:
        """Load a LoRA adapter from a directory of the server's machine, until the server ends."""
        caller, body = await authenticate_admin(self._services.access, request), read_load(await request.body())
        await self._loaded.load(body.lora_name, body.lora_path, body.base_model_name, body.load_inplace)
        await self._record(request, caller, "adapter.loaded", body.lora_name, {"path": body.lora_path})
        return Response(write_done(body.lora_name, "added"), media_type="text/plain")

    async def unload(self, request: Request) -> Response:
        """Unload a LoRA adapter; answers under way come to their end."""
        caller, body = await authenticate_admin(self._services.access, request), read_unload(await request.body())
        self._loaded.unload(body.lora_name)
        await self._record(request, caller, "adapter.unloaded", body.lora_name, {})
        return Response(write_done(body.lora_name, "removed"), media_type="text/plain")

    async def _record(self, request: Request, caller: Caller, action: str, name: str, details: dict[str, str]) -> None:
        if self._services.audit is not None:
            await self._services.audit.record(actor_of(caller, request), action, name, details)
