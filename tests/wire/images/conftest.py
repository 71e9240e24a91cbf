"""A server with one painter that has no model, and a client with a key to it.

Rule: a file whose server has another painter or other settings says these alone anew, as `painter` and `flags`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from haiga.core.errors import Invalid
from haiga.engines.fake_painter import FakePainter
from tests.wire.images.asking import asking
from tests.wire.limited_server import Running, running


@pytest.fixture
def painter() -> FakePainter:
    """The prompt "ugly" fails after its first step."""
    return FakePainter(pace=0.01, fails={"ugly": Invalid("no", field="prompt")})


@pytest.fixture
def flags() -> Mapping[str, str]:
    """What the server is told besides where its data is."""
    return {}


@pytest.fixture
def served(tmp_path: Path, painter: FakePainter, flags: Mapping[str, str]) -> Iterator[Running]:
    with running(tmp_path, painters=[painter], **flags) as server:
        yield server


@pytest.fixture
def http(served: Running) -> httpx.Client:
    made = asking(served, served.key("h"))
    served.clients.append(made)
    return made
