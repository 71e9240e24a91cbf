"""A PostgreSQL of our own for the tests: a cluster in a temporary directory, reached by a Unix socket alone.

Rule: it starts with the first test that asks for it and ends with the suite. Without PostgreSQL's programs
(scripts/postgres-env) such a test fails, and says so.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from haiga.stores.connect import REVISION, connect
from haiga.stores.tables import METADATA

DEBIAN = Path("/usr/lib/postgresql")
MEMORY = "/dev/shm"
OWNER = "postgres"  # the user that Debian's package makes: PostgreSQL refuses to run as root
# nothing here need survive the machine, only the death of processes
SPEED = "-c fsync=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=32MB"


def program(name: str) -> str:
    """Where one of PostgreSQL's programs is."""
    installed = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which(name)
    if found is None:
        pytest.fail("PostgreSQL is not installed; scripts/postgres-env installs Debian's", pytrace=False)
    return found


class Cluster:
    """A running PostgreSQL in `directory`, which belongs to `user` (None: who runs this)."""

    def __init__(self, directory: Path, user: str | None) -> None:
        self._directory = directory
        self._user = user
        self._made = 0

    def make(self) -> None:
        cheap = ("--no-sync", "--wal-segsize=1", "--locale=C.UTF-8", "--encoding=UTF8")
        self._run("initdb", "-D", f"{self._directory}/data", "--auth=trust", f"--username={OWNER}", *cheap)
        self.start()

    def start(self) -> None:
        options = f"{SPEED} -c listen_addresses= -c unix_socket_directories={self._directory}"
        self._control("start", "-o", options, "-l", f"{self._directory}/log")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is a crash: connections are cut, what was not committed is lost."""
        self._control("stop", "-m", mode)

    def end(self) -> None:
        """Stop it if it runs."""
        if (self._directory / "data" / "postmaster.pid").exists():
            self.stop("immediate")

    def url(self, database: str) -> str:
        return f"postgresql://{OWNER}@/{database}?host={self._directory}"

    def database(self) -> str:
        """The name of a new database, with nothing in it."""
        self._made += 1
        name = f"test_{self._made}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def sql(self, statement: str, database: str = "postgres") -> list[str]:
        """The rows that it gives, as text."""
        where = ("-h", str(self._directory), "-U", OWNER, "-d", database)
        return self._run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *where, "-c", statement).splitlines()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", f"{self._directory}/data", "-w", "-s", *arguments)

    def _run(self, name: str, *arguments: str) -> str:
        done = subprocess.run(
            [program(name), *arguments], user=self._user, cwd=self._directory, capture_output=True, text=True
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout


def _quick() -> str | None:
    """A file system in memory, where there is room; None for the usual one."""
    return MEMORY if Path(MEMORY).is_dir() and shutil.disk_usage(MEMORY).free > 1 << 30 else None


@contextmanager
def running() -> Iterator[Cluster]:
    user = OWNER if os.geteuid() == 0 else None
    directory = Path(mkdtemp(prefix="haiga-pg-", dir=_quick()))
    made = Cluster(directory, user)
    try:
        if user is not None:
            shutil.chown(directory, user)
        made.make()
        yield made
    finally:
        made.end()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL, running."""
    with running() as made:
        yield made


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """PostgreSQL for one test alone, which may stop it."""
    with running() as made:
        yield made


@pytest.fixture(scope="session")
def emptied(cluster: Cluster) -> Callable[[], str]:
    """Empties a database of the newest schema, always the same one, and gives back its URL."""
    name = cluster.database()
    asyncio.run(_migrate(cluster.url(name)))
    rows = "; ".join(f"DELETE FROM {table}" for table in METADATA.tables)

    def empty() -> str:
        cluster.sql(f"{rows}; UPDATE alembic_version SET version_num = '{REVISION}'", name)
        return cluster.url(name)

    return empty


async def _migrate(url: str) -> None:
    async with connect(url):
        pass
