"""Who is at the command line, as the audit log names them."""

import getpass
import os

from haiga.core.audit import Actor


def operator() -> Actor:
    """The user of the machine who runs this program."""
    try:
        return Actor("shell", getpass.getuser())
    except (KeyError, OSError):  # a user id without a name, as in containers
        return Actor("shell", str(os.getuid()))
