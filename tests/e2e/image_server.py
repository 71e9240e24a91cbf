"""A server with a painter that has no model: python -m tests.e2e.image_server DIRECTORY [stuck].

Its address and a key are printed once it listens. `stuck`: no step of a job ends.
"""

import sys
import threading
from pathlib import Path

from haiga.engines.fake_painter import FakePainter
from tests.wire.limited_server import running

if __name__ == "__main__":
    painter = FakePainter()
    if sys.argv[2:]:
        painter.gate.clear()
    with running(Path(sys.argv[1]), painters=[painter]) as served:
        print(served.url, served.key(f"key-{threading.get_native_id()}"), flush=True)
        threading.Event().wait()
