"""The starter with a tower: Idefics3's form, so that any loader of Idefics3 reads it.

Rule: the text model's weights are the base's, with two tokens more that stand around a picture; what is written is
saved by transformers' own classes.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer
from torch import Tensor
from transformers import GenerationConfig, Idefics3Config, Idefics3ForConditionalGeneration

from trainers.starter import checkpoint, vocabulary
from trainers.starter.network import Network
from trainers.starter_vision.tower import Eyes, Layer, Tower

RESERVED, PICTURE = "<|image|>", "<image>"  # the starter's reserved token, and what Idefics3 calls it
AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"
IMAGES = "{%- elif content -%}{%- for part in content if part['type'] == 'text' -%}{{- part['text'] -}}{%- endfor -%}"
WITH_IMAGES = (
    "{%- elif content -%}{%- for part in content -%}{%- if part['type'] == 'image' -%}{{- '" + PICTURE + "\\n' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}{%- endfor -%}"
)


def seeing_tokenizer(base: Path) -> Tokenizer:
    """The base's tokenizer: its reserved token for pictures under Idefics3's name, and those around a picture."""
    text = (base / "tokenizer.json").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(text.replace(json.dumps(RESERVED), json.dumps(PICTURE)))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in (AROUND, WHOLE)])
    return tokenizer


def seeing_template() -> str:
    """The starter's chat template, with pictures where they stand in a message."""
    if IMAGES not in vocabulary.CHAT_TEMPLATE:
        raise ValueError("the starter's template shows parts of a message in another way than was expected")
    return vocabulary.CHAT_TEMPLATE.replace(IMAGES, WITH_IMAGES)


def place(tokenizer: Tokenizer) -> int:
    """The id of the token that stands for a picture. Raises ValueError where there is none."""
    found: int | None = tokenizer.token_to_id(PICTURE)
    if found is None:
        raise ValueError(f"the tokenizer has no token {PICTURE}")
    return found


def spelt(eyes: Eyes) -> str:
    """What stands in a prompt for a picture."""
    return f"{AROUND}{WHOLE}{PICTURE * eyes.tokens}{AROUND}"


def text_network(base: Path, tokenizer: Tokenizer) -> Network:
    """The base's text model; a token that it did not know begins as nothing, which is never said."""
    known = Tokenizer.from_file(str(base / "tokenizer.json"))
    network = checkpoint.read(base, known)
    missing = tokenizer.get_vocab_size() - known.get_vocab_size()
    if missing > 0:
        old = network.embedding.weight.detach()
        network.embedding.weight = torch.nn.Parameter(torch.cat((old, torch.zeros(missing, old.shape[1]))))
        network.shape = replace(network.shape, vocabulary=tokenizer.get_vocab_size())
    return network


def connector_of(folder: Path) -> Tensor:
    """The connector's matrix of a checkpoint that `write` wrote."""
    return load_file(folder / "model.safetensors")["model.connector.modality_projection.proj.weight"].float()


def config(base: Path, eyes: Eyes, tokenizer: Tokenizer) -> Idefics3Config:
    text = json.loads((base / "config.json").read_text(encoding="utf-8"))
    text = text.get("text_config", text)
    more: Any = {"pad_token_id": tokenizer.token_to_id(vocabulary.END)}
    return Idefics3Config(
        text_config={**text, "vocab_size": tokenizer.get_vocab_size()},
        vision_config={
            "hidden_size": eyes.width,
            "intermediate_size": eyes.mlp_width,
            "num_hidden_layers": eyes.layers,
            "num_attention_heads": eyes.heads,
            "image_size": eyes.image,
            "patch_size": eyes.patch,
        },
        image_token_id=place(tokenizer),
        scale_factor=eyes.fold,
        tie_word_embeddings=True,
        **more,
    )


def tensors(tower: Tower, network: Network) -> dict[str, Tensor]:
    """The weights under their Hugging Face names."""
    eyes = tower.eyes
    text = {name.removeprefix("model."): part for name, part in checkpoint.tensors(network).items()}
    named = {f"model.text_model.{name}": part for name, part in text.items()}
    named["lm_head.weight"] = network.embedding.weight
    at = "model.vision_model."
    named[f"{at}embeddings.patch_embedding.weight"] = tower.kernel.weight.view(-1, 3, eyes.patch, eyes.patch)
    named[f"{at}embeddings.patch_embedding.bias"] = tower.kernel.bias
    named[f"{at}embeddings.position_embedding.weight"] = tower.places
    for number, layer in enumerate(tower.layers):
        assert isinstance(layer, Layer)
        named |= {f"{at}encoder.layers.{number}.{name}": part for name, part in _layer(layer).items()}
    named |= {f"{at}post_layernorm.{name}": part for name, part in tower.norm.named_parameters()}
    named["model.connector.modality_projection.proj.weight"] = tower.connector.weight
    return named


def _layer(layer: Layer) -> dict[str, Tensor]:
    parts = {
        "layer_norm1": layer.attention_norm,
        "layer_norm2": layer.mlp_norm,
        "self_attn.out_proj": layer.out,
        "mlp.fc1": layer.wide,
        "mlp.fc2": layer.narrow,
    }
    named: dict[str, Tensor] = {
        f"{name}.{kind}": part for name, one in parts.items() for kind, part in one.named_parameters()
    }
    for kind, whole in layer.qkv.named_parameters():
        named |= {f"self_attn.{name}_proj.{kind}": part for name, part in zip("qkv", whole.chunk(3), strict=True)}
    return named


def write(tower: Tower, network: Network, tokenizer: Tokenizer, base: Path, out: Path) -> None:
    """A directory that transformers and haiga read: weights in bfloat16, tokenizer, template, how pictures are
    prepared."""
    out.mkdir(parents=True, exist_ok=True)
    model: Any = Idefics3ForConditionalGeneration(config(base, tower.eyes, tokenizer))
    model.load_state_dict({name: part.detach() for name, part in tensors(tower, network).items()})
    settings = json.loads((base / "generation_config.json").read_text(encoding="utf-8"))
    model.generation_config = GenerationConfig.from_dict(settings)
    model.to(torch.bfloat16).save_pretrained(out)
    if base != out:
        shutil.copy(base / "tokenizer_config.json", out)
    tokenizer.save(str(out / "tokenizer.json"))
    told = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    _save(out / "tokenizer_config.json", told | {"chat_template": seeing_template()})
    side = {"longest_edge": tower.eyes.image}
    scale = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255, "resample": 3}
    steps = {"do_convert_rgb": True, "do_resize": True, "do_rescale": True, "do_normalize": True, "do_pad": True}
    _save(
        out / "preprocessor_config.json",
        {"image_processor_type": "Idefics3ImageProcessor", "do_image_splitting": False}
        | {"size": side, "max_image_size": side, **scale, **steps},
    )


def _save(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def shown(question: str, eyes: Eyes, first: bool = True) -> str:
    """The prompt of a question about one picture, the picture first or last."""
    text = f"{spelt(eyes)}\n{question}" if first else f"{question}{spelt(eyes)}\n"
    return vocabulary.prompt([("user", text)])
