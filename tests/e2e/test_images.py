"""Pictures over the whole product: `haiga serve` as a process, real pipelines of five families in processes of their
own, one of them from the library, the official SDK and a raw WebSocket as clients.

Rule: one server; its memory is for two pipelines at a time, so that each that comes takes another's place.
"""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from PIL import Image
from websockets.sync.client import connect as websocket

from tests.e2e.test_serve import serving
from tests.pipelines import saved

FAMILIES = ("sd15", "sdxl", "sd3", "flux", "z-image")
ASKED: dict[str, Any] = {"seed": 7, "steps": 2}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    data, (added, *named) = tmp_path_factory.mktemp("data"), FAMILIES
    haiga = [str(Path(sys.executable).with_name("haiga")), "models"]
    own = ["--name", added, "--data-dir", str(data)]
    subprocess.run([*haiga, "add", str(saved(added, models / added)), *own], check=True)
    told = subprocess.run([*haiga, "show", added, *own[2:]], check=True, capture_output=True, text=True).stdout
    assert "StableDiffusion, makes pictures" in told
    flags = [flag for name in named for flag in ("--model", f"{name}={saved(name, models / name)}")]
    with serving(data, "--no-starter", "--memory-budget", "1800MiB", *flags) as server, server.client:
        yield server.url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0, timeout=240) as client:
        yield client


def files(made: Any) -> list[bytes]:
    return [base64.b64decode(each.b64_json) for each in made.data]


def watched(url: str, id: str) -> list[dict[str, Any]]:
    """All that a WebSocket tells of a job, up to its end."""
    with websocket(f"{url.replace('http', 'ws')}/v1/jobs/{id}/events", open_timeout=60) as socket:
        return [json.loads(text)["job"] for text in socket]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_gives_the_same_bytes_again_by_the_sdk_and_as_a_job(client: OpenAI, url: str, family: str) -> None:
    asked = {"model": family, "prompt": "a red boat"}
    once, again = (
        files(client.images.generate(**asked, n=2, size="64x64", extra_body=ASKED))  # type: ignore[call-overload]
        for _ in range(2)
    )
    assert once == again
    job = httpx.post(f"{url}/v1/jobs", json={**asked, **ASKED, "n": 2, "width": 64, "height": 64}, timeout=60).json()
    seen = watched(url, job["id"])
    assert ("done", 2) == (seen[-1]["status"], len(seen[-1]["pictures"]))
    assert once == [httpx.get(url + each["url"]).content for each in seen[-1]["pictures"]]
    assert once[0] != once[1]
    picture = Image.open(io.BytesIO(once[0]))
    assert ("PNG", (64, 64)) == (picture.format, picture.size)
    assert "Steps: 2, " in picture.info["parameters"] and f"Model: {family}" in picture.info["parameters"]


def test_an_edit_changes_what_the_mask_leaves_open_and_nothing_else(client: OpenAI) -> None:
    source = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 64, 24))
    sent = {name: (f"{name}.png", png(each)) for name, each in (("image", source), ("mask", mask))}
    wanted: dict[str, Any] = {**sent, "prompt": "a red boat", "model": "z-image", "extra_body": ASKED}
    (once,), (again,) = (files(client.images.edit(**wanted)) for _ in range(2))
    assert once == again
    made = Image.open(io.BytesIO(once)).convert("RGB")
    kept, open_ = (0, 48, 64, 64), (0, 0, 64, 16)
    assert source.crop(kept).tobytes() == made.crop(kept).tobytes()
    assert source.crop(open_).tobytes() != made.crop(open_).tobytes()


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
