"""What bytes are, told by how they begin."""

PDF = "application/pdf"
UNTOLD = ("application/octet-stream", "binary/octet-stream")  # what servers say of files that they know nothing of
TEXTS = ("application/json", "application/jsonl", "application/xml", "application/x-ndjson", "application/yaml")
IMAGE_TYPES = ("image/*", *UNTOLD)
PAPER_TYPES = (PDF, "text/*", *TEXTS, *UNTOLD)
PDF_WITHIN = 1024  # bytes in which a PDF's header is looked for, as readers do


def picture_kind(data: bytes) -> str:
    """The media type of a picture's file; empty for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


def is_pdf(data: bytes) -> bool:
    return b"%PDF-" in data[:PDF_WITHIN]


def is_text(kind: str) -> bool:
    """Whether what is of this media type may be a text."""
    return not kind or kind.startswith("text/") or kind in (*TEXTS, *UNTOLD)
