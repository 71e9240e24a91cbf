"""The result cache, asked for with a header, in every API."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import anthropic
import httpx
import openai
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from haiga.core.access import Caller
from haiga.core.ports import ModelCard
from haiga.engines.fake import CARD
from haiga.services.inference import Inference
from haiga.services.models import Models
from haiga.services.responses import Responses
from haiga.services.results import ResultCache
from haiga.stores.connect import connect
from haiga.stores.responses import DatabaseResponses
from haiga.stores.results import DatabaseResults
from haiga.web.app import Services, WebSettings
from tests.wire.batch_server import Counting
from tests.wire.openai_server import serving
from tests.wire.responses_server import Workspaces

ON = {"haiga-cache": "on"}
OLD = {"anthropic-version": "2023-06-01"}


class Served:
    def __init__(self, url: str, engine: Counting) -> None:
        self.url, self.engine = url, engine
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="w", max_retries=0)
        self.router = openai.OpenAI(base_url=f"{url}/api/v1", api_key="w", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="w", max_retries=0)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file = tmp_path_factory.mktemp("results") / "db"

    async def made() -> None:
        async with connect(file):
            pass

    asyncio.run(made())
    database = create_async_engine(f"sqlite+aiosqlite:///{file}", poolclass=NullPool)
    engine = Counting(replace(CARD, name="fake"))

    def card(caller: Caller, name: str) -> ModelCard:
        return inference.model(caller, name)

    cache = ResultCache(DatabaseResults(database), card, limit=1 << 20, age=3600)
    inference = Inference(Models({"fake": engine}), stages=[cache])
    kept = Responses(inference, DatabaseResponses(database))
    with serving(Services(Workspaces(), inference, WebSettings(open=False), responses=kept)) as url:
        served = Served(url, engine)
        with served.openai, served.router, served.anthropic:
            yield served


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def chat(client: openai.OpenAI, text: str, headers: Any, **more: Any) -> Any:
    raw = client.chat.completions.with_raw_response
    return raw.create(model="fake", messages=said(text), temperature=0, extra_headers=headers, **more)


def message(served: Served, text: str, headers: Any) -> Any:
    raw = served.anthropic.messages.with_raw_response
    body = {"temperature": 0}
    asked: Any = {"model": "fake", "max_tokens": 9, "messages": said(text), "extra_body": body}
    return raw.create(**asked, extra_headers={**OLD, **headers})


def response(served: Served, text: str, headers: Any) -> Any:
    raw = served.openai.responses.with_raw_response
    return raw.create(model="fake", input=text, temperature=0, extra_headers=headers)


def completion(served: Served, text: str, headers: Any) -> Any:
    raw = served.openai.completions.with_raw_response
    return raw.create(model="fake", prompt=text, temperature=0, extra_headers=headers)


ASK: dict[str, Callable[[Served, str, Any], Any]] = {
    "messages": message,
    "chat": lambda served, text, headers: chat(served.openai, text, headers),
    "router": lambda served, text, headers: chat(served.router, text, headers),
    "responses": response,
    "completions": completion,
}


@pytest.mark.parametrize("api", ASK)
def test_a_kept_answer_says_so_in_its_header_and_its_usage(served: Served, api: str) -> None:
    before = len(served.engine.asked)
    answers = [ASK[api](served, f"{api} one two", headers) for headers in (ON, ON, {})]
    assert 2 == len(served.engine.asked) - before
    assert ["miss", "hit", None] == [answer.headers.get("haiga-cache") for answer in answers]
    whole = [answer.parse().model_dump() for answer in answers]
    assert [False, True, False] == [one["usage"].get("haiga_reused", False) for one in whole]
    assert 3 == len({one["id"] for one in whole})
    contents = [one.get("content") or one.get("choices") or one.get("output")[0]["content"] for one in whole]
    assert contents[0] == contents[1] == contents[2]


def test_a_streamed_answer_is_kept_too_and_comes_back_as_a_stream(served: Served) -> None:
    def stream() -> tuple[str | None, str, bool]:
        raw = chat(served.openai, "streamed one", ON, stream=True, stream_options={"include_usage": True})
        chunks = list(raw.parse())
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        return raw.headers["haiga-cache"], text, getattr(chunks[-1].usage, "haiga_reused", False)

    assert ("miss", "streamed one", False) == stream()
    assert ("hit", "streamed one", True) == stream()
    whole = chat(served.openai, "streamed one", ON)
    assert ("hit", "streamed one") == (whole.headers["haiga-cache"], whole.parse().choices[0].message.content)


def test_an_anthropic_stream_of_a_kept_answer_has_every_event(served: Served) -> None:
    message(served, "a stream", ON)
    asked: Any = {"model": "fake", "max_tokens": 9, "messages": said("a stream"), "extra_body": {"temperature": 0}}
    with served.anthropic.messages.stream(**asked, extra_headers={**OLD, **ON}) as stream:
        kinds = [event.type for event in stream if event.type != "text"]
        final = stream.get_final_message()
    assert ["message_start", "content_block_start", "content_block_delta", "content_block_stop"] == kinds[:4]
    assert ("a stream", True) == (final.content[0].text, final.usage.haiga_reused)  # type: ignore[union-attr, attr-defined]


def test_another_workspace_does_not_learn_that_it_was_asked(served: Served) -> None:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="x", max_retries=0) as elsewhere:
        told = [
            chat(client, "apart", ON).headers["haiga-cache"] for client in (served.openai, elsewhere, served.openai)
        ]
    assert ["miss", "miss", "hit"] == told


def test_of_several_answers_all_must_be_kept(served: Served) -> None:
    first = chat(served.openai, "several", ON, n=2, seed=3)
    assert ["miss", "hit"] == [
        first.headers["haiga-cache"],
        chat(served.openai, "several", ON, n=2, seed=3).headers["haiga-cache"],
    ]


def test_the_header_says_on_or_off(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="'on' or 'off'"):
        chat(served.openai, "x", {"haiga-cache": "maybe"})
    answer = httpx.get(f"{served.url}/v1/models", headers={"x-api-key": "w", **ON})
    assert (200, False) == (answer.status_code, "haiga-cache" in answer.headers)
