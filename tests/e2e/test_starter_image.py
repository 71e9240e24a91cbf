"""The starter that makes pictures, over the whole product: `haiga serve` without a flag, the official SDK, A1111's
client and `haiga image`."""

import base64
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import webuiapi
from numpy.typing import NDArray
from openai import BadRequestError, OpenAI
from PIL import Image

from tests.e2e.test_serve import Server, serving
from trainers.starter_vision.painting import COLOURS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HAIGA = str(Path(sys.executable).with_name("haiga"))
CIRCLE = "a red circle on a blue background"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0, timeout=280) as client:
        yield client


def picture(client: OpenAI, prompt: str, **asked: Any) -> Image.Image:
    made = client.images.generate(prompt=prompt, extra_body={"seed": 1}, **asked)
    return Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json)))


def named(image: Image.Image) -> NDArray[np.str_]:
    """The nearest colour's name for each pixel, [rows, columns]."""
    pixels = np.asarray(image.convert("RGB"), int)[:, :, None]
    far = np.square(pixels - np.array(list(COLOURS.values()))).sum(-1)
    return np.array(list(COLOURS))[far.argmin(-1)]


def is_circle(image: Image.Image, colour: str, behind: str) -> bool:
    """Whether a disc of the colour stands about the middle of the other."""
    names = named(image.resize((64, 64)))
    rows, columns = np.nonzero(names == colour)
    if len(rows) < 64 or {behind} != {str(names[at]) for at in ((1, 1), (1, 62), (62, 1), (62, 62))}:
        return False
    high, wide = (int(np.ptp(each)) + 1 for each in (rows, columns))
    middle = abs(rows.mean() - 31.5) < 11 and abs(columns.mean() - 31.5) < 11
    return bool(middle and abs(high / wide - 1) < 0.25 and 0.65 < len(rows) / (high * wide) < 0.92)


def test_no_process_paints_before_a_picture_is_asked_for(server: Server, client: OpenAI) -> None:
    before = server.engines()
    assert "starter-image  makes pictures" in server.announced
    made = picture(client, CIRCLE)
    assert (64, 64) == made.size
    assert is_circle(made, "red", "blue")
    assert len(before) + 1 == len(server.engines())


def test_every_face_lists_it(server: Server, client: OpenAI) -> None:
    assert ["starter", "starter-image"] == [model.id for model in client.models.list()]
    assert ["starter", "starter-image"] == [model.id for model in server.client.models.list()]
    router = httpx.get(f"{server.url}/api/v1/models").json()["data"]
    assert [["text"], ["image"]] == [model["architecture"]["output_modalities"] for model in router]
    listed = httpx.get(f"{server.url}/sdapi/v1/sd-models").json()
    assert ["starter-image"] == [model["model_name"] for model in listed]


def test_a_size_that_it_never_learnt_is_its_own_picture_enlarged(client: OpenAI) -> None:
    made = picture(client, CIRCLE, size="1024x1024", model="starter-image")
    assert (1024, 1024) == made.size
    assert is_circle(made, "red", "blue")


def test_colours_are_those_that_are_asked_for(client: OpenAI) -> None:
    asked = [("green", "white"), ("yellow", "black"), ("white", "red"), ("orange", "green")]
    right = []
    for colour, behind in asked:
        names = named(picture(client, f"a {colour} square on a {behind} background"))
        right += [(colour, behind)] * ((colour, behind) == (names[32, 32], names[1, 1]))
    assert len(right) >= 3, right


def test_it_is_seen_while_it_is_painted(client: OpenAI) -> None:
    stream = client.images.generate(prompt=CIRCLE, stream=True, partial_images=2, extra_body={"seed": 1})
    events = list(stream)
    assert "image_generation.completed" == events[-1].type
    assert is_circle(Image.open(io.BytesIO(base64.b64decode(events[-1].b64_json))), "red", "blue")
    assert {"image_generation.partial_image"} == {event.type for event in events[:-1]}


def test_a_client_of_a1111_gets_it_in_its_own_size_and_sampler(server: Server) -> None:
    api = webuiapi.WebUIApi(baseurl=f"{server.url}/sdapi/v1", sampler="Euler a", steps=20)
    made = api.txt2img(prompt=CIRCLE, width=512, height=512, cfg_scale=7, seed=1, alwayson_scripts={})
    assert ((512, 512), "starter-image") == (made.image.size, made.info["sd_model_name"])
    assert is_circle(made.image, "red", "blue")


def test_the_command_needs_a_prompt_and_nothing_else(server: Server, tmp_path: Path) -> None:
    line = [HAIGA, "image", CIRCLE, "-o", str(tmp_path / "x.png"), "--seed", "1", "--url", server.url]
    subprocess.run(line, check=True, timeout=120)
    with Image.open(tmp_path / "x.png") as made:
        assert "Model: starter-image" in made.info["parameters"]
        assert is_circle(made, "red", "blue")


def test_the_readme_s_picture_is_what_its_command_makes(server: Server, tmp_path: Path) -> None:
    ((command, shown),) = re.findall(r"```sh\n(haiga image .*?)\n```\n\n!\[.*?\]\((.*?)\)", README)
    line = [HAIGA, *shlex.split(command)[1:], "--url", server.url]
    subprocess.run(line, check=True, timeout=120, cwd=tmp_path)
    (made,) = tmp_path.iterdir()
    with Image.open(made) as actual, Image.open(ROOT / shown) as expected:
        assert expected.size == actual.size
        assert 4 > np.abs(np.subtract(expected, actual, dtype=float)).mean()  # processors round differently


def test_a_plain_install_says_what_adds_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None\n")  # as if it were not there
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    said = "this server makes no pictures: torch is not installed; add it with pip install 'haiga\\[images\\]'"
    with serving(tmp_path / "data") as plain, OpenAI(base_url=f"{plain.url}/v1", api_key="any", max_retries=0) as sdk:
        assert ["starter"] == [model.id for model in sdk.models.list()]
        with pytest.raises(BadRequestError, match=said):
            sdk.images.generate(prompt=CIRCLE)
