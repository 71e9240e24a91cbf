"""Files that somebody names on the command line, as blocks of a message.

Rule: what a file is, its bytes say; an address is left to whoever answers, and is opened there.
"""

from base64 import b64encode
from pathlib import Path

from haiga.core.errors import Invalid
from haiga.core.media import PDF, is_pdf, picture_kind
from haiga.core.messages import Base64Source, Document, Image, TextSource, UrlSource

LARGEST = 32 << 20  # bytes; a request has no more


def read_image(named: str) -> Image:
    """A picture by its path or address. Raises Invalid naming it."""
    if _is_address(named):
        return Image(UrlSource(named))
    block = read_file(named)
    if isinstance(block, Document):
        raise Invalid(f"{named}: is no picture (JPEG, PNG, GIF or WebP)")
    return block


def read_file(named: str) -> Image | Document:
    """A PDF, a text or a picture by its path; by its address a document. Raises Invalid naming it."""
    if _is_address(named):
        return Document(UrlSource(named))
    path = Path(named).expanduser()
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST else None
    except OSError as problem:
        raise Invalid(f"{named}: {problem.strerror}") from None
    if data is None:
        raise Invalid(f"{named}: has more than {LARGEST >> 20} MB")
    if kind := picture_kind(data):
        return Image(Base64Source(kind, b64encode(data).decode()))
    if is_pdf(data):
        return Document(Base64Source(PDF, b64encode(data).decode()), title=path.name)
    try:
        return Document(TextSource(data.decode("utf-8-sig")), title=path.name)
    except UnicodeDecodeError:
        raise Invalid(f"{named}: is neither a picture nor a PDF nor a text in UTF-8") from None


def _is_address(named: str) -> bool:
    return named.startswith(("http://", "https://"))
