"""A PDF to its pages: their text, and pictures of them.

Rule: one page at a time, so that a long document takes no more memory than a short one.
"""

import ctypes
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pypdfium2 as pdfium
from pypdfium2 import raw

from haiga.services.decoding.refusal import Refusal, told

LONGEST = 1_000_000  # characters of a page's text
LEAST, MOST = 1.0, 14_400.0  # points of a page's side; the latter is 200 inches, the format's own limit
UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff\ud800-\udfff]")
LOCKED = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)


@dataclass(frozen=True, slots=True)
class Page:
    """`number` counts from 1, `of` is how many there are. `rgb` is the page's picture, rows from the top; empty where
    none was wanted."""

    number: int
    of: int
    text: str
    width: int = 0
    height: int = 0
    rgb: bytes = b""


def read_pages(data: bytes, limit: int, edge: int) -> Iterator[Page]:
    """The pages of the PDF in `data`, with a picture of each where `edge`, the pixels of its longer side, is not 0.
    Raises Refusal for one that is damaged, needs a password, or has more than `limit` pages."""
    with closing(_opened(data)) as document:
        count = len(document)
        if count > limit:
            raise Refusal(f"A maximum of {limit} PDF pages may be provided.", "too_many_pages")
        if count < 1:
            raise Refusal("The PDF specified was not valid: it has no pages.")
        if document.get_formtype() != raw.FORMTYPE_NONE and edge:
            document.init_forms()
        for at in range(count):
            yield _page(document, at, count, edge)


def _opened(data: bytes) -> pdfium.PdfDocument:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as problem:
        if problem.err_code in LOCKED:
            raise Refusal("The PDF specified is password protected.") from None
        raise Refusal(f"The PDF specified was not valid: {told(problem)}") from None


def _page(document: pdfium.PdfDocument, at: int, count: int, edge: int) -> Page:
    try:
        with closing(document[at]) as page:
            text = _text(page)
            if not edge:
                return Page(at + 1, count, text)
            return Page(at + 1, count, text, *_picture(page, edge))
    except (pdfium.PdfiumError, ctypes.ArgumentError, ValueError, OverflowError) as problem:
        raise Refusal(f"The PDF specified was not valid: page {at + 1}: {told(problem)}") from None


def _text(page: pdfium.PdfPage) -> str:
    with closing(page.get_textpage()) as shown:
        count = min(shown.count_chars(), LONGEST)
        text = shown.get_text_range(0, count, errors="ignore") if count > 0 else ""
    return UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def _picture(page: pdfium.PdfPage, edge: int) -> tuple[int, int, bytes]:
    width, height = (min(max(side, LEAST), MOST) for side in page.get_size())
    bitmap = page.render(scale=edge / max(width, height), rev_byteorder=True, bitmap_maker=pdfium.PdfBitmap.new_native)
    try:
        shown = bitmap.to_pil().convert("RGB")
    finally:
        bitmap.close()
    if max(shown.size) > edge + 1:
        shown.thumbnail((edge, edge))
    return shown.width, shown.height, shown.tobytes()
