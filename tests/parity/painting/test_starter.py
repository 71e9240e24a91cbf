"""The starter that makes pictures is as good as its card says, give or take a little; the card counts 200 prompts."""

from random import Random

import pytest

from haiga.starter import image_path
from trainers.starter_image import judge, measure, network
from trainers.starter_image.judge import Judge


@pytest.fixture(scope="module")
def judging() -> Judge:
    return judge.load(judge.WEIGHTS)


def test_the_judge_is_right_on_what_was_drawn(judging: Judge) -> None:
    assert judge.share_right(judging, *judge.draw(300, Random("seen by nobody"))) >= 0.96


def test_prompts_that_training_never_drew_are_painted_in_colour_and_shape(judging: Judge) -> None:
    pipeline = network.pipeline(network.load(image_path()))
    painted = measure.measure(pipeline, judging, measure.prompts()[:20])
    wrong = [(each.scene, each.verdict) for each in painted if not each.right]
    assert len(wrong) <= 5, wrong
