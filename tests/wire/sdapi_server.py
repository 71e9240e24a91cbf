"""The web app with tiny pipelines and a real queue, for A1111's clients."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.cli.painting import named
from haiga.core.access import Caller
from haiga.core.errors import Denied
from haiga.engines.diffusers.samplers import NAMES
from haiga.engines.diffusers.shelf import Shelf
from haiga.services.decoding.decoder import Decoder
from haiga.services.fetch import Fetch, Hosts
from haiga.services.images import Jobs
from haiga.services.images.taking import Taker
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.stores.blobs import DiskBlobs
from haiga.stores.connect import connect
from haiga.stores.image_jobs import DatabaseJobs
from haiga.web.app import Services, WebSettings
from tests.painters import ThreadPainter
from tests.wire.openai_server import serving


class Keys:
    """Access for whoever has a key that begins with "sk-": each is another caller of one workspace."""

    async def authenticate(self, credential: str | None) -> Caller:
        if credential is None or not credential.startswith("sk-"):
            raise Denied("invalid x-api-key", unauthenticated=True)
        return Caller(key=credential)


@contextmanager
def painting(place: Path, painters: Sequence[ThreadPainter]) -> Iterator[str]:
    """The address of a server that makes pictures, while the block runs. What it keeps is in `place`."""

    async def made() -> None:
        async with connect(place / "haiga.db"):
            pass

    asyncio.run(made())
    database = create_async_engine(f"sqlite+aiosqlite:///{place / 'haiga.db'}", poolclass=NullPool)
    models = Models({}, painters={painter.card.name: painter for painter in painters})
    inference, decoder = Inference(models), Decoder()
    jobs = Jobs(models, DatabaseJobs(database), DiskBlobs(place / "blobs"), inference.model, names=NAMES)

    async def last() -> None:
        await jobs.close()
        await decoder.close()

    services = Services(
        Keys(),
        inference,
        WebSettings(open=False),
        jobs=jobs,
        taker=Taker(Fetch(Hosts(())), decoder),
        palette=named(Shelf(place / "shelf"), place / "styles.csv"),
    )
    with serving(services, last, jobs.start) as url:
        yield url
