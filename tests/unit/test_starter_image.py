"""What the image model learns from: what is held out stays out, captions say what is drawn, parts are what they say."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.starter_image import autoencoder, emoji, judge, network, pool, scenes, train
from trainers.starter_image.card import Run, card
from trainers.starter_image.emoji import Emoji
from trainers.starter_image.measure import Measured, Painted, grid, prompts, shares
from trainers.starter_image.scenes import Scene
from trainers.starter_vision.painting import COLOURS

SEEDS = range(300)


def made(colour: str, shape: str, size: str = "", behind: str = "") -> Scene:
    return Scene(colour, shape, size, behind)


def test_training_draws_no_scene_that_is_held_out() -> None:
    invented = [scenes.invent(Random(seed)) for seed in SEEDS]
    assert not any(scenes.held_out(scene) for scene in invented)
    assert not any(scenes.new_pair(scene.colour, scene.shape) for scene in invented)


def test_what_is_measured_is_held_out_and_the_same_each_time() -> None:
    assert prompts() == prompts()
    assert 200 == len(set(prompts()))
    assert all(scenes.held_out(scene) for scene in prompts())
    assert {True, False} == {scenes.new_pair(scene.colour, scene.shape) for scene in prompts()}


def test_a_shape_beside_another_may_be_no_new_pair_either() -> None:
    new = next(scene for scene in scenes.SINGLE if scenes.new_pair(scene.colour, scene.shape))
    old = next(scene for scene in scenes.SINGLE if not scenes.new_pair(scene.colour, scene.shape))
    assert scenes.held_out(Scene(old.colour, old.shape, beside=(new.colour, new.shape)))


@pytest.mark.parametrize(
    ("scene", "text"),
    [
        (made("red", "circle", "", "blue"), "a red circle on a blue background"),
        (made("orange", "star"), "an orange star"),
        (made("green", "cross", "small", "orange"), "a small green cross on an orange background"),
        (Scene("pink", "cross", count=3), "three pink crosses"),
    ],
)
def test_a_scene_is_asked_for_plainly(scene: Scene, text: str) -> None:
    assert text == scenes.asked(scene)


def test_a_caption_names_all_that_is_in_the_scene() -> None:
    scene = Scene("red", "circle", behind="blue", beside=("green", "star"))
    for seed in SEEDS:
        words = scenes.describe(scene, Random(seed)).replace(",", "").split()
        assert {"red", "circle", "blue", "green", "star"} <= set(words)


def test_the_colours_are_where_the_scene_says() -> None:
    picture = scenes.paint(made("red", "square", "large", "blue"), Random(0))
    assert (64, 64) == picture.size
    assert near("red", picture.getpixel((32, 32)))
    assert near("blue", picture.getpixel((1, 1)))


def test_a_white_shape_is_not_drawn_on_white_where_nothing_is_said() -> None:
    picture = scenes.paint(made("white", "circle"), Random(0))
    assert near("grey", picture.getpixel((1, 1)))


def near(name: str, pixel: object) -> bool:
    return float(np.abs(np.subtract(pixel, COLOURS[name])).max()) <= 16  # type: ignore[call-overload]


def an_emoji(*names: str, common: bool = False) -> Emoji:
    return Emoji(Image.new("RGBA", (72, 72), "green"), names, ("fruit",), common)


def test_an_emoji_is_pasted_upon_the_colour_that_is_said() -> None:
    picture = emoji.paint(an_emoji("green apple"), "yellow", Random(0))
    assert near("yellow", picture.getpixel((0, 0)))
    assert (0, 128, 0) == picture.getpixel((32, 32))


def test_a_caption_of_an_emoji_names_its_background() -> None:
    assert emoji.describe(an_emoji("egg"), "red", Random(0)).endswith(" on a red background")


def test_emoji_are_found_by_their_codes_without_the_mark_for_colour() -> None:
    assert "emoji_u2764.png" == emoji.file_of("❤️")


def test_a_pool_is_the_same_for_the_same_chance() -> None:
    known = [an_emoji("pear", common=True), an_emoji("sock"), an_emoji("hand, dark skin tone")]
    one, other = (pool.draw(known, 12, Random(5)) for _ in range(2))
    assert one.captions == other.captions
    assert (one.pixels == other.pixels).all()


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    drawn = [scenes.paint(scenes.invent(Random(seed)), Random(seed)) for seed in range(60)]
    return np.stack([np.asarray(picture) for picture in drawn])


def test_latents_by_one_product_are_the_encoders_own(pictures: np.ndarray) -> None:
    model = autoencoder.build()
    autoencoder.set_encoder(model, pictures)
    with torch.no_grad():
        own = model.encode(autoencoder.to_model(pictures)).latents
    latents = autoencoder.latents_of(model, pictures)
    assert (60, 16, 8, 8) == tuple(latents.shape)
    assert torch.allclose(own, latents, atol=1e-4)
    assert abs(float(latents.square().mean()) - 1) < 0.01


def test_most_of_a_picture_is_in_its_latents(pictures: np.ndarray) -> None:
    model = autoencoder.build()
    autoencoder.set_encoder(model, pictures)
    latents = autoencoder.latents_of(model, pictures).permute(0, 2, 3, 1).reshape(-1, 16)
    blocks = autoencoder.to_model(pictures).reshape(60, 3, 8, 8, 8, 8).permute(0, 2, 4, 1, 3, 5).reshape(-1, 192)
    blocks = blocks - blocks.mean(0)
    left = blocks - latents @ torch.linalg.lstsq(latents, blocks).solution
    assert float(left.square().mean()) < 0.1 * float(blocks.square().mean())


def test_a_model_is_saved_so_that_it_paints_the_same(tmp_path: Path, pictures: np.ndarray) -> None:
    torch.manual_seed(0)
    captions = tuple(scenes.asked(scene) for scene in scenes.SINGLE[:200])
    parts = network.new(captions, autoencoder.build())
    autoencoder.set_encoder(parts.autoencoder, pictures)
    network.save(parts, tmp_path)
    for model in (parts.text, parts.unet, parts.autoencoder):
        model.half().float()  # as it is saved
    one, other = (
        network.pipeline(each)(
            "a red circle", num_inference_steps=2, generator=torch.Generator().manual_seed(0)
        ).images[0]
        for each in (parts, network.load(tmp_path))
    )
    assert (64, 64) == one.size
    assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1


def test_known_words_are_few_tokens() -> None:
    tokenizer = network.tokenizer_of(scenes.asked(scene) for scene in scenes.SINGLE)
    assert 9 == len(tokenizer("A red circle on a blue background").input_ids)
    assert 77 == tokenizer.model_max_length


def test_times_are_spread_evenly_with_few_where_all_is_noise() -> None:
    times = train.times(1000, torch.Generator().manual_seed(0))
    assert 800 == int((times < 650).sum())
    assert 0 <= int(times.min())
    assert int(times.max()) <= 999


def test_the_mean_stands_in_the_weights_place_meanwhile() -> None:
    weight = torch.nn.Parameter(torch.zeros(3))
    mean = train.Mean([weight], 0.5)
    with torch.no_grad():
        weight.fill_(1.0)
    mean.follow()
    with mean.shown():
        assert 0.8 < float(weight.detach()[0]) < 0.9
    assert [1.0] * 3 == weight.tolist()


def test_a_judge_is_the_same_when_it_is_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pixels, labels = judge.draw(8, Random(0))
    fresh = judge.train(pixels, labels, minutes=0.001, batch=4)
    for part in fresh.parameters():
        part.data = part.data.half().float()  # as it is saved
    judge.save(fresh, tmp_path / "judge.safetensors")
    assert judge.judged(fresh, pixels) == judge.judged(judge.load(tmp_path / "judge.safetensors"), pixels)
    assert (8, 3) == tuple(labels.shape)


def painted(scene: Scene, colour: str, shape: str, behind: str = "white") -> Painted:
    return Painted(scene, Image.new("RGB", (64, 64)), judge.Verdict(colour, shape, behind))


def test_shares_count_what_is_right_of_all() -> None:
    scene = made("red", "circle", "", "blue")
    found = shares(
        [
            painted(scene, "red", "circle", "blue"),
            painted(scene, "red", "ring", "blue"),
            painted(scene, "pink", "circle"),
            painted(made("red", "circle"), "red", "circle"),
        ]
    )
    assert (2, 4) == (found["colour and shape"].right, found["colour and shape"].of)
    assert (3, 4) == (found["colour"].right, found["colour"].of)
    assert (2, 3) == (found["background, where one is named"].right, found["background, where one is named"].of)


def test_the_card_says_what_went_wrong() -> None:
    wrong = painted(made("red", "circle"), "pink", "ring")
    told = card(9, [Run(1, 2, 3, 1, 0.5)], Measured(1, "a red circle", shares([wrong]), 0.99, 1.0, 2), [wrong], "go on")
    assert "1. a red circle: judged pink ring" in told
    assert "| colour and shape | 0 of 1 | 0.0% |" in told


def test_a_grid_keeps_the_order_of_its_pictures() -> None:
    whole = grid([Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")], columns=2)
    assert (140, 140) == whole.size
    assert [(255, 0, 0), (0, 128, 0), (0, 0, 255)] == [whole.getpixel(at) for at in ((9, 9), (80, 9), (9, 80))]
