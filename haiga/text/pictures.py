"""Pictures in a prompt: what is written for them, and where their tokens are.

Rule: the chat template writes one token for each picture, as content it cannot be spelled (guard.py); it is replaced by
what the model's own processor writes for a picture of that size, before the prompt is encoded. So a prompt with
pictures is counted without looking at them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from haiga.core.errors import Invalid, Unsupported
from haiga.core.generation import TextRequest
from haiga.core.messages import Block, Image, ToolResult
from haiga.core.pictures import Grid, Picture, Placed, Span


class Spelling(Protocol):
    """How a model writes pictures. token: what its template writes for one; written: what is written where it writes
    none, with `token` in it; filler: the token that a picture's features take the place of."""

    @property
    def token(self) -> str: ...

    @property
    def written(self) -> str: ...

    @property
    def filler(self) -> str: ...

    def spelling(self, width: int, height: int) -> str:
        """What takes the place of `token` for a picture of that size in pixels."""

    def grid(self, width: int, height: int) -> Grid | None:
        """Rows and columns of its tokens, where the model's positions count in both."""


def pictures_of(request: TextRequest) -> list[Picture]:
    """The request's pictures in the order of the prompt: results come before the words of their message."""
    found: list[Picture] = []
    for message in request.messages:
        results = [block for block in message.content if isinstance(block, ToolResult)]
        found += [picture for result in results for picture in _pictures(result.content)]
        found += _pictures(message.content)
    return found


def _pictures(blocks: Sequence[Block]) -> Iterator[Picture]:
    return (block.source for block in blocks if isinstance(block, Image) and isinstance(block.source, Picture))


@dataclass(frozen=True, slots=True)
class Spelled:
    """A prompt's text with pictures spelled out; `grown` are places behind a picture's token, as they were, and how
    much longer the text up to there has become."""

    text: str
    grown: tuple[tuple[int, int], ...]

    def at(self, place: int) -> int:
        """Where a place of the text before is now."""
        return place + max((more for end, more in self.grown if end <= place), default=0)


def spelled(text: str, pictures: Sequence[Picture], how: Spelling) -> Spelled:
    """The text with every picture's token spelled out. Raises Unsupported where it does not show each."""
    pieces = text.split(how.token)
    if len(pieces) != len(pictures) + 1:
        raise Unsupported(
            f"this model's chat template shows {len(pieces) - 1} of {len(pictures)} images where they stand",
            field="messages",
        )
    written, grown, end, more = [pieces[0]], [], len(pieces[0]), 0
    for picture, piece in zip(pictures, pieces[1:], strict=True):
        whole = how.spelling(picture.width, picture.height)
        written += [whole, piece]
        end += len(how.token)
        more += len(whole) - len(how.token)
        grown.append((end, more))
        end += len(piece)
    return Spelled("".join(written), tuple(grown))


def placed(ids: Sequence[int], filler: int | None, pictures: Sequence[Picture], how: Spelling) -> tuple[Placed, ...]:
    """Where in a prompt's tokens the pictures are. Raises Invalid where the tokenizer breaks their token up."""
    places = [place for place, token in enumerate(ids) if token == filler]
    found, at = [], 0
    for picture in pictures:
        count = how.spelling(picture.width, picture.height).count(how.filler)
        own = places[at : at + count]
        if len(own) < count:
            raise Invalid("this model's tokenizer does not know the tokens that stand for pictures", field="messages")
        found.append(Placed(picture, tuple(_spans(own)), how.grid(picture.width, picture.height)))
        at += count
    return tuple(found)


def _spans(places: Sequence[int]) -> Iterator[Span]:
    first = 0
    for at in range(1, len(places) + 1):
        if at == len(places) or places[at] != places[at - 1] + 1:
            yield places[first], at - first
            first = at
