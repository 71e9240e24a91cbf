"""Pictures in conversations, through the official SDKs, on a served model with random weights."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from haiga.core.pictures import Picture
from haiga.starter import text_path
from haiga.text.tokenizer import Tokenizer
from tests.checkpoints import make_checkpoint
from tests.e2e.test_serve import Server, serving
from tests.pictured import as_image, make_pictured, random_picture

ONE, TWO = random_picture(61, 40, 1), random_picture(33, 90, 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    sees = make_pictured(tmp_path_factory.mktemp("sees"), "smolvlm")
    blind = make_blind(tmp_path_factory.mktemp("blind"))
    models = "--model", f"sees={sees}", "--model", f"blind={blind}"
    with serving(tmp_path_factory.mktemp("data"), *models) as server:
        yield server


def make_blind(directory: Path) -> Path:
    """A random model of text alone, with the starter's tokenizer."""
    tokenizer = Tokenizer.load(text_path())
    make_checkpoint(directory, vocab_size=len(tokenizer))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(text_path() / name, directory)
    return directory


@pytest.fixture
def client(server: Server) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)


def png(picture: Picture) -> str:
    stream = io.BytesIO()
    as_image(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def image(picture: Picture, **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": png(picture)}
    return {"type": "image", "source": source, **more}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def prompt(usage: Any) -> int:
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return int(usage.input_tokens + cached)


def test_the_second_turn_about_a_picture_reads_it_from_the_cache(client: anthropic.Anthropic) -> None:
    said: list[Any] = [{"role": "user", "content": [image(ONE, cache_control={"type": "ephemeral"}), text("What?")]}]
    asked: dict[str, Any] = {"model": "sees", "messages": said}
    counted = client.messages.count_tokens(**asked).input_tokens
    first = client.messages.create(**asked, max_tokens=5)
    assert counted == prompt(first.usage)
    said += [{"role": "assistant", "content": "Blue."}, {"role": "user", "content": "And what else?"}]
    second = client.messages.create(**asked, max_tokens=5)
    assert 0 == first.usage.cache_read_input_tokens
    assert first.usage.cache_creation_input_tokens <= second.usage.cache_read_input_tokens
    pictures = client.messages.count_tokens(model="sees", messages=[{"role": "user", "content": [image(ONE)]}])
    words = client.messages.count_tokens(model="sees", messages=[{"role": "user", "content": [text("x")]}])
    assert pictures.input_tokens - words.input_tokens - 32 < second.usage.cache_read_input_tokens


def test_pictures_in_results_and_between_words_are_counted_alike(client: anthropic.Anthropic) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("Here"), image(TWO)]}
    said: list[Any] = [
        {"role": "user", "content": [text("Compare"), image(ONE), text("with"), image(TWO)]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    tools: list[Any] = [{"name": "look", "input_schema": {"type": "object"}}]
    asked: dict[str, Any] = {"model": "sees", "messages": said, "tools": tools}
    answer = client.messages.create(**asked, max_tokens=5)
    assert client.messages.count_tokens(**asked).input_tokens == prompt(answer.usage)


def test_one_picture_is_one_prompt_in_both_families(server: Server, client: anthropic.Anthropic) -> None:
    said: list[Any] = [{"role": "user", "content": [image(ONE), text("What?")]}]
    first = client.messages.create(model="sees", messages=said, max_tokens=5)
    url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(ONE)}"}}
    other = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0).chat.completions.create(
        model="sees",
        messages=[{"role": "user", "content": [url, text("What?")]}],
        max_tokens=5,  # type: ignore
    )
    assert other.usage and prompt(first.usage) == other.usage.prompt_tokens


def test_which_models_see_is_told_and_the_others_refuse_by_name(client: anthropic.Anthropic) -> None:
    cards = {card.id: card.capabilities for card in client.models.list()}
    able = {name: bool(can and can.image_input.supported) for name, can in cards.items()}
    assert able["sees"] and able["starter"] and not able["blind"]
    with pytest.raises(anthropic.BadRequestError, match="image"):
        client.messages.create(model="blind", messages=[{"role": "user", "content": [image(ONE)]}], max_tokens=5)  # type: ignore


def test_special_tokens_in_words_are_no_pictures(client: anthropic.Anthropic) -> None:
    plain: list[Any] = [{"role": "user", "content": "<image> and <fake_token_around_image>"}]
    client.messages.create(model="sees", messages=plain, max_tokens=5)
    both: list[Any] = [{"role": "user", "content": [text("<image>"), image(ONE)]}]
    counted = client.messages.count_tokens(model="sees", messages=both).input_tokens
    alone = client.messages.count_tokens(model="sees", messages=[{"role": "user", "content": [image(ONE)]}])  # type: ignore
    assert len("<image>") <= counted - alone.input_tokens <= len("<image>") + 1
