"""OpenAI's and OpenRouter's APIs over the real engine: `haiga serve` as a process, the starter model, the SDK."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tokenizers import Tokenizer

import haiga.starter
from tests.e2e.test_serve import serving

TOKENIZER = Tokenizer.from_file(str(Path(haiga.starter.__file__).parent / "text" / "tokenizer.json"))
STORY: Any = [{"role": "user", "content": "Tell me a story about a fox."}]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("data"), "--alias", "gpt-*=starter", "--context", "2048") as server:
        yield server.url


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=120) as client:
        yield client


def say(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "gpt-4o", "messages": STORY, "max_tokens": 12, **fields})


def texts(answer: Any) -> list[str]:
    return [choice.message.content for choice in answer.choices]


def test_an_alias_answers_under_the_models_own_name_and_seeds_hold(client: OpenAI) -> None:
    first, again = say(client, seed=7), say(client, seed=7)
    assert ("starter", texts(first)) == (first.model, texts(again))


def test_the_choices_of_one_request_differ_as_their_seeds_do(client: OpenAI) -> None:
    together = texts(say(client, seed=7, n=3))
    assert together == [texts(say(client, seed=7 + i))[0] for i in range(3)]
    assert 3 == len(set(together))


def test_a_stream_adds_up_to_the_whole(client: OpenAI) -> None:
    options = {"include_usage": True}
    chunks = list(say(client, seed=7, n=2, stream=True, stream_options=options))
    whole = say(client, seed=7, n=2)
    said = ["", ""]
    for chunk in chunks[:-1]:
        said[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts(whole) == said
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (
        chunks[-1].usage.prompt_tokens,
        chunks[-1].usage.completion_tokens,
    )


def test_log_probabilities_are_of_the_tokens_given(client: OpenAI) -> None:
    choice = say(client, temperature=0, logprobs=True, top_logprobs=2).choices[0]
    tokens = choice.logprobs.content
    assert choice.message.content == b"".join(bytes(token.bytes) for token in tokens).decode()
    assert all(token.logprob == token.top_logprobs[0].logprob for token in tokens)
    assert all(token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob for token in tokens)


def test_a_banned_token_is_not_given_and_an_unknown_one_is_refused(client: OpenAI) -> None:
    (text,) = texts(say(client, temperature=0, max_tokens=1))
    (token,) = TOKENIZER.encode(text).ids
    assert [text] != texts(say(client, temperature=0, max_tokens=1, logit_bias={str(token): -100}))
    with pytest.raises(openai.BadRequestError) as raised:
        say(client, logit_bias={str(TOKENIZER.get_vocab_size()): 1})
    assert "logit_bias" == raised.value.param


def test_an_echoed_prompt_has_the_log_probabilities_that_its_tokens_were_given_with(client: OpenAI) -> None:
    asked: Any = {"model": "starter", "temperature": 0, "logprobs": 2}
    made = client.completions.create(prompt="Once upon a time", max_tokens=12, **asked).choices[0]
    ids = [*TOKENIZER.encode("Once upon a time").ids, *TOKENIZER.encode(made.text, add_special_tokens=False).ids]
    scored = client.completions.create(prompt=ids, max_tokens=0, echo=True, **asked)
    scores = scored.choices[0].logprobs
    assert (0, len(ids)) == (scored.usage.completion_tokens, len(scores.tokens))
    assert scores.token_logprobs[0] is None and None not in scores.token_logprobs[1:]
    said = len(made.logprobs.tokens)
    assert made.logprobs.tokens == scores.tokens[-said:]
    assert made.logprobs.token_logprobs == scores.token_logprobs[-said:]
    assert made.logprobs.top_logprobs == scores.top_logprobs[-said:]
    text = scored.choices[0].text
    assert scores.tokens == [text[a:b] for a, b in pairwise([*scores.text_offset, len(text)])]


def test_a_long_prompt_is_scored_whole_though_its_prefix_is_cached(client: OpenAI) -> None:
    prompt = "The fox ran into the forest and met a crow. " * 12
    asked: Any = {"model": "starter", "prompt": prompt, "max_tokens": 1, "temperature": 0}
    client.completions.create(**asked)
    first, again = (client.completions.create(**asked, echo=True, logprobs=0) for _ in range(2))
    assert first.choices[0].logprobs.token_logprobs == again.choices[0].logprobs.token_logprobs
    assert first.usage.prompt_tokens + 1 == len(first.choices[0].logprobs.tokens)
    assert prompt == first.choices[0].text[: len(prompt)]


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"seed": 7, "temperature": 0.8, "frequency_penalty": 0.5}])
def test_a_prediction_is_used_and_changes_nothing(client: OpenAI, fields: dict[str, Any]) -> None:
    plain = say(client, max_tokens=60, **fields)
    text = texts(plain)[0]
    half = len(text) // 2
    for predicted in (text, text[:half] + " zebra" * 4 + text[half:], text[10:]):
        content: Any = {"type": "content", "content": predicted}
        answer = say(client, max_tokens=60, prediction=content, **fields)
        details = answer.usage.completion_tokens_details
        assert [text] == texts(answer)
        assert 0 < details.accepted_prediction_tokens <= answer.usage.completion_tokens == plain.usage.completion_tokens
        assert ("zebra" in predicted) <= (details.rejected_prediction_tokens > 0)


def test_a_suffix_is_refused_by_a_model_without_infill_tokens(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="model starter: it has no infill tokens") as raised:
        client.completions.create(model="starter", prompt="def f(", suffix="return x")
    assert "suffix" == raised.value.param


def test_a_prompt_of_token_ids_is_the_prompt_of_its_text(client: OpenAI) -> None:
    ids = TOKENIZER.encode("Once upon a time").ids
    answer = client.completions.create(model="starter", prompt=["Once upon a time"], temperature=0, max_tokens=8)
    same = client.completions.create(model="starter", prompt=[ids], temperature=0, max_tokens=8)
    assert (answer.choices[0].text, answer.usage.prompt_tokens) == (same.choices[0].text, same.usage.prompt_tokens)
    assert 8 == answer.usage.completion_tokens


def test_a_prompt_known_already_is_reported_as_cached(client: OpenAI) -> None:
    long: Any = [{"role": "user", "content": "The fox and the crow. " * 40}]
    first, again = (say(client, messages=long, max_tokens=1).usage for _ in range(2))
    assert (first.prompt_tokens, 0) == (again.prompt_tokens, first.prompt_tokens_details.cached_tokens)
    assert again.prompt_tokens_details.cached_tokens > again.prompt_tokens // 2


def test_a_stop_string_ends_the_answer_before_it(client: OpenAI) -> None:
    whole = texts(say(client, temperature=0, max_tokens=30))[0]
    stop = whole.split()[3]
    choice = say(client, temperature=0, max_tokens=30, stop=[stop]).choices[0]
    assert (whole.partition(stop)[0], "stop") == (choice.message.content, choice.finish_reason)


def test_a_conversation_too_long_is_refused_and_openrouter_leaves_out_its_middle(address: str, client: OpenAI) -> None:
    turns: Any = [{"role": ("user", "assistant")[i % 2], "content": "The fox and the crow. " * 25} for i in range(21)]
    with pytest.raises(openai.BadRequestError) as raised:
        say(client, messages=turns)
    assert "context_length_exceeded" == raised.value.code
    with OpenAI(base_url=f"{address}/api/v1", api_key="any", max_retries=0, timeout=120) as router:
        answer = say(router, messages=turns, max_tokens=4, extra_body={"transforms": ["middle-out"]})
    dropped = answer.openrouter_metadata["context_compression"]["dropped_messages"]
    assert 0 < dropped < 20
    assert answer.usage.prompt_tokens + 4 <= 2048


def function(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"side": {"enum": ["left", "right"]}}, "required": ["side"]}
    return {"type": "function", "function": {"name": name, "parameters": {**schema, "additionalProperties": False}}}


def calls(client: OpenAI, **fields: Any) -> list[Any]:
    """What was called by five answers of different seeds."""
    answer = say(client, n=5, seed=1, max_tokens=80, parallel_tool_calls=False, **fields)
    assert {"tool_calls"} == {choice.finish_reason for choice in answer.choices}
    return [call for choice in answer.choices for call in choice.message.tool_calls]


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "turn"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "turn"}}]},
        },
    ],
)
def test_a_tool_choice_is_obeyed_and_its_schema_holds(client: OpenAI, choice: Any) -> None:
    made = calls(client, tools=[function("look"), function("turn")], tool_choice=choice)
    assert {"turn"} == {call.function.name for call in made}
    assert {json.loads(call.function.arguments)["side"] for call in made} <= {"left", "right"}


def test_a_custom_tools_text_matches_its_grammar(client: OpenAI) -> None:
    grammar = {"syntax": "regex", "definition": "(ls|cat) [a-z]{3,8}"}
    tool = {"type": "custom", "custom": {"name": "shell", "format": {"type": "grammar", "grammar": grammar}}}
    made = calls(client, tools=[tool], tool_choice="required")
    assert all(re.fullmatch(grammar["definition"], call.custom.input) for call in made)


def test_a_structured_output_is_of_its_schema(client: OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"]}
    wanted = {"name": "digit", "schema": {**schema, "additionalProperties": False}}
    answer = say(client, n=5, seed=1, max_tokens=40, response_format={"type": "json_schema", "json_schema": wanted})
    assert all(json.loads(text)["n"] in range(10) for text in texts(answer))
