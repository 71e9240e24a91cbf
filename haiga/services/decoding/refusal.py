"""What a decoder says of a file that it does not read."""


class Refusal(Exception):
    """`reason` is for the caller to read; `code` names the kind where there is one."""

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


OVERSIZED = "image_dimensions_too_large"


def told(problem: Exception) -> str:
    """A library's own words, short enough for an error and without what could be the file's."""
    first = str(problem).partition("\n")[0].partition(" <")[0]
    return "".join(letter for letter in first if letter.isprintable())[:120] or type(problem).__name__
