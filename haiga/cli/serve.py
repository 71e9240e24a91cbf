"""`haiga serve`: the command. What it starts is in server.py."""

import typer

from haiga.cli.options import Config, read_again, settings_from, with_settings
from haiga.config import TABLE


@with_settings(*(name for name, row in TABLE.items() if row.flag and name != "url"))
def serve(context_: typer.Context, config: Config = None, **flags: object) -> None:
    """Serve the models over HTTP until stopped."""
    settings = settings_from(context_)
    from haiga.cli.logged import run_logged
    from haiga.cli.server import run_server

    run_logged(settings, run_server(settings, lambda: read_again(context_)))
