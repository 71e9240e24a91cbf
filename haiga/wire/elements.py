"""The objects in one list of a JSON object whose text arrives in pieces, so that a long list is never held whole.

Rule: only brackets and quotes are looked at here. Every object's text is passed on for a real parser to judge; what
stands around the objects is kept, each of them as `{}`, and judged at the end.
"""

import re
from collections.abc import Iterator

import orjson

from haiga.core.errors import Invalid, TooLarge
from haiga.wire.body import MAX_DEPTH

STRUCTURE = re.compile(rb'[\[\]{}]|"(?:[^"\\]++|\\.)*+("?)', re.DOTALL)  # a bracket, or a string as far as it goes
REST = re.compile(rb'(?:[^"\\]++|\\.)*+("?)', re.DOTALL)
BRACKET, BRACE = b"[{"
ITEM_LIMIT = 32 << 20  # bytes of one object
FRAME_LIMIT = 4 << 20  # bytes of everything else
TAIL = 1000  # bytes before a list in which its name is looked for


class Elements:
    """Feed it the body's pieces; `close` when that was all.

    Raises Invalid for what is no JSON object with such a list, TooLarge for an object over ITEM_LIMIT.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._named = re.compile(rb"%b\s*:\s*$" % re.escape(orjson.dumps(key)))
        self._depth = 0
        self._quoted = self._escaped = False  # in a string; after a backslash there
        self._listed = False  # in the list
        self._inside = False  # in one of its objects
        self._item = bytearray()
        self._frame = bytearray()
        self.count = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The objects that this piece completes."""
        if not piece:
            return []
        found: list[bytes] = []
        start = 0  # of what is not kept yet
        for at in self._brackets(piece):
            if piece[at] in b"[{":
                if self._opens(piece[at], piece[start:at] if self._depth < 3 else b""):
                    self._keep(piece[start:at])
                    self._inside, start = True, at
            elif self._closes():
                self._keep(piece[start : at + 1])
                start = at + 1
                found.append(self._take())
        self._keep(piece[start:])
        return found

    def close(self) -> int:
        """How many objects there were."""
        try:
            frame = orjson.loads(self._frame + self._item)
        except orjson.JSONDecodeError as error:
            raise Invalid(f"The request body is not valid JSON: {str(error).partition(': line')[0]}") from None
        if not isinstance(frame, dict):
            raise Invalid("Input should be a valid dictionary")
        if self._key not in frame:
            raise Invalid("Field required", field=self._key)
        self._check(frame[self._key])
        return self.count

    def _check(self, listed: object) -> None:
        if not isinstance(listed, list):
            raise Invalid("Input should be a valid list", field=self._key)
        for i, element in enumerate(listed):
            if element != {}:
                raise Invalid("Input should be a valid dictionary", field=f"{self._key}.{i}")
        if len(listed) != self.count:
            raise Invalid("The field is there more than once", field=self._key)

    def _brackets(self, piece: bytes) -> Iterator[int]:
        """Where brackets are that are not in strings."""
        at = self._string_end(piece) if self._quoted else 0
        for match in STRUCTURE.finditer(piece, at):
            if match[1] is None:
                yield match.start()
            elif not match[1]:  # a string that goes on in the next piece, perhaps after a backslash
                self._quoted, self._escaped = True, match.end() < len(piece)
                return

    def _string_end(self, piece: bytes) -> int:
        """Just after the end of the string that was begun before; the piece's end when it is not in it."""
        match = REST.match(piece, 1 if self._escaped else 0)
        assert match is not None
        self._quoted = not match[1]
        self._escaped = self._quoted and match.end() < len(piece)
        return len(piece) if self._quoted else match.end()

    def _opens(self, bracket: int, before: bytes) -> bool:
        """Whether an object of the list begins with this bracket. `before`: what was not kept yet."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Invalid(f"The request body is nested more than {MAX_DEPTH} levels deep")
        if self._depth == 2 and bracket == BRACKET:
            self._listed = bool(self._named.search((self._frame[-TAIL:] + before)[-TAIL:]))
        return self._depth == 3 and bracket == BRACE and self._listed

    def _closes(self) -> bool:
        """Whether an object of the list ends with this bracket."""
        self._depth -= 1
        self._listed = self._listed and self._depth >= 2
        return self._inside and self._depth == 2

    def _keep(self, part: bytes) -> None:
        held = self._item if self._inside else self._frame
        held += part
        if len(self._item) > ITEM_LIMIT:
            raise TooLarge(f"exceeds the maximum size of {ITEM_LIMIT} bytes", field=f"{self._key}.{self.count}")
        if len(self._frame) > FRAME_LIMIT:
            raise Invalid(f"more than {FRAME_LIMIT} bytes of the request body are outside the objects of {self._key}")

    def _take(self) -> bytes:
        item = bytes(self._item)
        self._item.clear()
        self._frame += b"{}"
        self._inside = False
        self.count += 1
        return item
