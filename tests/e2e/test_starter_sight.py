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
from typing import Any

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


def asked(picture: Image.Image, question: str) -> dict[str, Any]:
    """A user's message with a picture before the question."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(file.getvalue()).decode()}
    return {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": question}]}


def said(server: Server, *messages: dict[str, Any]) -> str:
    answer: Any = server.ask("", messages=messages, max_tokens=40).content[0]
    return str(answer.text)


@pytest.mark.parametrize("task", LEAST)
def test_pictures_of_a_kind_that_training_never_drew_are_told(server: Server, task: str) -> None:
    scenes = [MAKERS[task](Random(f"{task} {number}"), True) for number in range(ASKED)]
    answers = [(scene, said(server, asked(scene.picture, scene.question))) for scene in scenes]
    wrong = [f"{answer} (it is {scene.key})" for scene, answer in answers if not is_right(scene, answer)]
    assert len(wrong) <= (1 - LEAST[task]) * ASKED, wrong


def test_a_picture_is_still_there_in_the_next_turn(server: Server) -> None:
    scene = next(scenes_of("colour", "red"))
    turns = (
        asked(scene.picture, "What shape is it?"),
        {"role": "assistant", "content": f"It is a {scene.seen['shape']}."},
        {"role": "user", "content": "What colour is it?"},
    )
    assert is_right(scene, answer := said(server, *turns)), answer


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
