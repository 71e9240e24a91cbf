"""Composition: a worker without a server, from settings to its end."""

import asyncio
import signal
from importlib.metadata import version

import typer

from haiga.cli.answering import answering
from haiga.cli.engines import offer
from haiga.cli.live import FILES, live
from haiga.cli.reloading import Read, Reloading, Terminal
from haiga.cli.tool_log import show_calls
from haiga.config import Settings
from haiga.services.access import Access
from haiga.services.audit import Audit
from haiga.stores.audit import DatabaseAudit
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from haiga.stores.models import DatabaseModels
from haiga.stores.secret import share_secret
from haiga.stores.upstreams import DatabaseUpstreams


async def run_worker(settings: Settings, read: Read) -> None:
    """Run lines until SIGTERM or Ctrl-C; what is under way then is given back at once, for others to run. SIGHUP has
    the settings read again."""
    show_calls()
    terminal, reloads = Terminal(), set[asyncio.Task[None]]()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of engines for good: they end with the worker
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with connect(settings.records) as database:
        await share_secret(database, settings.signing_key)
        library = await DatabaseModels(database).all()
        upstreams = await DatabaseUpstreams(database).all()
        async with offer(settings, library, upstreams, _warn) as offered:
            parts = answering(settings, Access(DatabaseKeys(database)), offered.models, database)
            parts.metered.ledger.start()
            parts.moderated.warm.start()
            parts.worker.start()
            audit = Audit(DatabaseAudit(database))
            reloading = Reloading(settings, read, live(parts, offered.models), FILES, audit)

            def hung_up() -> None:
                if terminal.gone:
                    ended.set()
                else:
                    reloads.add(asyncio.ensure_future(reloading.reload()))

            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)
            able = [name for name, engine in offered.engines.items() if not engine.card.capabilities.painting]
            typer.echo(f"haiga {version('haiga')} works on batches for {', '.join(able)}")
            await ended.wait()
            await parts.worker.close()
            await parts.metered.ledger.close()
            if parts.traces:
                await parts.traces.close()
            await parts.decoder.close()
            await parts.moderated.warm.close()


def _warn(line: str) -> None:
    typer.echo(f"haiga: {line}", err=True)
