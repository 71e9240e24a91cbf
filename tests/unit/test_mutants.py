"""Damaged and hostile model files: a clear line or a model that can be built, no crash and no huge allocation."""

import subprocess
import sys
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Type
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.checkpoints import VOCABULARY, load_reference, make_checkpoint
from tests.gguf_files import write_gguf

ROOT = Path(__file__).parents[2]
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 40, "head_dim": 16}
GOOD = {
    "llama": {},
    "qwen3_moe": {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "gemma3_text": MIXED,
    "gpt_oss": {**MIXED, "num_local_experts": 3, "num_experts_per_tok": 2},
    "llama4_text": {"num_local_experts": 2, "head_dim": 16, "interleave_moe_layer_step": 2},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One model of each kind, with a tokenizer whose tokens are bytes; and a GGUF file."""
    root = tmp_path_factory.mktemp("good")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(alphabet)}, merges=[]))
    tokenizer.decoder = decoders.ByteLevel()
    for kind, config in GOOD.items():
        directory = make_checkpoint(root / kind, kind, shard_size="60KB" if kind == "llama" else "1GB", **config)
        tokenizer.save(str(directory / "tokenizer.json"))
    tokens = [*alphabet, *(f"<{at}>" for at in range(VOCABULARY - 256))]
    fields = {"model": "gpt2", "pre": "gpt-2", "tokens": tokens, "token_type": [1] * VOCABULARY, "merges": []}
    metadata = {f"tokenizer.ggml.{key}": value for key, value in fields.items() if value}
    (file,) = write_gguf(root / "tiny.gguf", load_reference(root / "llama"), Type.Q8_0, "llama", metadata)
    return [*(root / kind for kind in GOOD), file]


def test_500_mutants_are_refused_in_a_line_or_harmless(good: list[Path]) -> None:
    command = [sys.executable, "-m", "tests.unit.mutants", "500", *map(str, good)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ("", 0) == (done.stdout, done.returncode), done.stderr[-2000:]
