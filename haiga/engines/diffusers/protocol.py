"""What the server and a painting process say to each other.

Rule: requests, numbers and pixels cross; files, URLs and formats stay on the server's side. Behind a frame come the
pixels of its pictures, one after another.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from haiga.core.errors import HaigaError
from haiga.core.flat import flat, unflat
from haiga.core.images import ImageRequest, Painted, Progress, UpscaleRequest
from haiga.core.pictures import Picture
from haiga.engines.frames import frame, read_error, write_error


def paint(id: int, request: ImageRequest, seed: int) -> bytes:
    """Begin a job."""
    return _asked("paint", id, request, seed)


def upscale(id: int, request: UpscaleRequest) -> bytes:
    """Begin a job that enlarges a picture."""
    return _asked("upscale", id, request, 0)


def stop(id: int) -> bytes:
    """End a job before its next step."""
    return frame({"do": "stop", "id": id})


def skip() -> bytes:
    """Leave the pictures that are being made, and go on with the next of their job."""
    return frame({"do": "skip"})


def read_paint(command: Mapping[str, Any], pixels: bytes) -> tuple[ImageRequest, int]:
    """The request and its seed."""
    request: ImageRequest = unflat(ImageRequest, command["request"], list(_pictures(command["pictures"], pixels)))
    return request, command["seed"]


def read_upscale(command: Mapping[str, Any], pixels: bytes) -> UpscaleRequest:
    request: UpscaleRequest = unflat(UpscaleRequest, command["request"], list(_pictures(command["pictures"], pixels)))
    return request


def ready(memory: int, fitted: str, reasons: Sequence[str]) -> bytes:
    """The pipeline is loaded; `memory` is resident bytes. fitted: how it is run, and why."""
    return frame({"is": "ready", "memory": memory, "fitted": fitted, "reasons": list(reasons)})


def progress(id: int, told: Progress) -> bytes:
    preview = told.preview
    size = _size(preview) if preview else None
    report = {"is": "progress", "id": id, "step": told.step, "steps": told.steps, "preview": size}
    return frame(report, preview.rgb if preview else b"")


def painted(id: int, picture: Painted) -> bytes:
    report = {"is": "painted", "id": id, "seed": picture.seed, "parameters": picture.parameters}
    return frame({**report, "picture": _size(picture.picture)}, picture.picture.rgb)


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


def _asked(do: str, id: int, request: ImageRequest | UpscaleRequest, seed: int) -> bytes:
    told, pictures = flat(request)
    command = {"do": do, "id": id, "seed": seed, "request": told}
    return frame({**command, "pictures": [_size(each) for each in pictures]}, b"".join(each.rgb for each in pictures))


def _size(picture: Picture) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.digest


def _pictures(sizes: list[list[Any]], pixels: bytes) -> Iterator[Picture]:
    at = 0
    for width, height, digest in sizes:
        end = at + width * height * 3
        yield Picture(pixels[at:end], width, height, digest)
        at = end
