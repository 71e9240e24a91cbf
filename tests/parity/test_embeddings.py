"""A text's vector agrees with transformers and the pooling computed by hand, whatever else is in the batch."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from haiga.core.errors import Invalid
from haiga.models.load import Settings, load_embedder
from haiga.models.pooling import Mode, Pooling, read_pooling
from haiga.models.weights import Packing
from tests.checkpoints import make_embedder, random_tokens

Vector = NDArray[np.float32]
LENGTHS = (5, 40, 1, 33)


@dataclass(frozen=True)
class Case:
    kind: str
    config: dict[str, Any] = field(default_factory=dict)


CASES = {
    "bert": Case("bert"),
    "bert, tanh gelu, more types": Case("bert", {"hidden_act": "gelu_new", "type_vocab_size": 3}),
    "roberta, positions after the padding token": Case("roberta", {"pad_token_id": 1, "type_vocab_size": 1}),
    "xlm-roberta": Case("xlm-roberta", {"pad_token_id": 1, "type_vocab_size": 1}),
    "llama": Case("llama"),
    "mistral, window": Case("mistral", {"sliding_window": 20}),
    "qwen 2": Case("qwen2"),
    "qwen 3": Case("qwen3", {"head_dim": 32}),
}

POOLED: dict[Mode, Callable[[Vector], Vector]] = {
    "cls": lambda states: states[0],
    "mean": lambda states: states.mean(0),
    "max": lambda states: states.max(0),
    "mean_sqrt_len": lambda states: states.sum(0) / np.sqrt(len(states)),
    "weightedmean": lambda states: np.average(states, 0, np.arange(1, len(states) + 1)),
    "lasttoken": lambda states: states[-1],
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embedder(tmp_path_factory.mktemp("model"), request.param.kind, **request.param.config)


def states(directory: Path, texts: Sequence[Sequence[int]]) -> list[Vector]:
    """transformers' last states of each text, run alone."""
    model = AutoModel.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        return [model(torch.tensor([list(text)])).last_hidden_state[0].numpy() for text in texts]


def vectors(
    directory: Path, texts: Sequence[Sequence[int]], pooling: Pooling, weights: Packing = "f32", padding: int = 3
) -> Vector:
    """Ours, side by side; the padding is any token, for nothing may look at it."""
    loaded = load_embedder(directory, Settings(weights, "u8"), pooling)  # its weights must outlive the request
    request = loaded.compiled.create_infer_request()
    ids = np.full((len(texts), max(map(len, texts)) + padding), 7, np.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    request.infer({"input_ids": ids, "lengths": np.array([len(text) for text in texts])})
    return np.array(request.get_output_tensor(0).data)


TEXTS = [random_tokens(length, seed) for seed, length in enumerate(LENGTHS)]


@pytest.mark.parametrize("mode", POOLED)
def test_every_pooling_of_every_family_agrees(directory: Path, mode: Mode) -> None:
    expected = [POOLED[mode](each) for each in states(directory, TEXTS)]
    np.testing.assert_allclose(vectors(directory, TEXTS, Pooling(mode, unit=False)), expected, atol=1e-4)


def test_unit_length_and_company_make_no_difference_but_in_length(directory: Path) -> None:
    raw = vectors(directory, TEXTS, Pooling("mean", unit=False))
    for at, text in enumerate(TEXTS):
        alone = vectors(directory, [text], Pooling("mean", unit=True), padding=0)[0]
        np.testing.assert_allclose(alone, raw[at] / np.linalg.norm(raw[at]), atol=1e-5)


@pytest.mark.parametrize(("weights", "least"), [("bf16", 0.999), ("int8", 0.995)])
def test_packed_weights_point_the_same_way(tmp_path: Path, weights: Packing, least: float) -> None:
    made = make_embedder(tmp_path, "bert")
    exact, packed = (vectors(made, TEXTS, Pooling("mean", unit=True), kind) for kind in ("f32", weights))
    assert (exact * packed).sum(1).min() > least


def write_modules(directory: Path, *types: str, **pooling: Any) -> Path:
    modules = [
        {
            "idx": at,
            "name": str(at),
            "path": f"{at}_{kind}" if at else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for at, kind in enumerate(types)
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir(exist_ok=True)
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 64, **pooling}))
    return directory


def test_the_pooling_is_what_the_files_beside_the_checkpoint_say(tmp_path: Path) -> None:
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    write_modules(tmp_path, "Transformer", "Pooling", "Normalize", **flags)
    assert Pooling("cls", unit=True) == read_pooling(tmp_path, causal=False)
    write_modules(tmp_path, "Transformer", "Pooling", pooling_mode="lasttoken")
    assert Pooling("lasttoken", unit=False) == read_pooling(tmp_path, causal=False)


def test_without_such_files_it_is_the_familys(tmp_path: Path) -> None:
    assert Pooling("mean", unit=True) == read_pooling(tmp_path, causal=False)
    assert Pooling("lasttoken", unit=True) == read_pooling(tmp_path, causal=True)


@pytest.mark.parametrize(
    ("types", "flags", "message"),
    [
        (("Transformer", "Pooling", "Dense"), {"pooling_mode_cls_token": True}, "'Dense' is not supported"),
        (("Transformer",), {}, "names no Pooling"),
        (("Transformer", "Pooling"), {}, "names none of cls, mean"),
        (
            ("Transformer", "Pooling"),
            dict.fromkeys(("pooling_mode_cls_token", "pooling_mode_max_tokens"), True),
            "cls and max",
        ),
    ],
)
def test_what_is_not_known_is_refused_by_name(
    tmp_path: Path, types: tuple[str, ...], flags: dict[str, bool], message: str
) -> None:
    write_modules(tmp_path, *types, **flags)
    with pytest.raises(Invalid, match=message):
        read_pooling(tmp_path, causal=False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key' is not supported"),
        ({"hidden_act": "mish"}, "hidden_act 'mish' is not supported"),
    ],
)
def test_what_a_bert_here_cannot_do_is_refused_by_name(tmp_path: Path, config: dict[str, str], message: str) -> None:
    made = make_embedder(tmp_path, "bert")
    held = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps({**held, **config}))
    with pytest.raises(Invalid, match=message):
        vectors(made, TEXTS, Pooling("mean", unit=True))
