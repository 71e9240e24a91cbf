"""Where calls of tools that the server runs are told of: a line each on standard error."""

import logging


def show_calls() -> None:
    """Have the lines of `haiga.tools` written, unless logging is set up already."""
    log = logging.getLogger("haiga.tools")
    if log.isEnabledFor(logging.INFO):
        return
    lines = logging.StreamHandler()
    lines.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    log.addHandler(lines)
    log.setLevel(logging.INFO)
