"""PDFs to the text and the pictures of their pages."""

import pytest

from haiga.services.decoding.pages import read_pages
from haiga.services.decoding.refusal import Refusal
from tests.papers import pdf


def test_pages_have_their_numbers_and_texts() -> None:
    pages = list(read_pages(pdf("Grass is green.\nSky is blue.", "Käse (gut)"), 100, 0))
    assert [(1, 2, "Grass is green.\nSky is blue."), (2, 2, "Käse (gut)")] == [(p.number, p.of, p.text) for p in pages]
    assert b"" == pages[0].rgb


def test_a_page_s_picture_has_the_edge_that_is_wanted_and_shows_the_text() -> None:
    (page,) = read_pages(pdf("Grass"), 100, 600)
    assert (400, 600) == (page.width, page.height)
    assert 400 * 600 * 3 == len(page.rgb)
    assert {0, 255} <= set(page.rgb)


def test_a_page_without_text_is_a_page() -> None:
    (page,) = read_pages(pdf(""), 100, 100)
    assert "" == page.text


@pytest.mark.parametrize("edge", [0, 64])
def test_a_huge_page_makes_no_huge_picture(edge: int) -> None:
    (page,) = read_pages(pdf("x", size=(10_000_000, 3)), 100, edge)
    assert max(page.width, page.height) <= 65


def test_more_pages_than_are_allowed_are_refused_before_any_is_read() -> None:
    with pytest.raises(Refusal, match=r"^A maximum of 2 PDF pages may be provided\.$"):
        next(read_pages(pdf("a", "b", "c"), 2, 0))


def test_a_password_is_refused_by_name() -> None:
    with pytest.raises(Refusal, match=r"^The PDF specified is password protected\.$"):
        next(read_pages(pdf("secret", password="open sesame"), 100, 0))


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4", b"%PDF-1.4\n1 0 obj\n<<", pdf("a")[:60]])
def test_a_damaged_file_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(Refusal, match=r"^The PDF specified was not valid: .+"):
        list(read_pages(data, 100, 0))
