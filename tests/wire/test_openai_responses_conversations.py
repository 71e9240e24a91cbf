"""Conversations that are kept, and long ones that are summed up."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace

import openai
import pytest
from openai import OpenAI

from haiga.core.generation import Event, TextRequest
from haiga.core.messages import Message, Text, text_of
from haiga.engines.fake import CARD, FakeEngine
from haiga.services.compaction import INSTRUCTIONS
from tests.wire.responses_server import serving_kept


class Summing(FakeEngine):
    """Echoes, but says what the sea is like when it is asked for a summary."""

    async def generate(self, request: TextRequest) -> AsyncGenerator[Event, None]:
        if INSTRUCTIONS in text_of(request.messages[-1].content):
            request = replace(request, messages=(Message("user", (Text("the sea is blue"),)),))
        async for event in super().generate(request):
            yield event


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    engines = [FakeEngine(), Summing(replace(CARD, name="summing"))]
    with (
        serving_kept(tmp_path_factory.mktemp("kept") / "db", engines) as address,
        OpenAI(base_url=address, api_key="w", max_retries=0) as client,
    ):
        yield client


def test_a_conversation_is_made_changed_and_deleted(client: OpenAI) -> None:
    made = client.conversations.create(metadata={"topic": "a"})
    assert (True, {"topic": "a"}, "conversation") == (made.id.startswith("conv_"), made.metadata, made.object)
    assert {"topic": "b"} == client.conversations.update(made.id, metadata={"topic": "b"}).metadata
    assert {"topic": "b"} == client.conversations.retrieve(made.id).metadata
    assert (made.id, True) == ((gone := client.conversations.delete(made.id)).id, gone.deleted)
    for ask in (client.conversations.retrieve, client.conversations.delete, client.conversations.items.list):
        with pytest.raises(openai.NotFoundError, match="Conversation with id"):
            ask(made.id)


def test_items_come_and_go(client: OpenAI) -> None:
    items = client.conversations.items
    id = client.conversations.create(items=[{"role": "user", "content": "one"}]).id
    added = items.create(id, items=[{"role": "assistant", "content": "two"}, {"role": "user", "content": "three"}])
    assert ["two", "three"] == [item.content[0].text for item in added.data]
    assert ["one", "two", "three"] == [item.content[0].text for item in items.list(id, order="asc", limit=1)]
    middle = added.data[0]
    assert ("message", "assistant") == ((found := items.retrieve(middle.id, conversation_id=id)).type, found.role)
    assert id == items.delete(middle.id, conversation_id=id).id
    assert ["three", "one"] == [item.content[0].text for item in items.list(id)]
    with pytest.raises(openai.NotFoundError, match="Item with id"):
        items.retrieve(middle.id, conversation_id=id)


def test_responses_read_and_grow_their_conversation(client: OpenAI) -> None:
    id = client.conversations.create(items=[{"role": "user", "content": "one two"}]).id
    first = client.responses.create(model="fake", input="three", conversation=id)
    second = client.responses.create(model="fake", input="four", conversation={"id": id}, stream=True)
    done = list(second)[-1].response
    assert [5, 9] == [first.usage.input_tokens, done.usage.input_tokens]
    assert id == first.conversation.id == done.conversation.id
    said = [item.content[0].text for item in client.conversations.items.list(id, order="asc")]
    assert ["one two", "three", "three", "four", "four"] == said
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="fake", input="x", conversation=id, previous_response_id=first.id)
    assert "mutually_exclusive_parameters" == raised.value.code


def test_a_response_of_a_conversation_is_continued_without_it(client: OpenAI) -> None:
    id = client.conversations.create(items=[{"role": "user", "content": "one two"}]).id
    first = client.responses.create(model="fake", input="three", conversation=id)
    client.responses.create(model="fake", input="four", conversation=id)
    branch = client.responses.create(model="fake", input="five", previous_response_id=first.id)
    assert ([5, 9], None) == ([first.usage.input_tokens, branch.usage.input_tokens], branch.conversation)
    assert 5 == len(client.conversations.items.list(id).data)
    client.conversations.delete(id)
    assert 6 == client.responses.create(model="fake", input="x", previous_response_id=first.id).usage.input_tokens


# --- compaction ---

SEA = [{"role": "user", "content": "what is the sea like"}, {"role": "assistant", "content": "blue and deep"}]


def test_a_compacted_conversation_goes_on_from_its_summary(client: OpenAI) -> None:
    made = client.responses.compact(model="summing", input=SEA)
    said, summary = made.output
    assert ("response.compaction", "message", "compaction") == (made.object, said.type, summary.type)
    assert made.usage.output_tokens > 0
    given = [item.to_dict() for item in made.output]
    answer = client.responses.create(model="summing", input=[*given, {"role": "user", "content": "go on"}])
    assert "go on" == answer.output_text
    alone = client.responses.create(model="summing", input=[*given[1:], {"role": "user", "content": "go on"}])
    assert alone.usage.input_tokens == answer.usage.input_tokens  # what came before the summary is left out


def test_a_kept_response_is_compacted(client: OpenAI) -> None:
    first = client.responses.create(model="summing", input="what is the sea like")
    made = client.responses.compact(model="summing", previous_response_id=first.id)
    assert ["message", "compaction"] == [item.type for item in made.output]


def test_a_long_prompt_is_compacted_before_it_is_answered(client: OpenAI) -> None:
    managed = [{"type": "compaction", "compact_threshold": 2}]
    answer = client.responses.create(model="summing", input=SEA[:1], context_management=managed)
    assert ["compaction", "message"] == [item.type for item in answer.output]
    with client.responses.stream(model="summing", input=SEA[:1], context_management=managed) as stream:
        kinds = [event.type for event in stream]
    assert "response.compaction.compacting" in kinds
    again = client.responses.create(model="summing", input="go on", previous_response_id=answer.id)
    assert "go on" == again.output_text
    short = client.responses.create(model="summing", input=SEA[:1], context_management=[{"type": "compaction"}])
    assert ["message"] == [item.type for item in short.output]


def test_a_trigger_asks_for_a_summary_alone(client: OpenAI) -> None:
    trigger = {"type": "compaction_trigger"}
    answer = client.responses.create(model="summing", input=[*SEA, trigger])
    assert (["compaction"], "completed") == ([item.type for item in answer.output], answer.status)
    with pytest.raises(openai.BadRequestError, match="must be the last item"):
        client.responses.create(model="summing", input=[trigger, *SEA])


def test_a_summary_of_another_servers_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.responses.create(model="summing", input=[{"type": "compaction", "encrypted_content": "gAAA"}, *SEA])
    assert ("input[0].encrypted_content", "invalid_encrypted_content") == (raised.value.param, raised.value.code)
