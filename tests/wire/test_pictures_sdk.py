"""Pictures in requests, by the official SDKs: what the model is given, and what is refused in which words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from haiga.core.messages import Image, Text, ToolResult
from haiga.core.pictures import Picture
from haiga.services.intake import IntakeLimits
from tests.papers import coded, plain
from tests.wire.intake_server import Page, Served, data_url, given, image, pictures, serving_intake, web

RED, BLUE = coded(plain()), coded(plain((0, 0, 255)), "GIF")
PIXELS = Picture.of(bytes([255, 0, 0]) * 48, 8, 6)
LIMITS = IntakeLimits(image_size=60_000, image_side=1000, image_side_many=100, images=24, image_edge=200, pdf_pages=3)


def page(path: str) -> Page:
    pages = {
        "/red.png": (200, "image/png", RED),
        "/unnamed": (200, "application/octet-stream", RED),
        "/page.html": (200, "text/html", b"<p>no picture"),
        "/lie.png": (200, "image/png", b"<p>no picture"),
        "/inside": (302, "http://10.0.0.1/red.png", b""),
        "/large.png": (200, "image/png", RED + bytes(60_000)),
    }
    return pages.get(path, (404, "text/plain", b"nothing"))


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with web(page) as url:
        yield url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: str) -> Iterator[Served]:
    with serving_intake(tmp_path_factory.mktemp("pictures"), LIMITS, [site.removeprefix("http://")]) as made:
        yield made


def url_image(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


def test_pictures_by_base64_url_and_file_stand_where_they_were_sent(served: Served, site: str) -> None:
    file = served.theirs.beta.files.upload(file=("a.png", RED, "image/png")).id
    words = {"type": "text", "text": "and"}
    by_file = {"type": "image", "source": {"type": "file", "file_id": file}}
    served.say(image(RED), words, url_image(f"{site}/red.png"), url_image(f"{site}/unnamed"), words, by_file)
    assert [PIXELS, "and", PIXELS, PIXELS, "and", PIXELS] == [
        block.source if isinstance(block, Image) else block.text
        for block in given(served.sees)
        if isinstance(block, Image | Text)
    ]


def test_a_tool_s_result_may_hold_pictures(served: Served) -> None:
    messages: Any = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [image(RED)]}]},
    ]
    tool: Any = {"name": "look", "input_schema": {"type": "object"}}
    served.theirs.messages.create(model="sees", max_tokens=9, messages=messages, tools=[tool])
    (result,) = served.sees.asked[-1].messages[-1].content
    assert isinstance(result, ToolResult)
    assert [PIXELS] == pictures(result.content)


def test_openai_s_parts_are_the_same_pictures(served: Served, site: str) -> None:
    file = served.theirs.beta.files.upload(file=("a.png", RED, "image/png")).id
    parts = [
        {"type": "image_url", "image_url": {"url": url}} for url in (data_url(RED, "image/jpeg"), f"{site}/red.png")
    ]
    served.chat(*parts)
    assert [PIXELS, PIXELS] == pictures(given(served.sees))
    served.router.chat.completions.create(model="sees", messages=[{"role": "user", "content": [parts[0]]}])  # type: ignore[misc,list-item]
    assert [PIXELS] == pictures(served.sees.asked[-1].messages[0].content)
    items: Any = [
        {"type": "input_image", "file_id": file, "detail": "auto"},
        {"type": "input_image", "image_url": data_url(RED), "detail": "low"},
    ]
    served.ours.responses.create(model="sees", input=[{"role": "user", "content": items}])
    assert [PIXELS, PIXELS] == pictures(served.sees.asked[-1].messages[0].content)


def test_little_detail_is_a_smaller_picture(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving_intake(tmp_path_factory.mktemp("detail"), IntakeLimits()) as served:
        large = data_url(coded(plain(size=(1000, 500))))
        served.chat(*({"type": "image_url", "image_url": {"url": large, "detail": d}} for d in ("low", "high")))
        assert [(512, 256), (1000, 500)] == [(p.width, p.height) for p in pictures(given(served.sees))]


def test_a_larger_picture_is_made_smaller_or_refused_as_is_asked(served: Served) -> None:
    large = coded(plain(size=(400, 100)))
    served.say(image(large))
    (smaller,) = pictures(given(served.sees))
    assert (200, 50) == (smaller.width, smaller.height)
    with pytest.raises(anthropic.BadRequestError, match=r"400x100 pixels .* at most 200x50 pixels fit"):
        served.say(image(large, transformations={"oversized_image": "error"}))


BASE = r"messages\.0\.content\.0\.image\.source\.base64"


@pytest.mark.parametrize(
    ("data", "kind", "complaint"),
    [
        (BLUE, "image/jpeg", rf"{BASE}\.data: The image was specified using the image/jpeg media type, but the image "
         r"appears to be a image/gif image"),
        (b"no picture", "image/png", rf"{BASE}\.data: Could not process image: it is none of JPEG, PNG, GIF and WebP"),
        (RED[:50], "image/png", rf"{BASE}: Could not process image: "),
        (b"", "image/png", rf"{BASE}\.data: Could not process image"),
        (coded(plain(0, (1001, 1), "1")), "image/png", rf"{BASE}: At least one of the image dimensions exceed max "
         "allowed size: 1000 pixels"),
        (RED + bytes(60_000), "image/png", rf"{BASE}: image exceeds 0\.0572205 MB maximum: \d+ bytes > 60000 bytes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_picture_is_said_in_the_api_s_words(
    served: Served, data: bytes, kind: str, complaint: str
) -> None:
    with pytest.raises(anthropic.BadRequestError, match=complaint):
        served.say(image(data, kind))


def test_what_is_no_base64_is_refused(served: Served) -> None:
    wrong = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "no base64!"}}
    with pytest.raises(anthropic.BadRequestError, match=rf"{BASE}\.data: Invalid base64 data"):
        served.say(wrong)


def test_every_picture_that_is_too_large_is_named(served: Served) -> None:
    large = coded(plain(0, (1, 1001), "1"))
    with pytest.raises(anthropic.BadRequestError) as caught:
        served.say(image(large), image(RED), image(large))
    details: Any = caught.value.body["error"]["details"]  # type: ignore[index]
    assert {
        "error_code": "image_dimensions_too_large",
        "max_side_length_pixels": 1000,
        "paths": ["messages.0.content.0", "messages.0.content.2"],
    } == details


def test_many_pictures_must_be_smaller_and_too_many_are_refused(served: Served) -> None:
    wide = image(coded(plain(0, (101, 1), "1")))
    served.say(*[wide] * 20)
    with pytest.raises(anthropic.BadRequestError, match="max allowed size for many-image requests: 100 pixels"):
        served.say(*[wide] * 21)
    with pytest.raises(anthropic.BadRequestError, match=r"messages: too many images and documents: 25 \+ 0 > 24"):
        served.say(*[image(RED)] * 25)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/none.png", "answered 404"),
        ("/page.html", r"is none of .*image/\*"),
        ("/lie.png", "Could not process image"),
        ("/inside", r"10\.0\.0\.1: has no public address"),
        ("/large.png", "answered with more than 60000 bytes"),
    ],
)
def test_urls_pass_the_guarded_fetcher(served: Served, site: str, path: str, complaint: str) -> None:
    with pytest.raises(anthropic.APIStatusError, match=complaint) as caught:
        served.say(url_image(site + path))
    assert caught.value.status_code in (400, 413)
    assert "messages.0.content.0.image.source.url: " in caught.value.message


def test_an_address_is_asked_once_for_a_count_and_its_answer(tmp_path: Path) -> None:
    asked: list[str] = []

    def counted(path: str) -> Page:
        asked.append(path)
        return page(path)

    with web(counted) as site, serving_intake(tmp_path, LIMITS, [site.removeprefix("http://")]) as served:
        messages: Any = [{"role": "user", "content": [url_image(f"{site}/red.png")]}]
        served.theirs.messages.count_tokens(model="sees", messages=messages)
        served.theirs.messages.create(model="sees", max_tokens=9, messages=messages)
    assert ["/red.png"] == asked


def test_a_url_into_this_machine_is_refused(served: Served) -> None:
    for url in ("http://127.0.0.1:1/a.png", "http://[::1]/a.png", "file:///etc/passwd", "http://169.254.169.254/"):
        with pytest.raises(anthropic.BadRequestError, match=r"has no public address|not a URL that can be fetched"):
            served.say(url_image(url))


def test_openai_is_told_its_own_field(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="Could not process image") as caught:
        served.chat({"type": "image_url", "image_url": {"url": data_url(RED[:50])}})
    assert "messages[0].content[0]" == caught.value.param


def test_a_model_that_does_not_see_refuses_pictures_before_anything_is_fetched(served: Served) -> None:
    with pytest.raises(
        anthropic.BadRequestError, match=r"0\.content\.0: image blocks are not supported by model reads"
    ):
        served.say(url_image("http://127.0.0.1:1/a.png"), model="reads")
    inner = {"type": "document", "source": {"type": "content", "content": [image(RED)]}}
    with pytest.raises(anthropic.BadRequestError, match=r"content\.0\.source\.content\.0: image blocks are not"):
        served.say(inner, model="reads")


def test_what_is_counted_is_what_is_answered(served: Served) -> None:
    messages: Any = [{"role": "user", "content": [image(RED), {"type": "text", "text": "two words"}]}]
    counted = served.theirs.messages.count_tokens(model="sees", messages=messages).input_tokens
    assert counted == served.theirs.messages.create(model="sees", max_tokens=9, messages=messages).usage.input_tokens


def test_a_batch_s_lines_may_hold_pictures_and_each_has_its_own_reason(served: Served) -> None:
    def line(id: str, data: bytes) -> Any:
        messages = [{"role": "user", "content": [image(data), {"type": "text", "text": id}]}]
        return {"custom_id": id, "params": {"model": "sees", "max_tokens": 9, "messages": messages}}

    batch = served.theirs.messages.batches.create(requests=[line("good", RED), line("bad", RED[:50])])
    while served.theirs.messages.batches.retrieve(batch.id).processing_status != "ended":
        pass
    results = {each.custom_id: each.result for each in served.theirs.messages.batches.results(batch.id)}
    assert ["succeeded", "errored"] == [results[id].type for id in ("good", "bad")]
    assert "Could not process image" in results["bad"].error.error.message  # type: ignore[union-attr]


def test_the_result_cache_knows_a_picture_by_its_pixels(served: Served, site: str) -> None:
    served.theirs.beta.files.upload(file=b"x")
    sources = [
        image(RED),
        image(coded(plain(), compress_level=0)),
        url_image(f"{site}/red.png"),
        image(BLUE, "image/gif"),
    ]
    said = []
    for source in sources:
        messages: Any = [{"role": "user", "content": [source, {"type": "text", "text": "cached?"}]}]
        raw = served.theirs.messages.with_raw_response.create(
            model="sees",
            max_tokens=9,
            messages=messages,
            extra_headers={"haiga-cache": "on", "anthropic-version": "2023-06-01"},
            extra_body={"temperature": 0},
        )
        said.append(raw.headers["haiga-cache"])
    assert ["miss", "hit", "hit", "miss"] == said
