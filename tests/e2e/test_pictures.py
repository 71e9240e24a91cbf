"""`haiga serve` with a model that makes pictures: A1111's client, `haiga image`, and what a server without one says."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import webuiapi
from PIL import Image

from tests.pipelines import saved

HAIGA = str(Path(sys.executable).with_name("haiga"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def key(place: Path) -> str:
    made = [HAIGA, "keys", "create", "painter", "--data-dir", str(place / "data")]
    return subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def url(place: Path, key: str) -> Iterator[str]:
    """A server with one tiny model and keys."""
    model = saved("sd15", place / "tiny")
    (place / "data" / "styles.csv").write_text("name,prompt,negative_prompt\nfilm,a photo of {prompt},grain\n")
    line = [HAIGA, "serve", "--port", "0", "--data-dir", str(place / "data"), "--model", f"tiny={model}"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(word for said in server.stdout for word in said.split() if word.startswith("http://"))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def image(url: str, key: str, *arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "HAIGA_API_KEY": key}
    line = [HAIGA, "image", *arguments, "--url", url]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def ran(url: str, key: str, *arguments: str) -> tuple[int, str, str]:
    with image(url, key, *arguments) as running:
        said, complaints = running.communicate(timeout=120)
    return running.returncode, said, complaints


def test_a_client_of_a1111_makes_a_picture(url: str, key: str) -> None:
    api = webuiapi.WebUIApi(baseurl=f"{url}/sdapi/v1", username="me", password=key, sampler="Euler", steps=2)
    made = api.txt2img(prompt="a red boat", width=64, height=64, seed=3, alwayson_scripts={})
    assert ((64, 64), "tiny", 3) == (made.image.size, made.info["sd_model_name"], made.info["seed"])
    assert ["tiny", "starter-image"] == [model["model_name"] for model in api.get_sd_models()]
    assert 401 == httpx.get(f"{url}/sdapi/v1/sd-models").status_code


def test_a_picture_is_written_with_what_made_it(url: str, key: str, tmp_path: Path) -> None:
    out = tmp_path / "boat.png"
    asked = ("--size", "64x64", "--steps", "2", "--seed", "3", "--negative", "text", "--style", "film")
    assert (0, f"{out}: 64x64, seed 3\n", "") == ran(url, key, "a red boat", "-o", str(out), *asked)
    with Image.open(out) as made:
        assert made.info["parameters"].startswith("a photo of a red boat\nNegative prompt: text, grain\nSteps: 2")
    assert [out] == list(tmp_path.iterdir())


def test_several_are_numbered_and_begin_from_another(url: str, key: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (200, 20, 20)).save(tmp_path / "red.png")
    out = tmp_path / "boats.webp"
    from_red = ("--image", str(tmp_path / "red.png"), "--strength", "0.5", "-n", "2", "--seed", "1", "--steps", "2")
    code, said, _ = ran(url, key, "boats", "-o", str(out), *from_red)
    first, second = tmp_path / "boats-1.webp", tmp_path / "boats-2.webp"
    assert (0, f"{first}: 64x64, seed 1\n{second}: 64x64, seed 2\n") == (code, said)
    with Image.open(first) as made:
        assert ("WEBP", (64, 64)) == (made.format, made.size)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--size", "70x64"), "haiga: width: width must be a multiple of 8, not 70\n"),
        (("--model", "other"), "haiga: The model `other` does not exist or you do not have access to it.\n"),
        (("--style", "dreamy"), "haiga: style 'dreamy' not found. Those there are: film\n"),
        (("--image", "/nowhere.png"), "haiga: /nowhere.png: No such file or directory\n"),
        (("-o", "x.bmp"), "haiga: --out: expected a name that ends in .png, .jpg, .jpeg, .webp, not x.bmp\n"),
        (("--mask", "x.png"), "haiga: --mask: a mask needs a picture that it is for: --image\n"),
    ],
)
def test_what_is_wrong_is_one_line(url: str, key: str, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    assert (1, "", said) == ran(url, key, "a boat", "-o", str(tmp_path / "x.png"), *arguments)


def test_whoever_interrupts_ends_the_job(url: str, key: str, tmp_path: Path) -> None:
    headers = {"x-api-key": key}
    with image(url, key, "a boat", "-o", str(tmp_path / "x.png"), "--steps", "500", "--size", "512x512") as running:
        while not httpx.get(f"{url}/v1/jobs?status=running", headers=headers).json()["data"]:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
    assert (130, "haiga: the job is cancelled\n") == (running.returncode, complaints)
    (last, *_) = httpx.get(f"{url}/v1/jobs", headers=headers).json()["data"]
    assert ("cancelled", []) == (last["status"], list(tmp_path.iterdir()))
