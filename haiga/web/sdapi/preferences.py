"""/sdapi/v1/options: what a caller has set for its next requests.

Rule: options are their key's alone, in memory, and load nothing: nobody's model is changed under anybody's hands.
"""

from collections import OrderedDict
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from haiga.core.access import Caller
from haiga.core.errors import NotFound
from haiga.web.credentials import authenticate
from haiga.web.sdapi.answers import answer, json
from haiga.web.services import Services
from haiga.wire.body import read_object
from haiga.wire.sdapi.listed import models
from haiga.wire.sdapi.options import Options, with_options, write_options

MOST = 10_000  # keys whose options are remembered; who has not asked for longest is forgotten


class Preferences:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: OrderedDict[str, Options] = OrderedDict()

    async def get(self, request: Request) -> Response:
        """Tell the caller's own options."""
        caller = await authenticate(self._services.access, request)
        return json(write_options(self.of(caller)))

    async def set(self, request: Request) -> Response:
        """Set some of the caller's options."""
        caller = await authenticate(self._services.access, request)
        options = with_options(self.of(caller), read_object(await request.body()))
        if options.model is not None and options.model not in self.models(caller):
            raise NotFound(f"model {options.model!r} not found", field="sd_model_checkpoint")
        self._kept[caller.key or caller.workspace] = options
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return answer(b"null")

    async def list(self, request: Request) -> Response:
        """List the models that make pictures."""
        caller = await authenticate(self._services.access, request)
        return json(models(self.models(caller)))

    def of(self, caller: Caller) -> Options:
        """What holds for a caller: where it chose no model, the first that there is."""
        name = caller.key or caller.workspace
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        return Options(model=next(iter(self.models(caller)), None))

    def models(self, caller: Caller) -> Sequence[str]:
        """The models that make pictures, and that the caller may ask."""
        return [card.name for card in self._services.inference.models(caller) if card.capabilities.painting]
