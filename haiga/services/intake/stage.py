"""The stage that takes pictures and documents in before a model is asked, and turns numbers in its answer to citations.

Rule: what the model cannot take is refused before anything is fetched or decoded. What goes elsewhere as its caller
wrote it is not touched.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from haiga.core.access import Caller
from haiga.core.generation import Event, TextRequest, unquoted
from haiga.core.ports import Ask, ModelCard
from haiga.services.decoding.decoder import Decoder
from haiga.services.fetch import Fetch
from haiga.services.inference import is_handed_on, require_blocks
from haiga.services.intake.limits import IntakeLimits
from haiga.services.intake.reading import Reader
from haiga.services.intake.room import Room
from haiga.services.intake.taking import Taken, concerns, most_memory, picture_memory, take_in
from haiga.text.citing import CitingStream

ROOM = 1 << 30  # bytes of the decoded pictures of all requests under way


class Intake:
    """`card` finds the model that a caller asks; `room` is how many bytes decoded pictures may take."""

    def __init__(
        self,
        decoder: Decoder,
        fetch: Fetch,
        card: Callable[[Caller, str], ModelCard],
        limits: IntakeLimits,
        room: int = ROOM,
    ) -> None:
        self._room = Room(room)
        self._reader = Reader(decoder, fetch, limits)
        self._card = card

    def answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        """The events; see core.ports.Stage."""
        return self._answer(caller, request, ask) if concerns(request) else ask(caller, request)

    async def resolved(self, caller: Caller, request: TextRequest) -> TextRequest:
        """The request as a model reads it. Raises core errors with the places of what is wrong."""
        if not concerns(request):
            return request
        async with self._room.lease(most_memory(request, self._reader.limits)):
            return (await self._taken(caller, request)).request

    async def _taken(self, caller: Caller, request: TextRequest) -> Taken:
        card = self._card(caller, request.model)
        if is_handed_on(card, request):
            return Taken(request)
        require_blocks(card, request)
        return await take_in(request, self._reader, card.capabilities.images)

    async def _answer(self, caller: Caller, request: TextRequest, ask: Ask) -> AsyncGenerator[Event, None]:
        async with self._room.lease(most_memory(request, self._reader.limits)) as lease:
            taken = await self._taken(caller, request)
            lease.shrink(picture_memory(taken.request))
            stream = CitingStream(taken.catalogue) if taken.catalogue else None
            async with aclosing(ask(caller, taken.request)) as events:
                async for event in events:
                    if stream is None:
                        yield event
                    elif (plain := unquoted(event)) is not None:
                        for each in stream.feed(plain):
                            yield each
