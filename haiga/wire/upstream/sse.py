"""Server-sent events as they arrive, in pieces cut anywhere.

Rule: only the data of an event is given: each family's data says itself what it is.
"""

from haiga.core.errors import Failed

LARGEST = 32 << 20  # bytes of one event


class Frames:
    """Feed it a body's pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of a line that has not ended
        self._held = 0
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of each event that this piece completes. Raises Failed for an event without end."""
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > LARGEST:
            raise Failed("an event of the stream is too long")
        if b"\n" not in piece:
            return []
        *lines, rest = b"".join(self._pieces).split(b"\n")
        self._pieces = [rest] if rest else []
        found = [data for line in lines if (data := self._line(line.removesuffix(b"\r"))) is not None]
        self._held = len(rest) + sum(map(len, self._data))
        return found

    def _line(self, line: bytes) -> bytes | None:
        """The data of the event that an empty line ends."""
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data = b"\n".join(self._data)
            self._data.clear()
            return data
        return None
