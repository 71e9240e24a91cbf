"""A server whose one model says WORDS words, one every 20 ms: python -m tests.e2e.slow_server WORDS DRAIN.

Prints its port once it listens.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from haiga.cli.http import build_server
from haiga.cli.server import listening
from haiga.config import read_settings
from haiga.core.generation import BlockStarted, BlockStopped, TextDelta
from haiga.core.messages import Text
from haiga.engines.fake import FakeEngine
from haiga.services.access import Access
from haiga.services.models import Models
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys


async def main(words: int, drain: str, directory: Path) -> None:
    script = (BlockStarted(0, Text("")), *(TextDelta(0, f"{n} ") for n in range(words)), BlockStopped(0))
    async with connect(directory / "haiga.db") as database:
        access = Access(DatabaseKeys(database), open_when_empty=True)
        models = Models({"fake": FakeEngine(script=script, pace=0.02)})
        settings = read_settings({"drain": drain}, {})
        server = build_server(settings, access, models, database, door=True)
        with listening("127.0.0.1", 0) as listener:
            print(listener.getsockname()[1], flush=True)
            await server.serve(sockets=[listener])


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(temporary)))
