"""Pictures as OpenAI's Images API gives them, whole and in a stream.

Rule: a picture in a stream has one `completed` event, and up to as many `partial_image` events before it as were asked
for, evenly over its steps.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from pydantic import BaseModel

from haiga.core.errors import HaigaError
from haiga.core.painting import KeptPicture
from haiga.wire.openai_errors import envelope
from haiga.wire.openai_images.read import AskedImages
from haiga.wire.sse import comment, frame


class ImageData(BaseModel):
    b64_json: str | None = None
    url: str | None = None
    seed: int


class ImagesAnswer(BaseModel):
    created: int
    data: list[ImageData]
    background: Literal["opaque"]
    output_format: str
    quality: str
    size: str


@dataclass(frozen=True, slots=True)
class Given:
    """A picture and how it is given: its file, or an address."""

    picture: KeptPicture
    file: bytes = b""
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """How a picture looks so far: a file in the format asked for."""

    file: bytes
    width: int
    height: int


def write_images(pictures: Sequence[Given], asked: AskedImages, created: int) -> bytes:
    data = [_given(each) | {"seed": each.picture.seed} for each in pictures]
    return orjson.dumps({"created": created, "data": data, **_told(asked, pictures[0].picture)})


class ImageStream:
    """Events of a stream."""

    def __init__(self, asked: AskedImages, created: int) -> None:
        self._asked = asked
        self._created = created
        self._shown = 0

    def write(self, item: "Given | Shown | object") -> bytes:
        """The frame of a picture; nothing for the stream's end."""
        match item:
            case Given():
                usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
                details = {"input_tokens_details": {"image_tokens": 0, "text_tokens": 0}}
                return self._frame("completed", item.picture, item.file, usage=usage | details)
            case Shown():
                number, self._shown = self._shown, self._shown + 1
                return self._frame("partial_image", item, item.file, partial_image_index=number)
        return b""

    def idle(self) -> bytes:
        return comment("keepalive")

    def error(self, error: HaigaError, request_id: str) -> bytes:
        return frame({"type": "error", **envelope(error)})

    def _frame(self, event: str, of: KeptPicture | Shown, file: bytes, **more: Any) -> bytes:
        told = {"type": f"{self._asked.kind}.{event}", "b64_json": b64encode(file).decode()}
        return frame({**told, "created_at": self._created, **_told(self._asked, of), **more})


def _given(each: Given) -> dict[str, str]:
    return {"b64_json": b64encode(each.file).decode()} if each.url is None else {"url": each.url}


def _told(asked: AskedImages, of: KeptPicture | Shown) -> dict[str, str]:
    size = f"{of.width}x{of.height}"
    return {"background": "opaque", "output_format": asked.format, "quality": asked.quality, "size": size}
