"""What handlers of pictures have in common."""

import asyncio
from contextlib import aclosing

from haiga.core.access import Caller
from haiga.core.painting import Seen
from haiga.core.pictures import Picture
from haiga.services.images import Jobs
from haiga.services.images.encoding import Kind, encode
from haiga.web.services import Services

PREVIEW = 70  # quality of a picture that is not done yet, of 100


def default_model(services: Services, caller: Caller) -> str:
    """The first model that makes pictures and that the caller may ask; "" where there is none."""
    cards = services.inference.models(caller)
    return next((card.name for card in cards if card.capabilities.painting), "")


async def ended(jobs: Jobs, caller: Caller, seen: Seen) -> Seen:
    """The job at its end, for somebody who waits; it is cancelled where nobody does any more."""
    try:
        async with aclosing(jobs.follow(caller, seen.job.id)) as followed:
            while not seen.job.over:
                seen = await anext(followed)
        return seen
    finally:
        if not seen.job.over:
            await asyncio.shield(jobs.cancel(caller, seen.job.id))


async def shown(picture: Picture, kind: Kind = "jpeg") -> bytes:
    """A picture that is not done yet, as a file."""
    return await asyncio.to_thread(encode, picture, kind, "", PREVIEW)
