"""A form's file comes out as it went in, however the body is chopped; what is no form is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Invalid
from haiga.wire.multipart import MOST_BYTES, MOST_FIELDS, Form, FormReader

TYPE = "multipart/form-data; boundary=limit"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return b'--limit\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
        name.encode(),
        more.encode(),
        value,
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--limit--\r\n"


def read(body: bytes, size: int = 1000) -> tuple[bytes, Form]:
    reader = FormReader(TYPE, "file")
    found = b"".join([reader.feed(body[at : at + size]) for at in range(0, len(body), size)])
    return found, reader.close()


@given(st.binary(max_size=60) | st.text("\r\n-limit").map(str.encode), st.integers(1, 50))
def test_any_chopping_gives_the_file_as_it_is(data: bytes, size: int) -> None:
    if b"\r\n--limit" in b"\r\n" + data:  # no client would choose this boundary
        return
    more = '; filename="né.txt"\r\nContent-Type: text/plain; charset=utf-8'
    body = form(part("purpose", b"batch"), part("file", data, more), part("after", b"\xff"))
    assert (data, Form({"purpose": "batch", "after": "�"}, "né.txt", "text/plain")) == read(body, size)


@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([b"--limit", b"\r\n", b"--", b":", b'name="file"'])).map(b"".join)
)
def test_whatever_the_body_is_it_is_read_or_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read(body)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (form(part("other", b"")), "Field required"),
        (form(part("file", b""))[:-8], "ends before its form does"),
        (form(part("file", b"a"), part("file", b"b")), "more than one file"),
        (form(part("other", bytes(MOST_BYTES + 1))), "more than 65536 bytes"),
        (form(*[part(f"f{i}", b"") for i in range(MOST_FIELDS + 1)]), "more than 64 fields"),
        (b"--other\r\n", "not a valid form"),
    ],
)
def test_what_is_wrong_with_a_form_is_named(body: bytes, complaint: str) -> None:
    with pytest.raises(Invalid, match=complaint):
        read(body)


@pytest.mark.parametrize(
    "kind", ["", "application/json", "multipart/form-data", f"multipart/form-data; boundary={'x' * 999}"]
)
def test_a_body_that_is_no_form_is_refused(kind: str) -> None:
    with pytest.raises(Invalid):
        FormReader(kind, "file")
