"""A multipart form with one file, read as it arrives.

Rule: the file's bytes are passed on and never held; everything else of the form is bounded.
"""

from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from haiga.core.errors import Invalid

MOST_FIELDS = 64
MOST_BYTES = 64 << 10  # of all fields together


@dataclass(frozen=True, slots=True)
class Form:
    """What came with the file: the other fields, and the name and type that its part gave it, "" for none."""

    fields: dict[str, str]
    filename: str
    mime_type: str


@dataclass(slots=True)
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    value: bytearray = field(default_factory=bytearray)


class FormReader:
    """Feed it the body's pieces; `close` when that was all. `file` is the name of the file's field.

    Raises Invalid for what is no such form.
    """

    def __init__(self, content_type: str, file: str) -> None:
        self._file = file
        self._fields: dict[str, str] = {}
        self._found: _Part | None = None
        self._part = _Part()
        self._header = bytearray()
        self._value = bytearray()
        self._pieces: list[bytes] = []
        self._size = self._count = 0
        self._ended = False
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise Invalid("The request body must be multipart/form-data with a boundary")
        try:
            self._parser = MultipartParser(options[b"boundary"], self._callbacks())  # type: ignore[arg-type]
        except FormParserError as problem:
            raise Invalid(f"The request body is not a valid form: {problem}") from None

    def feed(self, piece: bytes) -> bytes:
        """The file's bytes in this piece."""
        try:
            self._parser.write(piece)
        except FormParserError as problem:
            raise Invalid(f"The request body is not a valid form: {problem}") from None
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found

    def close(self) -> Form:
        """What came with the file."""
        if not self._ended:
            raise Invalid("The request body ends before its form does")
        if self._found is None:
            raise Invalid("Field required", field=self._file, code="missing_required_parameter")
        mime_type = self._found.headers.get(b"content-type", b"")
        return Form(self._fields, self._found.filename or "", _text(mime_type).partition(";")[0].strip())

    def _callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._finish,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._name,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._part = _Part()
        self._count += 1
        if self._count > MOST_FIELDS:
            raise Invalid(f"The form has more than {MOST_FIELDS} fields")

    def _end_header(self) -> None:
        self._part.headers[bytes(self._header).lower()] = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _name(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        self._part.name = _text(options.get(b"name", b""))
        self._part.filename = _text(options[b"filename"]) if b"filename" in options else None
        if self._part.name != self._file:
            return
        if self._found is not None:
            raise Invalid("The form has more than one file", field=self._file)
        self._found = self._part

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part is self._found:
            self._pieces.append(data[start:end])
            return
        self._size += end - start
        if self._size > MOST_BYTES:
            raise Invalid(f"The form's fields have more than {MOST_BYTES} bytes")
        self._part.value += data[start:end]

    def _finish(self) -> None:
        if self._part is not self._found:
            self._fields[self._part.name] = _text(self._part.value)

    def _end(self) -> None:
        self._ended = True


def _text(raw: bytes | bytearray) -> str:
    return raw.decode("utf-8", "replace")
