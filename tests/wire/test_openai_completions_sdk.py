"""The older Completions through the official openai SDK."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace

import openai
import pytest
from openai import OpenAI

from haiga.core.generation import (
    BlockStarted,
    BlockStopped,
    Echo,
    Event,
    Finished,
    PromptToken,
    Started,
    TextDelta,
    TextRequest,
    TokenLogprob,
    Usage,
)
from haiga.core.messages import Text
from haiga.engines.fake import CARD, FakeEngine
from tests.wire.openai_server import services, serving


class Guessing(FakeEngine):
    """Answers with its seed, and is the surer the higher it is."""

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        seed = request.sampling.seed or 0
        token = TokenLogprob(seed, str(seed), -1.0 / (1 + seed), ((seed, str(seed), -1.0 / (1 + seed)),))
        yield Started(Usage(input=4))
        yield BlockStarted(0, Text(""))
        yield TextDelta(0, str(seed), () if request.sampling.logprobs is None else (token,))
        yield BlockStopped(0)
        yield Finished("max_tokens", Usage(input=4, output=1))


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with serving(services([FakeEngine()])) as url, OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def guesser() -> Iterator[OpenAI]:
    with serving(services([Guessing()])) as url, OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


def test_the_four_shapes_of_a_prompt(guesser: OpenAI) -> None:
    for prompt, answers in (("a", 1), (["a", "b"], 2), ([1, 2], 1), ([[1, 2], [3], [4]], 3)):
        answer = guesser.completions.create(model="fake", prompt=prompt, seed=5)
        assert [(i, "5") for i in range(answers)] == [(c.index, c.text) for c in answer.choices]
        assert (4 * answers, answers) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_several_answers_to_several_prompts_are_counted_through(guesser: OpenAI) -> None:
    answer = guesser.completions.create(model="fake", prompt=["a", "b"], n=2, seed=5)
    assert [(0, "5"), (1, "6"), (2, "5"), (3, "6")] == [(c.index, c.text) for c in answer.choices]


def test_best_of_gives_the_likeliest_and_bills_all(guesser: OpenAI) -> None:
    answer = guesser.completions.create(model="fake", prompt=["a", "b"], n=1, best_of=3, seed=5)
    assert ["7", "7"] == [choice.text for choice in answer.choices]
    assert (8, 6) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert answer.choices[0].logprobs is None


def test_logprobs_in_the_older_form(guesser: OpenAI) -> None:
    logprobs = guesser.completions.create(model="fake", prompt="a", logprobs=1, seed=1).choices[0].logprobs
    assert (["1"], [-0.5], [0]) == (logprobs.tokens, logprobs.token_logprobs, logprobs.text_offset)
    assert [{"1": -0.5}] == logprobs.top_logprobs


def test_echo_gives_the_prompt_before_the_answer_whole_and_streamed(client: OpenAI) -> None:
    asked = {"model": "fake", "prompt": "one two", "echo": True}
    assert "one twoone two" == client.completions.create(**asked).choices[0].text
    assert "one twoone two" == "".join(c.choices[0].text for c in client.completions.create(**asked, stream=True))


def score(text: str, *top: str) -> TokenLogprob:
    return TokenLogprob(1, text, -0.5, tuple((1, each, -0.5) for each in top))


class Scoring(FakeEngine):
    """Gives a prompt of three tokens back and answers with an owl, whose four bytes are four tokens, and a word."""

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        assert request.echo
        yield Started(Usage(input=3))
        first, *others = (
            PromptToken("<s>", 0),
            PromptToken("one", 0, score("one", "o")),
            PromptToken(" 2", 3, score(" 2")),
        )
        yield Echo("one 2", (first, *others))
        yield BlockStarted(0, Text(""))
        yield TextDelta(0, "\N{OWL}", tuple(map(score, "\ufffd" * 4)))
        yield TextDelta(0, " flies", (score(" flies"),))
        yield BlockStopped(0)
        yield Finished("max_tokens", Usage(input=3, output=5))


@pytest.fixture(scope="module")
def scorer() -> Iterator[OpenAI]:
    card = replace(CARD, capabilities=replace(CARD.capabilities, scoring=True))
    with serving(services([Scoring(card)])) as url, OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        yield client


def test_a_scored_echo_begins_with_nothing_and_says_where_each_token_stands(scorer: OpenAI) -> None:
    asked = {"model": "fake", "prompt": "one 2", "echo": True, "logprobs": 1}
    choice = scorer.completions.create(**asked).choices[0]
    scores = choice.logprobs
    assert "one 2\N{OWL} flies" == choice.text
    assert ["<s>", "one", " 2", *"\ufffd" * 4, " flies"] == scores.tokens
    assert [None, *[-0.5] * 7] == scores.token_logprobs
    assert [None, {"o": -0.5, "one": -0.5}, {" 2": -0.5}] == scores.top_logprobs[:3]
    assert [0, 0, 3, 5, 5, 5, 5, 6] == scores.text_offset
    chunks = [c.choices[0].logprobs for c in scorer.completions.create(**asked, stream=True)]
    assert scores.tokens == [token for each in chunks if each for token in each.tokens]
    assert scores.text_offset == [at for each in chunks if each for at in each.text_offset]
    assert scores.token_logprobs == [score for each in chunks if each for score in each.token_logprobs]


def test_an_echo_of_token_ids_is_what_they_spell(scorer: OpenAI) -> None:
    choice = scorer.completions.create(model="fake", prompt=[1, 2, 3], echo=True).choices[0]
    assert ("one 2\N{OWL} flies", None) == (choice.text, choice.logprobs)


def test_stream_ends_with_usage_when_asked(client: OpenAI) -> None:
    options = {"include_usage": True}
    stream = client.completions.create(model="fake", prompt="one two", stream=True, stream_options=options)
    chunks = list(stream)
    assert "one two" == "".join(chunk.choices[0].text for chunk in chunks[:-1])
    assert ["stop"] == [c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason]
    assert 2 == chunks[-1].usage.completion_tokens


def test_without_max_tokens_sixteen_are_given(client: OpenAI) -> None:
    choice = client.completions.create(model="fake", prompt="w " * 40).choices[0]
    assert ("length", 16) == (choice.finish_reason, len(choice.text.split()))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"prompt": ["a", 1.5]}, "prompt[1]"),
        ({"prompt": [[1], [-2]]}, "prompt[1]"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"prompt": [1, 2], "echo": True}, "echo"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"echo": True, "logprobs": 1, "suffix": "end"}, "suffix"),
        ({"prompt": "w " * 5000}, "prompt"),
    ],
)
def test_what_is_refused_names_its_field(client: OpenAI, fields: dict[str, object], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(**{"model": "fake", "prompt": "a", **fields})
    assert param == raised.value.param
