"""Tiny random checkpoints made with transformers, for any test that needs a model directory.

Rule: every tensor is random, biases and norms included, so that nothing left out of a graph can go unnoticed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

VOCABULARY = 307

TINY: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def make_checkpoint(
    directory: Path,
    model_type: str = "llama",
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    shard_size: str = "1GB",
    **config: Any,
) -> Path:
    """Save a random model of `model_type` (llama, mistral, qwen2, qwen3, smollm3) into `directory`."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**TINY, **config}))
    for name, parameter in model.named_parameters():
        # norms around one, the rest small enough that logits stay within a few units
        centre, spread = (1.0, 0.3) if "norm" in name else (0.0, 0.15)
        torch.nn.init.normal_(parameter, centre, spread)
    model.to(dtype).save_pretrained(directory, max_shard_size=shard_size)
    return directory


def load_reference(directory: Path) -> Any:
    """The checkpoint in transformers, float32, eager attention."""
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def reference_logits(model: Any, tokens: Sequence[int]) -> NDArray[np.float32]:
    """transformers' logits [tokens, vocabulary] of one sequence in one forward pass."""
    with torch.no_grad():
        logits: NDArray[np.float32] = model(torch.tensor([list(tokens)])).logits[0].numpy()
    return logits


def random_tokens(count: int, seed: int = 0) -> list[int]:
    """Token ids that are no special tokens."""
    return np.random.default_rng(seed).integers(3, VOCABULARY, count).tolist()


def make_embedder(directory: Path, model_type: str = "bert", seed: int = 0, **config: Any) -> Path:
    """Save a random model without a head (bert, roberta, xlm-roberta, or a decoder) into `directory`."""
    torch.manual_seed(seed)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **{**TINY, **config}))
    for name, parameter in model.named_parameters():
        centre, spread = (float(name.endswith("weight")), 0.3) if "norm" in name.lower() else (0.0, 0.15)
        torch.nn.init.normal_(parameter, centre, spread)
    model.save_pretrained(directory)
    return directory
