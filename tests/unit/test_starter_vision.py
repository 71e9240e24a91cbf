"""The pictures that the starter learns to see from: what is held out stays out, and answers are judged strictly."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from PIL import Image, ImageFont
from transformers import LlavaForConditionalGeneration

from haiga.core.generation import SamplingRequest, TextRequest, fold
from haiga.core.messages import Image as Shown
from haiga.core.messages import Message, Text, text_of
from haiga.core.pictures import Picture
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.starter import text_path
from trainers.starter_vision import network
from trainers.starter_vision.lessons import UNKNOWN, labels_of, slots_of
from trainers.starter_vision.material import Material, find_fonts
from trainers.starter_vision.measure import answers
from trainers.starter_vision.painting import COLOURS, SHAPES
from trainers.starter_vision.scenes import PAIRS, TASKS, Scene, draw, is_right, spelling_lesson
from trainers.starter_vision.split import between, is_held_out, parted
from trainers.starter_vision.train import Plan, Rows, Source, loss_of, train

WORDS = tuple(f"{a}{b}{c}t" for a in "bcfh" for b in "aeiou" for c in "lnrs")
SEEDS = range(12)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Pillow's own font under eight names, and emoji of plain colours."""
    folder = tmp_path_factory.mktemp("fonts")
    font: Any = ImageFont.load_default(20)
    (folder / "own.ttf").write_bytes(font.font_bytes or font.path.getvalue())
    (file,) = next(iter(find_fonts([folder]).values()))
    emoji = {name: Image.new("RGBA", (128, 128), colour) for name, colour in (("fox", "orange"), ("frog", "green"))}
    return Material({f"family {n}": [file] for n in range(8)}, WORDS, emoji)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("held", [False, True])
def test_a_scene_is_the_same_for_the_same_seed_and_its_answer_is_right(
    material: Material, task: str, held: bool
) -> None:
    for seed in SEEDS:
        one, other = (draw(task, Random(seed), material, held) for _ in range(2))
        assert one.picture.tobytes() == other.picture.tobytes()
        assert "RGB" == one.picture.mode
        assert is_right(one, one.answer)


def test_what_is_measured_is_never_trained(material: Material) -> None:
    for held in (False, True):
        pairs = {tuple(draw("shape", Random(seed), material, held).answer[:-1].split()[-2:]) for seed in SEEDS}
        assert all(held == is_held_out(pair) for pair in pairs)
    words = [draw("word", Random(seed), material, held=False).key for seed in range(60)]
    assert set() == set(words) & set(parted(WORDS, True))
    assert all(draw("word", Random(seed), material, held=True).key in parted(WORDS, True) for seed in SEEDS)
    assert {True, False} == {is_held_out(pair) for pair in PAIRS}
    assert all(any(not is_held_out((colour, shape)) for shape in SHAPES) for colour in COLOURS)
    assert all(any(not is_held_out((colour, shape)) for colour in COLOURS) for shape in SHAPES)


def test_held_out_numbers_lie_between_those_of_training() -> None:
    trained, held = ([between(Random(seed), 0, 1, side) for seed in range(500)] for side in (False, True))
    pieces = [{int(number * 20) for number in numbers} for numbers in (trained, held)]
    assert set() == pieces[0] & pieces[1]
    assert set(range(20)) == pieces[0] | pieces[1]


@pytest.mark.parametrize(
    ("task", "key", "said", "right"),
    [
        ("colour", "red", "It is red.", True),
        ("colour", "red", "It is red or blue.", False),
        ("colour", "red", "It is reddish.", False),
        ("shape", "circle", "Circles.", True),
        ("shape", "circle", "It is a red ring.", False),
        ("count", "three", "There are three stars.", True),
        ("count", "three", "three, no, four", False),
        ("word", "lamp", "L-A-M-P: lamp", True),
        ("word", "lamp", "L-A-M-P: lamb", False),
        ("emoji", "red apple", "It is the emoji for red apple.", True),
        ("emoji", "red apple", "It is the emoji for apple.", False),
        ("word", "lamp", "", False),
    ],
)
def test_an_answer_is_right_if_it_says_the_one_thing(task: str, key: str, said: str, right: bool) -> None:
    assert right == is_right(Scene(task, Image.new("RGB", (1, 1)), "", "", key), said)


def test_spelling_is_taught_with_every_word(material: Material) -> None:
    lessons = [spelling_lesson(Random(seed), material) for seed in range(400)]
    assert set(WORDS) == {answer.rpartition(" ")[2] for _, (_, answer) in lessons}


def test_a_short_run_teaches_tower_and_text_model_something(material: Material) -> None:
    eyes = network.Eyes(image=24, patch=12, width=32, layers=1, heads=2, mlp_width=48)
    tokenizer = network.seeing_tokenizer(text_path())
    plan = Plan(steps=10, pictures=4, talks=1, alone=8, lessons=0.5)
    source = Source(material, tokenizer, eyes, plan, makers=())
    torch.manual_seed(3)
    model = network.build(text_path(), eyes, tokenizer)
    batch = {name: torch.as_tensor(part) for name, part in next(iter(Rows(source))).items()}
    before = loss_of(model, batch).item()
    report = train(model, source, lambda trained: None)
    assert (10, 5 * 8 + 5 * 4) == (report.steps, report.pictures)
    assert loss_of(model, batch).item() < before - 0.5


def test_labels_say_what_is_in_the_slots_that_a_scene_has(material: Material) -> None:
    slots = slots_of(material)
    word, shape = (draw(task, Random(1), material, held=False) for task in ("word", "shape"))
    told = [
        {slot: values[at] for (slot, values), at in zip(slots.items(), row, strict=True) if at != UNKNOWN}
        for row in labels_of([word, shape], slots)
    ]
    assert [dict(word.seen), dict(shape.seen)] == told
    assert word.key.upper() == "".join(told[0].values())


def test_what_is_written_answers_in_our_engine_as_it_does_in_transformers(material: Material, tmp_path: Path) -> None:
    eyes = network.Eyes(image=24, patch=8, width=32, layers=2, heads=2, mlp_width=48)
    tokenizer = network.seeing_tokenizer(text_path())
    torch.manual_seed(3)
    network.write(network.build(text_path(), eyes, tokenizer), tokenizer, text_path(), eyes, tmp_path)
    scenes = [draw(task, Random(task), material, held=False) for task in ("colour", "emoji", "word")]
    model: Any = LlavaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    assert answers(model.eval(), tokenizer, scenes, eyes) == asyncio.run(said_here(tmp_path, scenes))


async def said_here(directory: Path, scenes: Sequence[Scene]) -> list[str]:
    engine = open_engine(Found.at("sees", directory, created=0), NativeOptions(context=512))
    assert engine.card.capabilities.images
    await engine.start()
    said = []
    for scene in scenes:
        picture = Picture.of(scene.picture.tobytes(), *scene.picture.size)
        message = Message("user", (Shown(picture), Text(scene.question)))
        request = TextRequest("sees", (message,), 24, sampling=SamplingRequest(temperature=0), overflow="stop")
        said.append(text_of(fold([event async for event in engine.generate(request)]).content).strip())
    await engine.close()
    return said
