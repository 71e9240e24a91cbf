"""What the starter sees, through the Messages API and the README's command.

Rule: pictures are drawn from the side of the split that training never saw (trainers/starter_vision); the shares are
those measured for its card, less a margin. Words and emoji are measured for the card alone, with fonts and pictures
that are not in the repository.
"""

import base64
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from tests.e2e.test_serve import Server, serving
from trainers.starter_vision.scenes import MAKERS, Scene, is_right

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HAIGA = str(Path(sys.executable).with_name("haiga"))
ASKED = 24
LEAST = {"colour": 0.8, "shape": 0.75, "count": 0.65}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("data")) as server:
        yield server


def said(server: Server, picture: Image.Image, question: str) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(file.getvalue()).decode()}
    asked = [{"type": "image", "source": source}, {"type": "text", "text": question}]
    message = server.ask("", messages=[{"role": "user", "content": asked}], max_tokens=40)
    return str(message.content[0].text)


@pytest.mark.parametrize("task", LEAST)
def test_pictures_of_a_kind_that_training_never_drew_are_told(server: Server, task: str) -> None:
    scenes = [MAKERS[task](Random(f"{task} {number}"), True) for number in range(ASKED)]
    answers = [(scene, said(server, scene.picture, scene.question)) for scene in scenes]
    wrong = [f"{answer} (it is {scene.key})" for scene, answer in answers if not is_right(scene, answer)]
    assert len(wrong) <= (1 - LEAST[task]) * ASKED, wrong


def test_a_picture_is_still_there_in_the_next_turn(server: Server) -> None:
    scene = next(scenes_of("colour", "red"))
    file = io.BytesIO()
    scene.picture.save(file, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(file.getvalue()).decode()}
    history = [
        {
            "role": "user",
            "content": [{"type": "image", "source": source}, {"type": "text", "text": "What shape is it?"}],
        },
        {"role": "assistant", "content": f"It is a {scene.seen['shape']}."},
        {"role": "user", "content": "What colour is it?"},
    ]
    answer = server.ask("", messages=history, max_tokens=40)
    assert is_right(scene, answer.content[0].text), answer.content


def scenes_of(task: str, key: str) -> Iterator[Scene]:
    for seed in range(1000):
        scene = MAKERS[task](Random(seed), False)
        if scene.key == key:
            yield scene


def test_the_readme_s_picture_is_told_as_it_says_there(tmp_path: Path) -> None:
    command, answer = re.findall(r'haiga (run starter "[^"]+" --image \S+)\n```\n\n```text\n(.*?)\n```', README)[0]
    words = [word.strip('"') for word in re.findall(r'"[^"]+"|\S+', command)]
    done = subprocess.run(
        [HAIGA, *words, "--data-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert answer == done.stdout.strip(), done.stderr
