"""What is in deploy/ starts a command that there is, with flags and variables that it knows."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from haiga.cli import app
from haiga.config import TABLE

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "deploy/haiga.service").read_text()
DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
STARTS = ("ENTRYPOINT", "CMD")
VARIABLES = {setting.environment for setting in TABLE.values()}


def understood(*arguments: str) -> Result:
    """The command's help, if all of the arguments before it can be parsed."""
    return CliRunner().invoke(app, [*arguments, "--help"])


def test_a_flag_that_there_is_not_would_be_seen() -> None:
    assert 2 == understood("serve", "--nothing", "x").exit_code


def test_the_unit_starts_a_command_that_there_is() -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    program, *arguments = shlex.split(line)
    said = understood(*arguments)
    assert ("/opt/haiga/bin/haiga", 0) == (program, said.exit_code), said.output
    assert "haiga serve [OPTIONS]" in said.stdout


def test_the_image_starts_a_command_that_there_is() -> None:
    entry, arguments = (json.loads(re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)[0]) for name in STARTS)
    assert (["haiga"], 0) == (entry, understood(*arguments).exit_code)


@pytest.mark.parametrize("text", [UNIT, DOCKERFILE], ids=["unit", "image"])
def test_every_variable_is_one_of_a_setting(text: str) -> None:
    named = set(re.findall(r"\b(HAIGA_\w+)=", text))
    assert named
    assert set() == named - VARIABLES


def test_what_the_image_copies_is_there() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
