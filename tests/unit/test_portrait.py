"""What `haiga models show` says is what the files hold."""

from math import prod
from pathlib import Path

from haiga.engines.native.opening import NativeOptions
from haiga.engines.native.portrait import portray
from haiga.models.description import describe
from haiga.models.weights import Checkpoint
from tests.checkpoints import make_checkpoint, make_embedder

SPARSE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def test_every_number_is_in_one_part(tmp_path: Path) -> None:
    checkpoint = Checkpoint(make_checkpoint(tmp_path, "qwen3_moe", **SPARSE))
    found = portray(tmp_path, NativeOptions())
    assert sum(prod(checkpoint.entry(name).shape) for name in checkpoint) == found.parameters
    names = ["embedding and head", "attention", "feed-forward", "experts", "norms and biases"]
    assert names == [part.name for part in found.parts]


def test_four_of_six_experts_are_passed_over(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "qwen3_moe", **SPARSE)
    found = portray(tmp_path, NativeOptions())
    assert (6, 2) == (found.experts, found.chosen)
    assert 2 * 4 * 3 * 32 * 64 == found.parameters - found.active  # layers, experts, matrices, their size


def test_all_parts_together_take_what_the_server_counts_and_the_norms(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "gemma3_text", head_dim=16)
    found, description = portray(tmp_path, NativeOptions(weights="int4")), describe(tmp_path)
    norms = next(part.size for part in found.parts if part.name == "norms and biases")
    assert description.weight_bytes("int4") + norms == sum(part.size for part in found.parts)


def test_the_context_is_what_the_memory_has_room_for(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    bytes_a_token = describe(tmp_path).kv_bytes("u8")
    few = portray(tmp_path, NativeOptions(weights="int8", kv_memory=100 * bytes_a_token))
    assert (96, 512, bytes_a_token) == (few.context, few.trained, few.kv_bytes)
    assert 512 == portray(tmp_path, NativeOptions(weights="int8")).context


def test_u4_is_told_with_its_scales(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    found = portray(tmp_path, NativeOptions(weights="int8", cache="u4", kv_memory=50_000))
    a_block = 2 * 2 * (2 * 32 * 16 // 2 + 8 * (32 + 16))  # layers, heads, numbers, scales and zeros
    assert (a_block / 32, 50_000 // a_block * 32) == (found.kv_bytes, found.context)


def test_layers_that_give_tokens_back_are_told_apart(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, "llama4_text", num_hidden_layers=4, head_dim=16, num_local_experts=4)
    found = portray(tmp_path, NativeOptions(weights="int8"))
    assert 3 * found.kv_bytes == found.local_kv_bytes > 0


def test_an_encoder_has_no_cache(tmp_path: Path) -> None:
    found = portray(make_embedder(tmp_path), NativeOptions())
    assert (0, "BertModel", 512) == (found.kv_bytes, found.family, found.context)
