"""Model cards as both families list them."""

import json
from typing import Any

import pytest

from haiga.core.errors import Invalid
from haiga.core.ports import Capabilities, ModelCard
from haiga.wire import openai_models
from haiga.wire.anthropic.answers import ModelAnswer
from haiga.wire.anthropic.models import write_model, write_models

CARDS = [
    ModelCard(f"m{i}", f"Model {i}", 86_400 * i, 4096, 1024, Capabilities(images=i == 1, thinking=i == 1))
    for i in range(5)
]


def listed(**paging: Any) -> tuple[list[str], bool]:
    page = json.loads(write_models(CARDS, **paging))
    names = [model["id"] for model in page["data"]]
    assert (names[0] if names else None, names[-1] if names else None) == (page["first_id"], page["last_id"])
    return names, page["has_more"]


def test_a_model_tells_its_limits_its_date_and_what_it_can_do():
    model = json.loads(write_model(CARDS[1]))
    assert ("m1", "Model 1", "1970-01-02T00:00:00Z") == (model["id"], model["display_name"], model["created_at"])
    assert (4096, 1024) == (model["max_input_tokens"], model["max_tokens"])
    can = model["capabilities"]
    assert (True, False) == (can["image_input"]["supported"], can["pdf_input"]["supported"])
    assert (True, True) == (can["thinking"]["supported"], can["thinking"]["types"]["adaptive"]["supported"])
    assert ModelAnswer.model_validate(model)


def test_paging_goes_forward_and_backward_and_tells_whether_there_is_more():
    assert (["m0", "m1"], True) == listed(limit=2)
    assert (["m2", "m3"], True) == listed(limit=2, after_id="m1")
    assert (["m4"], False) == listed(limit=2, after_id="m3")
    assert ([], False) == listed(after_id="m4")
    assert (["m1", "m2"], True) == listed(limit=2, before_id="m3")
    assert (["m0"], False) == listed(limit=2, before_id="m1")
    assert (["m1", "m2"], False) == listed(after_id="m0", before_id="m3")


@pytest.mark.parametrize("cursor", ["after_id", "before_id"])
def test_a_cursor_that_names_no_model_is_refused(cursor: str):
    with pytest.raises(Invalid, match=f"{cursor}: no model has this id"):
        write_models(CARDS, **{cursor: "other"})


def test_openais_list_is_whole():
    expected = {"id": "m3", "object": "model", "created": 259_200, "owned_by": "haiga"}
    assert expected == json.loads(openai_models.write_models(CARDS))["data"][3]
    assert expected == json.loads(openai_models.write_model(CARDS[3]))
