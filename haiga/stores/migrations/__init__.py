"""The schema's history, one file a change in versions/. Rule: a file that has been released is never edited.

To add one: change tables.py, write versions/vNNNN_what.py, set REVISION in connect.py. The tests compare both ways.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection

from haiga.core.errors import Failed


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the connection's transaction.

    Raises Failed when the database was written by a newer release."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as problem:
        raise Failed(f"the database does not fit this release: {problem}") from None
