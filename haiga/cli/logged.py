"""How long-running commands run: on uvloop, with their log on standard error."""

from collections.abc import Coroutine

import uvloop

from haiga.cli.logs import log_on_stderr
from haiga.config import Settings


def run_logged(settings: Settings, work: Coroutine[None, None, None]) -> None:
    """Run the work to its end, with the log that the settings ask for."""
    with log_on_stderr(settings.log_format, settings.log_level):
        uvloop.run(work)
