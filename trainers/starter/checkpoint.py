"""Writes the network as a Hugging Face directory.

Rule: the files are those `transformers` writes for a LlamaForCausalLM; any loader of Llama checkpoints reads them.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from trainers.starter import vocabulary
from trainers.starter.network import Network, Shape


def config(shape: Shape, tokenizer: Tokenizer) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.mlp_width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_width,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(vocabulary.STOP),
        pad_token_id=tokenizer.token_to_id(vocabulary.END),
    )


def tensors(network: Network) -> dict[str, Tensor]:
    """The weights under their Hugging Face names."""
    s = network.shape
    named = {"model.embed_tokens.weight": network.embedding.weight, "model.norm.weight": network.norm.weight}
    for i, block in enumerate(network.blocks):
        own = dict(block.named_parameters())
        at = f"model.layers.{i}."
        cuts = [s.heads * s.head_width, s.kv_heads * s.head_width, s.kv_heads * s.head_width]
        for name, part in zip("qkv", torch.split(own["attention.qkv.weight"], cuts), strict=True):
            named[f"{at}self_attn.{name}_proj.weight"] = part
        for name, part in zip(("gate", "up"), own["mlp.gate_up.weight"].chunk(2), strict=True):
            named[f"{at}mlp.{name}_proj.weight"] = part
        named[f"{at}self_attn.o_proj.weight"] = own["attention.out.weight"]
        named[f"{at}mlp.down_proj.weight"] = own["mlp.down.weight"]
        named[f"{at}input_layernorm.weight"] = own["attention_norm.weight"]
        named[f"{at}post_attention_layernorm.weight"] = own["mlp_norm.weight"]
    return named


def read(folder: Path, tokenizer: Tokenizer) -> Network:
    """The network of a checkpoint that `write` wrote, widened to `tokenizer`: a name that the checkpoint did not know
    without a blank begins as the one with it, moved by what parts such pairs on the average."""
    shape = replace(Shape(), vocabulary=tokenizer.get_vocab_size())
    stored = {
        n.replace(".text_model.", "."): part.float() for n, part in load_file(folder / "model.safetensors").items()
    }
    embedding = stored["model.embed_tokens.weight"]
    if len(embedding) < shape.vocabulary:
        stored["model.embed_tokens.weight"] = widened(embedding, tokenizer)
    network = Network(shape)
    with torch.no_grad():
        for name, part in tensors(network).items():
            part.copy_(stored[name])
    return network


def widened(embedding: Tensor, tokenizer: Tokenizer) -> Tensor:
    """`embedding` [known, width] with rows for the tokens beyond it."""
    known = len(embedding)
    pairs = {i: tokenizer.token_to_id(f"{vocabulary.BLANK}{token}") for token, i in tokenizer.get_vocab().items()}
    both = [(i, j) for i, j in pairs.items() if j is not None and max(i, j) < known and _is_name(tokenizer, i)]
    bare, blank = (embedding[list(ids)] for ids in zip(*both, strict=True))
    return torch.cat((embedding, embedding[[pairs[i] for i in range(known, len(pairs))]] + (bare - blank).mean(0)))


def _is_name(tokenizer: Tokenizer, token: int) -> bool:
    return (tokenizer.id_to_token(token) or "")[:1].isupper()


def write(network: Network, tokenizer: Tokenizer, folder: Path) -> None:
    """config.json, generation_config.json, model.safetensors (bfloat16), tokenizer.json, tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    model: Any = LlamaForCausalLM(config(network.shape, tokenizer))
    found = {name: part.detach().cpu() for name, part in tensors(network).items()}
    found["lm_head.weight"] = found["model.embed_tokens.weight"]
    model.load_state_dict(found)
    ends = [tokenizer.token_to_id(t) for t in (vocabulary.STOP, vocabulary.END)]
    pad = tokenizer.token_to_id(vocabulary.END)
    settings = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "eos_token_id": ends, "pad_token_id": pad}
    model.generation_config = GenerationConfig.from_dict(settings)
    model.to(torch.bfloat16).save_pretrained(folder)
    vocabulary.save(tokenizer, folder, network.shape.context)
