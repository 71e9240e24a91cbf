"""Files named in messages, with the official SDKs as clients: the model is given what is in them."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anthropic
import openai
import pytest

from haiga.core.messages import Base64Source, Document, Image, TextSource
from haiga.services.files import sources
from tests.wire.batch_server import Counting, serving_batches
from tests.wire.openai_server import ABLE

PNG = b"\x89PNG\r\n\x1a\n rest of a picture"
PDF = b"%PDF-1.4 pages"


class Served:
    def __init__(self, url: str, engine: Counting) -> None:
        self.url, self.engine = url, engine
        self.theirs = anthropic.Anthropic(base_url=url, api_key="team", max_retries=0)
        self.ours = openai.OpenAI(base_url=f"{url}/v1", api_key="team", max_retries=0)

    def upload(self, name: str, data: bytes, kind: str) -> str:
        return self.theirs.beta.files.upload(file=(name, data, kind)).id

    def say(self, *blocks: Any) -> Any:
        content: Any = [*blocks, {"type": "text", "text": "What is it?"}]
        messages: Any = [{"role": "user", "content": content}]
        return self.theirs.messages.create(model="able", max_tokens=9, messages=messages)

    def given(self) -> list[Any]:
        """The sources that the model was last given."""
        blocks = self.engine.asked[-1].messages[0].content
        return [block.source for block in blocks if isinstance(block, Image | Document)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engine = Counting(replace(ABLE, context=1 << 20))
    with serving_batches(tmp_path_factory.mktemp("files") / "db", [engine]) as url:
        yield Served(url, engine)


def block(kind: str, id: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "file", "file_id": id}}


def test_texts_pdfs_and_images_are_given_as_if_they_stood_in_the_message(served: Served) -> None:
    text = served.upload("a.txt", "Käse".encode(), "text/plain")
    picture, pages = served.upload("a.png", PNG, "image/png"), served.upload("a.pdf", PDF, "application/pdf")
    served.say(block("document", text), block("image", picture), block("document", pages))
    assert [
        TextSource("Käse"),
        Base64Source("image/png", b64encode(PNG).decode()),
        Base64Source("application/pdf", b64encode(PDF).decode()),
    ] == served.given()


def test_a_tool_s_result_may_name_files(served: Served) -> None:
    id = served.upload("a.txt", b"found", "text/plain")
    messages: Any = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [block("document", id)]}],
        },
    ]
    tool: Any = {"name": "look", "input_schema": {"type": "object"}}
    served.theirs.messages.create(model="able", max_tokens=9, messages=messages, tools=[tool])
    (result,) = served.engine.asked[-1].messages[2].content
    assert TextSource("found") == result.content[0].source  # type: ignore[union-attr]


def test_openai_s_parts_name_the_same_files(served: Served) -> None:
    text = served.ours.files.create(file=("b.md", b"# Notes"), purpose="user_data").id
    picture = served.upload("b.png", PNG, "image/png")
    parts: Any = [{"type": "file", "file": {"file_id": text}}, {"type": "text", "text": "What is it?"}]
    served.ours.chat.completions.create(model="able", messages=[{"role": "user", "content": parts}])
    assert [TextSource("# Notes")] == served.given()
    items: Any = [{"role": "user", "content": [{"type": "input_image", "file_id": picture, "detail": "auto"}]}]
    served.ours.responses.create(model="able", input=items)
    assert [Base64Source("image/png", b64encode(PNG).decode())] == served.given()


def test_what_is_counted_is_what_is_answered(served: Served) -> None:
    id = served.upload("a.txt", b"one two three", "text/plain")
    content: Any = [block("document", id), {"type": "text", "text": "hello"}]
    messages: Any = [{"role": "user", "content": content}]
    counted = served.theirs.messages.count_tokens(model="able", messages=messages).input_tokens
    assert counted == served.theirs.messages.create(model="able", max_tokens=9, messages=messages).usage.input_tokens


def test_a_file_that_cannot_be_given_is_named_with_its_place(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIMIT", 10)
    text, junk = served.upload("a.txt", b"hello", "text/plain"), served.upload("a.bin", b"\xff", "text/plain")
    archive, long = served.upload("a.zip", b"PK", "application/zip"), served.upload("b.txt", b"x" * 6, "text/plain")
    others = anthropic.Anthropic(base_url=served.url, api_key="others").beta.files.upload(file=b"x").id
    wrong = [
        (block("document", "file_none"), "No such File object: file_none"),
        (block("document", others), f"No such File object: {others}"),
        (block("image", text), "is no image: text/plain"),
        (block("document", archive), "is neither a PDF nor a text: application/zip"),
        (block("document", junk), "is no UTF-8 text"),
    ]
    for asked, complaint in wrong:
        with pytest.raises(anthropic.APIStatusError, match=complaint) as caught:
            served.say(asked)
        assert caught.value.status_code in (400, 404)
        assert "messages.0.content.0: " in caught.value.message
    with pytest.raises(anthropic.RequestTooLargeError, match=r"messages\.0\.content\.1"):
        served.say(block("document", text), block("document", long))
