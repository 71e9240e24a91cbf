"""Tiny models that say what a test wants: every token decides the one after it.

The layers add nothing to what the last token says, and the row of a token in the head is what the token before it
says; a sampler of temperature 1 then finds one token far more likely than all the others.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from tests.served import make_model, write_tokenizer

CERTAINTY = 10.0
END = "<|im_end|>"


def link(directory: Path, chains: Sequence[Sequence[int]]) -> None:
    """Write the weights of a random Llama checkpoint so that in each chain a token is followed by the next."""
    path = directory / "model.safetensors"
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor.zero_()
        elif "norm" in name:
            tensor.fill_(1.0)
    says = torch.nn.functional.normalize(tensors["model.embed_tokens.weight"].float(), dim=1)
    tensors["lm_head.weight"].mul_(0.1)
    for chain in chains:
        for _, following in pairwise(chain):
            tensors["lm_head.weight"][following] = 0.0
    for chain in chains:
        for token, following in pairwise(chain):
            tensors["lm_head.weight"][following] += CERTAINTY * says[token]
    save_file(tensors, path, {"format": "pt"})


def make_speaker(directory: Path, *chains: str, template: str, tokens: Sequence[str] = ()) -> Path:
    """A model of 8,192 tokens of context with the byte-level tokenizer, to which `tokens` are added."""
    make_model(directory, max_position_embeddings=8192, vocab_size=261 + len(tokens))
    write_tokenizer(directory, template)
    path = directory / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens(list(tokens))
    tokenizer.save(str(path))
    link(directory, [tokenizer.encode(chain, add_special_tokens=False).ids for chain in chains])
    return directory
