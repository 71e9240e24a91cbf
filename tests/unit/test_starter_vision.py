"""The pictures that the starter learns to see from: what is held out stays out, and answers are judged strictly."""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont
from tokenizers import Tokenizer
from transformers import Idefics3ForConditionalGeneration

from haiga.starter import text_path
from trainers.starter import vocabulary
from trainers.starter_vision import lessons, measure, network, train_text, train_tower
from trainers.starter_vision.material import Material, find_fonts
from trainers.starter_vision.painting import COLOURS, SHAPES
from trainers.starter_vision.pool import Pool, drawn, prepared, varied
from trainers.starter_vision.scenes import PAIRS, TASKS, Scene, draw, families, is_right
from trainers.starter_vision.split import between, is_held_out, parted
from trainers.starter_vision.tower import Eyes, Tower, begin_local, patches_of

EYES = Eyes(image=48, patch=8, width=48, layers=2, heads=2, mlp_width=64)
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
    return Material({f"maker{n} Sans": [file] for n in range(24)}, WORDS, emoji)


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
        seen = [draw("shape", Random(seed), material, held).seen for seed in SEEDS]
        assert all(held == is_held_out((each["colour"], each["shape"])) for each in seen)
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
        ("word", "lamp", 'It says "lamp".', True),
        ("word", "lamp", 'It says "lamb".', False),
        ("emoji", "red apple", "It is the emoji for red apple.", True),
        ("emoji", "red apple", "It is the emoji for apple.", False),
        ("word", "lamp", "", False),
    ],
)
def test_an_answer_is_right_if_it_says_the_one_thing(task: str, key: str, said: str, right: bool) -> None:
    assert right == is_right(Scene(task, Image.new("RGB", (1, 1)), "", "", key), said)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return network.seeing_tokenizer(text_path())


@pytest.fixture(scope="module")
def pool(material: Material) -> Pool:
    return drawn(material, EYES, 1, seed=3, workers=1)


def test_fonts_of_one_maker_are_held_out_together(material: Material) -> None:
    fonts = {f"{maker} {kind}": [] for maker in "ABCDEFGHIJ" for kind in ("Sans", "Serif")}
    held, kept = ({name.split()[0] for name in families(Material(fonts, (), {}), side)} for side in (True, False))
    assert set() == held & kept
    assert {name.split()[0] for name in fonts} == held | kept


def test_labels_say_what_is_in_the_slots_that_a_scene_has(material: Material) -> None:
    slots = lessons.slots_of(material)
    scenes = [draw(task, Random(1), material, held=False) for task in ("word", "shape")]
    told = [
        {slot: values[at] for (slot, values), at in zip(slots.items(), row, strict=True) if at != lessons.UNKNOWN}
        for row in lessons.labels_of(scenes, slots)
    ]
    assert [dict(scene.seen) for scene in scenes] == told
    assert scenes[0].key == "".join(told[0][f"letter {at}"] for at in range(4))


def test_patches_show_the_part_that_they_lie_in() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.6, 0.6, 0.65, 0.65], [0.0, 0.0, 1.0, 1.0]]])
    shown, order = lessons.shown_by(torch.tensor([[7, 9, 0]]), boxes, side=4)
    assert [[7, 7, 0, 0], [7, 7, 0, 0], [0, 0, 9, 0], [0, 0, 0, 0]] == shown.view(4, 4).tolist()
    assert [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]] == order.view(4, 4).tolist()


def test_pictures_are_varied_and_their_answers_are_not(pool: Pool) -> None:
    rows = np.arange(40)
    new = varied(pool, rows, np.random.default_rng(0))
    assert pool.talks[:40] == new.talks
    changed = new.labels != pool.labels[:40]
    assert {lessons.COLOUR} == set(np.nonzero(changed)[1])
    assert {lessons.UNKNOWN} == set(new.labels[changed])
    assert all((one != other).any() for one, other in zip(pool.pixels[:40], new.pixels, strict=True))


def test_a_picture_whose_answer_names_its_colour_keeps_it(pool: Pool) -> None:
    rows = np.flatnonzero(pool.tasks == TASKS.index("colour"))[:20]
    new = varied(pool, rows, np.random.default_rng(0))
    assert np.array_equal(pool.labels[rows], new.labels)
    means = [pixels.reshape(len(rows), -1, 3).mean(1) for pixels in (pool.pixels[rows], new.pixels)]
    assert np.abs(means[0] - means[1]).max() < 12


def test_local_layers_begin_by_looking_at_a_neighbour(pool: Pool) -> None:
    torch.manual_seed(0)
    tower = Tower(Eyes())
    begin_local(tower, 3)
    picture = Image.fromarray(pool.pixels[0]).resize((80, 80))
    x = tower.kernel(patches_of(torch.from_numpy(np.array(picture)[None]), tower.eyes)) + tower.places
    layer: Any = tower.layers[0]
    q, k, _ = layer.qkv(layer.attention_norm(x)).view(64, 3, 4, 48).permute(1, 2, 0, 3)
    at = 3 * 8 + 3
    assert [at + 1, at - 1, at + 8, at - 8] == (q[:, at] @ k.mT).argmax(-1).diagonal().tolist()


def test_the_tower_learns_from_a_few_pictures(material: Material, pool: Pool) -> None:
    torch.manual_seed(3)
    tower, slots = Tower(EYES), lessons.slots_of(material)
    heads = lessons.Heads(
        EYES, [torch.randn(len(each), 256) for each in slots.values()], len(lessons.things_of(material))
    )
    shown = lessons.shown_by(torch.from_numpy(pool.kinds[:32]).long(), torch.from_numpy(pool.boxes[:32]), EYES.side)

    def lost() -> float:
        states = tower.states(patches_of(torch.from_numpy(pool.pixels[:32]), EYES), 1)
        tokens = tower.folded(tower.states(states, 2, 1))
        return float(sum(heads.loss(states, tokens, torch.from_numpy(pool.labels[:32]).long(), shown)))

    before = lost()
    plan = train_tower.Lessons(steps=12, pictures=32, local=1, compiled=False)
    report = train_tower.train_tower(tower, heads, pool, slots, plan, lambda: None)
    assert (12, 12 * 32) == (report.steps, report.pictures)
    assert lost() < before - 0.5


def test_what_is_quoted_is_said_letter_by_letter(tokenizer: Tokenizer) -> None:
    ids = train_text.said_ids(tokenizer, 'It says "lamp".')
    assert 'It says "lamp".' + vocabulary.STOP == tokenizer.decode(ids, skip_special_tokens=False)
    assert {"l", "a", "m", "p"} <= {tokenizer.id_to_token(token) for token in ids}


def test_the_text_model_learns_to_answer_and_stays_what_it_was(pool: Pool, tokenizer: Tokenizer) -> None:
    torch.manual_seed(3)
    tower, texts = Tower(EYES), [network.text_network(text_path(), tokenizer) for _ in range(2)]
    talk = np.asarray([tokenizer.encode(vocabulary.prompt([("user", "What is a cat?")])).ids])

    def moved() -> float:
        ids, at = torch.from_numpy(talk), torch.arange(talk.shape[1])[None]
        new, old = (text.logits(text(ids, at)).log_softmax(-1) for text in texts)
        return float((old.exp() * (old - new)).sum(-1).mean().detach())

    parts = train_text.Parts(tower, texts[0], texts[1], tokenizer)
    plan = train_text.Speech(steps=6, pictures=8)
    report = train_text.train_text(parts, pool, lambda count: (talk, np.arange(talk.shape[1])[None]), plan)
    assert 48 == report.pictures
    assert 0 < moved() < 0.5


def test_what_is_written_answers_in_our_engine_as_it_does_in_transformers(
    material: Material, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    tower = Tower(EYES)
    tower.places.data.normal_()
    network.write(tower, network.text_network(text_path(), tokenizer), tokenizer, text_path(), tmp_path)
    scenes = [draw(task, Random(task), material, held=False) for task in ("colour", "emoji", "word")]
    model: Any = Idefics3ForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32).eval()
    expected = [said_there(model, tokenizer, scene) for scene in scenes]
    assert expected == asyncio.run(measure.answers(tmp_path, scenes))


def said_there(model: Any, tokenizer: Tokenizer, scene: Scene) -> str:
    ids = torch.tensor([tokenizer.encode(network.shown(scene.question, EYES)).ids])
    pixels = torch.from_numpy(prepared(scene.picture, EYES)).permute(2, 0, 1)[None, None] / 127.5 - 1
    given = {"pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        whole = model.generate(input_ids=ids, **given, max_new_tokens=measure.LONGEST, do_sample=False)
    text = tokenizer.decode(whole[0, ids.shape[1] :].tolist(), skip_special_tokens=False)
    return str(text).partition(vocabulary.STOP)[0].partition(vocabulary.END)[0].strip()
