"""Requests with tools that servers run never share an answer."""

import pytest

from haiga.core.generation import SamplingRequest, TextRequest
from haiga.core.jobs import Dedupe
from haiga.core.messages import Message, Text, Toolset
from haiga.engines.fake import CARD
from haiga.services.batches.sameness import digest_of, is_deterministic


def request(*toolsets: Toolset) -> TextRequest:
    messages = (Message("user", (Text("hi"),)),)
    return TextRequest("fake", messages, 9, sampling=SamplingRequest(temperature=0), toolsets=toolsets)


@pytest.mark.parametrize("dedupe", ["all", "deterministic"])
def test_a_tool_is_run_for_everyone_who_asks(dedupe: Dedupe) -> None:
    asked = request(Toolset("sums", "https://sums.example", "secret"))
    assert digest_of([request()], CARD, "e", "w", dedupe) is not None
    assert digest_of([asked], CARD, "e", "w", dedupe) is None
    assert (True, False) == (is_deterministic(request()), is_deterministic(asked))
