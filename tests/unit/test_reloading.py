"""When a SIGHUP is the end of the terminal, and when it is somebody's wish."""

import os
import pty
import sys
from pathlib import Path

import pytest

CHILD = """
import pathlib, signal, sys
from haiga.cli.reloading import Terminal
# whatever started the tests may itself be meant to outlive its terminal
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "nohup" else signal.SIG_DFL)
terminal = Terminal()
before = terminal.gone
def hung_up(number, frame):
    pathlib.Path(sys.argv[1]).write_text(f"{before} {terminal.gone}")
    sys.exit()
signal.signal(signal.SIGHUP, hung_up)
print("ready", flush=True)
signal.pause()
"""


@pytest.mark.parametrize("started, expected", [("plainly", "False True"), ("nohup", "False False")])
def test_a_program_ends_with_its_terminal_unless_it_was_to_outlive_it(
    tmp_path: Path, started: str, expected: str
) -> None:
    told = tmp_path / "told"
    child, terminal = pty.fork()
    if not child:
        os.execv(sys.executable, [sys.executable, "-c", CHILD, str(told), started])
    heard = b""
    while b"ready" not in heard:
        heard += os.read(terminal, 100)
    os.close(terminal)  # the window is closed
    os.waitpid(child, 0)
    assert expected == told.read_text()
