"""Where documents point to: links that resolve, and no place on anybody's machine."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCUMENTS, ROOT, anchors, links, prose, read, spans

API_ROOTS = ("v1", "api", "docs", "health", "ready", "openapi.json")
COMMANDS = ("reset", "system", "exit")
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
