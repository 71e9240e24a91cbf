"""Answers and conversations come back from the database as they went in, to whom they belong, until they expire."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.responses import History, Item, KeptConversation, KeptResponse
from haiga.stores.responses import DatabaseResponses

FRAMES = tuple(b'event: x\ndata: {"n":%d}\n\n' % n for n in range(3))
ONE = KeptResponse("resp_1", "w", "completed", False, 100, 200, {"id": "resp_1", "output": [{"id": "msg_o1"}]})
TWO = KeptResponse("resp_2", "w", "completed", False, 150, 250, {"output": [{"id": "msg_o2"}]}, previous="resp_1")
TALK = KeptConversation("conv_1", "w", 100, 200, {"topic": "ü"})


def said(*ids: str) -> list[Item]:
    return [{"id": id, "text": f"«{id}»"} for id in ids]


@pytest.fixture
def kept(database: AsyncEngine) -> DatabaseResponses:
    return DatabaseResponses(database)


async def test_a_response_comes_back_whole_with_its_frames_and_input(kept: DatabaseResponses) -> None:
    asked = replace(ONE, background=True, conversation="conv_1", frames=FRAMES)
    await kept.put(asked, said("msg_1", "msg_2"))
    assert asked == await kept.get("w", "resp_1", 199)
    assert said("msg_1", "msg_2") == await kept.input("resp_1")


async def test_a_response_put_again_replaces_itself_and_its_items(kept: DatabaseResponses) -> None:
    await kept.put(replace(ONE, status="queued", body={"output": []}), said("msg_1"))
    await kept.put(ONE, said("msg_1"))
    assert ONE == await kept.get("w", "resp_1", 100)
    assert [*said("msg_1"), {"id": "msg_o1"}] == (await kept.history("w", "resp_1", 100)).items


async def test_what_is_under_way_is_vouched_for_until_it_has_ended(kept: DatabaseResponses) -> None:
    await kept.put(replace(ONE, status="in_progress", background=True), [])
    await kept.put(replace(TWO, background=True, previous=None), [])
    await kept.vouch(["resp_1", "resp_2"], 150)
    assert [[], ["resp_1"]] == [[each.id for each in await kept.unfinished(now)] for now in (149, 150)]
    two = await kept.get("w", "resp_2", 100)
    assert two and two.lease is None


async def test_several_who_keep_one_response_at_once_keep_it_once(kept: DatabaseResponses) -> None:
    await asyncio.gather(*(kept.put(ONE, said(f"msg_{n}")) for n in range(6)))
    assert ONE == await kept.get("w", "resp_1", 100)
    assert 1 == len(await kept.input("resp_1"))


async def test_another_workspace_sees_nothing_and_deletes_nothing(kept: DatabaseResponses) -> None:
    await kept.put(ONE, said("msg_1"))
    await kept.put_conversation(TALK)
    await kept.append(TALK, said("msg_9"))
    assert [None, None] == [await kept.get("x", "resp_1", 100), await kept.conversation("x", "conv_1", 100)]
    assert {} == await kept.find("x", ["msg_1", "msg_9"], 100)
    assert History([], "resp_1") == await kept.history("x", "resp_1", 100)
    assert [False, False] == [await kept.delete("x", "resp_1"), await kept.delete_conversation("x", "conv_1")]
    assert ONE == await kept.get("w", "resp_1", 100)


async def test_history_is_the_whole_chain_oldest_first(kept: DatabaseResponses) -> None:
    await kept.put(ONE, said("msg_1"))
    await kept.put(TWO, said("msg_2"))
    expected = [*said("msg_1"), {"id": "msg_o1"}, *said("msg_2"), {"id": "msg_o2"}]
    assert History(expected) == await kept.history("w", "resp_2", 199)


async def test_a_broken_chain_names_what_is_missing(kept: DatabaseResponses) -> None:
    await kept.put(ONE, said("msg_1"))
    await kept.put(TWO, said("msg_2"))
    assert await kept.delete("w", "resp_1")
    assert "resp_1" == (await kept.history("w", "resp_2", 199)).missing
    assert "resp_0" == (await kept.history("w", "resp_0", 199)).missing


async def test_what_a_response_continues_lives_as_long_as_it_does(kept: DatabaseResponses) -> None:
    await kept.put(ONE, said("msg_1"))
    await kept.put(TWO, said("msg_2"))
    await kept.expire(249)
    assert History([*said("msg_1"), {"id": "msg_o1"}, *said("msg_2"), {"id": "msg_o2"}]) == (
        await kept.history("w", "resp_2", 249)
    )


async def test_what_has_expired_is_gone_at_once_and_leaves_no_row(kept: DatabaseResponses) -> None:
    await kept.put(ONE, [{"id": "msg_1", "text": "secret-a"}])
    await kept.put_conversation(TALK)
    await kept.append(TALK, [{"id": "msg_9", "text": "secret-b"}])
    assert [None, None] == [await kept.get("w", "resp_1", 200), await kept.conversation("w", "conv_1", 200)]
    assert {} == await kept.find("w", ["msg_1", "msg_9"], 200)
    await kept.expire(200)
    assert [[], []] == [await kept.input("resp_1"), await kept.items("conv_1")]


async def test_a_conversation_grows_in_order_and_loses_items_by_id(kept: DatabaseResponses) -> None:
    await kept.put_conversation(TALK)
    await kept.append(TALK, said("a", "b"))
    await kept.append(replace(TALK, expires_at=300), said("c"))
    assert [True, False] == [await kept.remove("conv_1", "b"), await kept.remove("conv_1", "b")]
    await kept.append(replace(TALK, expires_at=300), said("d"))
    assert said("a", "c", "d") == await kept.items("conv_1")
    assert replace(TALK, expires_at=300) == await kept.conversation("w", "conv_1", 299)


async def test_a_conversation_put_again_changes_and_keeps_its_items(kept: DatabaseResponses) -> None:
    await kept.put_conversation(TALK)
    await kept.append(TALK, said("a"))
    await kept.put_conversation(replace(TALK, metadata={"topic": "x"}))
    assert {"topic": "x"} == (await kept.conversation("w", "conv_1", 100)).metadata
    assert said("a") == await kept.items("conv_1")


async def test_nothing_is_added_to_a_conversation_that_is_deleted(kept: DatabaseResponses) -> None:
    await kept.put_conversation(TALK)
    await kept.append(TALK, said("a"))
    assert [True, False] == [await kept.delete_conversation("w", "conv_1") for _ in range(2)]
    await kept.append(TALK, said("b"))
    assert [] == await kept.items("conv_1")


async def test_items_are_found_by_id_in_responses_and_conversations(kept: DatabaseResponses) -> None:
    await kept.put(ONE, said("msg_1"))
    await kept.put_conversation(TALK)
    await kept.append(TALK, said("msg_9"))
    found = await kept.find("w", ["msg_o1", "msg_9", "msg_nowhere"], 100)
    assert {"msg_o1": {"id": "msg_o1"}, "msg_9": said("msg_9")[0]} == found


async def test_any_number_of_items_is_found(kept: DatabaseResponses) -> None:
    ids = [f"msg_{n}" for n in range(2500)]
    await kept.put(ONE, said(*ids))
    assert ids == sorted(await kept.find("w", ids, 100), key=lambda id: int(id[4:]))
