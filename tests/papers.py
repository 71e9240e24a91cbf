"""PDFs and pictures, made for tests: small, whole, and of every kind."""

import struct
from hashlib import md5
from io import BytesIO
from typing import Any

from PIL import Image

PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def pdf(*pages: str, password: str | None = None, size: tuple[int, int] = (200, 300)) -> bytes:
    """A PDF with a page for each text, its lines one under another; with a password nobody opens it without."""
    objects: list[bytes] = []
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects.append(b"<< /Type /Catalog /Pages 2 0 R >>")
    objects.append(f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode())
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    identity = b"0123456789abcdef"
    key, locked = _locked(password.encode(), identity) if password else (b"", "")
    for i, text in enumerate(pages):
        at = 5 + 2 * i
        box = f"/MediaBox [0 0 {size[0]} {size[1]}]"
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} {font} /Contents {at} 0 R >>".encode())
        stream = _drawn(text, size[1])
        if key:
            stream = _rc4(md5(key + struct.pack("<I", at)[:3] + b"\0\0").digest()[:10], stream)
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(stream), stream))
    return _file(objects, identity, locked)


def _drawn(text: str, height: int) -> bytes:
    escaped = (line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n"))
    lines = " T* ".join(f"({line}) Tj" for line in escaped)
    return f"BT /F1 12 Tf 14 TL 10 {height - 30} Td {lines} ET".encode("cp1252")


def _file(objects: list[bytes], identity: bytes, locked: str) -> bytes:
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    id = identity.hex()
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /ID [<{id}><{id}>] {locked} >>\n".encode()
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def _locked(password: bytes, identity: bytes) -> tuple[bytes, str]:
    """The file's key and its /Encrypt entry: the standard handler's revision 2 (RC4, 40 bits)."""
    padded = (password + PADDING)[:32]
    owner = _rc4(md5(padded).digest()[:5], padded)
    key = md5(padded + owner + struct.pack("<i", -4) + identity).digest()[:5]
    user = _rc4(key, PADDING)
    entry = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{owner.hex()}> /U <{user.hex()}> /P -4 >>"
    return key, entry


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def coded(picture: Image.Image, format_: str = "PNG", **how: Any) -> bytes:
    """The picture as a file."""
    file = BytesIO()
    picture.save(file, format_, **how)
    return file.getvalue()


def plain(colour: Any = (255, 0, 0), size: tuple[int, int] = (8, 6), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)
