"""What other servers send, however it is cut, ordered or spoilt."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haiga.core.errors import Failed, HaigaError
from haiga.core.generation import Event, Finished, InputDelta, Served, Started, fold
from haiga.core.limits import Standing
from haiga.core.messages import Text, ToolUse
from haiga.core.pictures import Picture
from haiga.core.upstreams import Upstream
from haiga.wire.upstream.catalog import read_catalog
from haiga.wire.upstream.chat_told import ChatReader
from haiga.wire.upstream.chunks import DONE
from haiga.wire.upstream.errors import retry_after
from haiga.wire.upstream.limits import read_standing
from haiga.wire.upstream.messages_told import MessageReader
from haiga.wire.upstream.png import as_file
from haiga.wire.upstream.sse import Frames
from haiga.wire.verbatim import renamed

BY = Served("m", "far")


@given(
    st.lists(st.binary(min_size=1, max_size=9).filter(lambda data: b"\n" not in data and b"\r" not in data)), st.data()
)
def test_frames_are_the_same_however_they_are_cut(datas: list[bytes], draw: st.DataObject) -> None:
    end = draw.draw(st.sampled_from([b"\n", b"\r\n"]))
    whole = b"".join(b": hello%bevent: x%bdata: %b%b%b" % (end, end, data, end, end) for data in datas)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    frames = Frames()
    found = [each for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) for each in frames.feed(whole[a:b])]
    assert datas == found


NAMES = st.sampled_from(["id", "model", "text"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.text(max_size=8), JSON)
def test_only_the_outermost_name_is_changed_whatever_stands_around_it(
    around: dict[str, Any], name: str, inner: Any
) -> None:
    body = {**around, "inner": inner, "id": 'msg_"1', "more": inner}
    assert body | {"id": name} == orjson.loads(renamed(orjson.dumps(body), {"id": name}))


def told(*deltas: dict[str, Any], finish: str = "tool_calls") -> list[Event]:
    reader = ChatReader(BY)
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return [event for chunk in [*map(orjson.dumps, chunks), DONE] for event in reader.read(chunk)]


def call(index: int, piece: str, **named: str) -> dict[str, Any]:
    function = {"arguments": piece, **({"name": named["name"]} if named else {})}
    return {"tool_calls": [{"index": index, **({"id": named["id"]} if named else {}), "function": function}]}


def test_calls_told_by_turns_stand_one_after_the_other() -> None:
    events = told(
        call(0, "", id="a", name="f"), call(1, "{", id="b", name="g"), call(0, '{"x":'), call(1, "}"), call(0, "1}")
    )
    assert (ToolUse("a", "f", {"x": 1}), ToolUse("b", "g", {})) == fold(events).content
    assert [0, 0, 1] == [event.index for event in events if isinstance(event, InputDelta)]


def test_text_between_calls_keeps_its_place() -> None:
    events = told(call(0, "{}", id="a", name="f"), {"content": "and"}, call(1, "{}", id="b", name="g"))
    assert (ToolUse("a", "f", {}), Text("and"), ToolUse("b", "g", {})) == fold(events).content
    with pytest.raises(Failed):
        told(call(0, "{", id="a", name="f"), {"content": "and"}, call(0, "}"))


@given(st.lists(JSON, max_size=5), st.booleans())
def test_whatever_arrives_is_events_in_order_or_a_failure(frames: list[Any], chat: bool) -> None:
    reader: ChatReader | MessageReader = ChatReader(BY) if chat else MessageReader(BY)
    events: list[Event] = []
    try:
        for frame in frames:
            events += reader.read(orjson.dumps(frame))
    except HaigaError:
        return
    assert not events or isinstance(events[0], Started)
    assert not any(isinstance(event, Finished) for event in events[:-1])


def test_a_catalog_says_what_models_can_do_and_cost() -> None:
    listed = {
        "id": "a/b",
        "name": "B",
        "created": 5,
        "context_length": 1000,
        "top_provider": {"max_completion_tokens": 100},
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "supported_parameters": ["tools"],
        "pricing": {"prompt": "0.000001", "completion": "0.000002", "request": "0"},
    }
    routed = {**listed, "id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}}
    model, auto, nothing = read_catalog(orjson.dumps({"data": [listed, routed, {"id": "x"}, 7, {}]}))
    assert ("a/b", "B", 5, 1000, 100) == (
        model.name, model.display_name, model.created, model.context, model.max_output,
    )  # fmt: skip
    can = model.capabilities
    assert (True, False, True, False) == (can.images, can.documents, can.tools, can.structured_output)
    assert model.price is not None and Decimal("0.000002") == model.price.completion
    assert (None, None, True) == (auto.price, nothing.price, nothing.capabilities.tools)


def test_names_go_there_under_their_own_name_or_another() -> None:
    pairs = (("far/*", "*"), ("quick", "big-model"), ("claude-*-x", "c-*"))
    upstream = Upstream("far", "openai", "http://x", None, pairs)
    names = ("far/a/b", "quick", "claude-3-x", "far/", "other", "claude-x")
    assert ["a/b", "big-model", "c-3", None, None, None] == [upstream.theirs(name) for name in names]
    assert "far/big" == upstream.ours("big")


def test_limits_are_read_as_either_family_tells_them() -> None:
    anthropic = {
        "anthropic-ratelimit-input-tokens-limit": "9",
        "anthropic-ratelimit-input-tokens-remaining": "3",
        "anthropic-ratelimit-input-tokens-reset": "1970-01-01T00:01:00Z",
        "anthropic-ratelimit-requests-limit": "many",
    }
    assert (Standing("input_tokens", 9, 3, 60.0),) == read_standing(anthropic, 0)
    openai = {"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "3"}
    assert (Standing("requests", 9, 3, 105.5),) == read_standing({**openai, "x-ratelimit-reset-requests": "5.5s"}, 100)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "7", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e99"}, 86400.0),
    ],
)
def test_how_long_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == retry_after(headers)


def test_a_picture_is_a_file_that_holds_its_pixels() -> None:
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    rgb = bytes(range(2 * 3 * 3))
    with Image.open(BytesIO(b64decode(as_file(Picture.of(rgb, 3, 2)).data))) as opened:
        assert ((3, 2), rgb) == (opened.size, opened.convert("RGB").tobytes())
