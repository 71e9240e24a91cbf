"""A GGUF file from the command line: run by its path, added to the library, listed, removed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Type
from tokenizers import pre_tokenizers

from tests.checkpoints import load_reference, make_checkpoint
from tests.gguf_files import write_gguf

TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama whose tokens are bytes, in two parts."""
    directory = tmp_path_factory.mktemp("gguf")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "<|im_start|>", "<|im_end|>", "ab"]
    fields = {
        "model": "gpt2",
        "pre": "llama-bpe",
        "tokens": tokens,
        "token_type": [1] * 256 + [3, 3, 1],
        "merges": ["a b"],
        "bos_token_id": 256,
        "eos_token_id": 257,
    }
    metadata = {f"tokenizer.ggml.{key}": value for key, value in fields.items()}
    reference = load_reference(make_checkpoint(directory / "checkpoint", vocab_size=len(tokens)))
    metadata["tokenizer.chat_template"] = TEMPLATE
    return write_gguf(directory / "tiny.gguf", reference, Type.Q4_1, "llama", metadata, split=12)[0]


def haiga(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("haiga")), *arguments, "--data-dir", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "HF_TOKEN": "none"})


def test_a_file_is_run_by_its_path(model: Path, tmp_path: Path) -> None:
    done = haiga(tmp_path, "run", str(model), "hi", "--max-tokens", "8", "--temperature", "0")
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.strip()


def test_a_file_is_added_listed_and_removed_but_never_deleted(model: Path, tmp_path: Path) -> None:
    assert "added mine" in haiga(tmp_path, "models", "add", str(model), "--name", "mine").stderr
    assert "mine" in haiga(tmp_path, "models", "list").stdout
    shown = haiga(tmp_path, "models", "show", "mine").stdout
    for line in (r"family +LlamaForCausalLM", r"runs as +kept, cache u8", r"context +[\d,]+ tokens of [\d,]+"):
        assert re.search(line, shown)
    assert list((tmp_path / "packed").iterdir())
    assert 0 == haiga(tmp_path, "models", "remove", "mine").returncode
    assert not list((tmp_path / "packed").iterdir())
    assert model.is_file()
