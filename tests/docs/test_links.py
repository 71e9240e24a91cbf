"""What documents point to is there: links, targets of make, commands and their flags; no place on anybody's machine."""

import re
from pathlib import Path

import pytest

from tests.docs.commands import helps
from tests.docs.pages import DOCUMENTS, ROOT, anchors, blocks, links, prose, read, spans

API_ROOTS = ("v1", "api", "sdapi", "internal", "docs", "health", "ready", "metrics", "openapi.json")
COMMANDS = ("reset", "image", "file", "system", "exit")
PLACEHOLDERS = ("path", "absolute")


def test_the_documents_that_people_look_for_are_there() -> None:
    assert {"CHANGELOG.md", "CONTRIBUTING.md", "README.md", "docs/api.md", "docs/design.md"} <= set(DOCUMENTS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_resolves(name: str) -> None:
    assert [] == [link for link in links(name) if not resolves(name, link)]


def resolves(name: str, link: str) -> bool:
    if re.match(r"\w+:", link):
        return link.startswith(("https://", "http://127.0.0.1", "mailto:"))
    target, _, anchor = link.partition("#")
    file = (ROOT / name).parent / target if target else ROOT / name
    if not file.exists() or ROOT not in file.resolve().parents:
        return False
    return not anchor or anchor in anchors(file.resolve().relative_to(ROOT).as_posix())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_page_of_docs_is_linked_from_somewhere(name: str) -> None:
    if name.startswith("docs/"):
        others = [other for other in DOCUMENTS if other != name]
        assert [other for other in others if Path(name).name in " ".join(links(other))]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_names_a_place_on_a_machine(name: str) -> None:
    named = re.findall(r"(?<![\w/.~:<>}*$-])/([a-zA-Z][\w.-]*)", read(name))
    assert set() == set(named) - {*API_ROOTS, *COMMANDS, *PLACEHOLDERS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_target_of_make_is_there(name: str) -> None:
    targets = re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE)
    told = {span.split()[1] for span in spans(prose(name)) if re.match(r"make [a-z]+", span)}
    assert told <= set(targets)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_line_is_one_that_the_program_knows(name: str) -> None:
    typed = [line for block in blocks(name, "sh", "bash", "console") for line in block.text.splitlines()]
    lines = [line.partition("#")[0] for line in (*typed, *spans(prose(name))) if re.match(r"(\$ )?haiga [a-z-]", line)]
    assert [] == [line for line in lines if not known(line.removeprefix("$ "))]


def known(line: str) -> bool:
    """Whether the words before the first argument are a command, and every flag is one of its flags."""
    told, words = helps(), re.split(r"\s", line.strip())
    command = next(path for end in range(len(words), 0, -1) if (path := " ".join(words[:end])) in told)
    flags = set(re.findall(r"(?<!\S)--[a-z-]+", line))
    return (command != "haiga" or bool(flags)) and flags <= set(re.findall(r"--[a-z-]+", told[command]))
