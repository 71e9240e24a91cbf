"""What the server and a painting process say to each other.

Rule: requests, numbers and pixels cross; files, URLs and formats stay on the server's side. Behind a frame come the
pixels of its pictures, one after another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from haiga.core.errors import HaigaError
from haiga.core.images import Hires, ImageRequest, Inpaint, Painted, Progress
from haiga.core.pictures import Picture
from haiga.engines.frames import frame, read_error, write_error


def paint(id: int, request: ImageRequest, seed: int) -> bytes:
    """Begin a job."""
    mask = request.inpaint.mask if request.inpaint else None
    pictures = [each for each in (request.source, mask) if each is not None]
    bare = replace(request, source=None, inpaint=None)
    inpaint = request.inpaint and {**_flat(replace(request.inpaint, mask=_NOTHING)), "mask": None}
    fields = {
        "do": "paint",
        "id": id,
        "seed": seed,
        "request": _flat(bare),
        "inpaint": inpaint,
        "source": request.source is not None,
        "pictures": [_size(each) for each in pictures],
    }
    return frame(fields, b"".join(each.rgb for each in pictures))


def stop(id: int) -> bytes:
    """End a job before its next step."""
    return frame({"do": "stop", "id": id})


def read_paint(fields: Mapping[str, Any], pixels: bytes) -> tuple[ImageRequest, int]:
    """The request and its seed."""
    pictures = iter(list(_pictures(fields["pictures"], pixels)))
    told = dict(fields["request"])
    told["hires"] = Hires(**told["hires"]) if told["hires"] else None
    told["source"] = next(pictures) if fields["source"] else None
    told["inpaint"] = Inpaint(**{**fields["inpaint"], "mask": next(pictures)}) if fields["inpaint"] else None
    return ImageRequest(**told), fields["seed"]


def ready(memory: int) -> bytes:
    """The pipeline is loaded; `memory` is resident bytes."""
    return frame({"is": "ready", "memory": memory})


def progress(id: int, told: Progress) -> bytes:
    preview = told.preview
    size = _size(preview) if preview else None
    fields = {"is": "progress", "id": id, "step": told.step, "steps": told.steps, "preview": size}
    return frame(fields, preview.rgb if preview else b"")


def painted(id: int, picture: Painted) -> bytes:
    fields = {"is": "painted", "id": id, "seed": picture.seed, "parameters": picture.parameters}
    return frame({**fields, "picture": _size(picture.picture)}, picture.picture.rgb)


def ended(id: int, error: HaigaError | None = None) -> bytes:
    """The job's last word."""
    return frame({"is": "ended", "id": id, "error": write_error(error) if error else None})


def read_report(report: Mapping[str, Any], data: bytes) -> Progress | Painted | HaigaError | None:
    """What is said of a job; None at its good end."""
    match report["is"]:
        case "progress":
            size = report["preview"]
            return Progress(report["step"], report["steps"], Picture(data, *size) if size else None)
        case "painted":
            return Painted(Picture(data, *report["picture"]), report["seed"], report["parameters"])
    return read_error(report["error"]) if report["error"] else None


_NOTHING = Picture(b"", 0, 0, "")


def _flat(value: Any) -> dict[str, Any]:
    return asdict(value)


def _size(picture: Picture) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.digest


def _pictures(sizes: list[list[Any]], pixels: bytes) -> Iterator[Picture]:
    at = 0
    for width, height, digest in sizes:
        end = at + width * height * 3
        yield Picture(pixels[at:end], width, height, digest)
        at = end
