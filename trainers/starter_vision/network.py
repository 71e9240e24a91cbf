"""The starter with a tower: LLaVA 1.5's form with a small SigLIP tower, so that any loader of LLaVA reads it.

Rule: built and saved by transformers' own classes; the text model's weights are the base's.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlavaConfig, LlavaForConditionalGeneration

from trainers.starter import vocabulary

RESERVED, PICTURE = "<|image|>", "<image>"  # the starter's reserved token, and what LLaVA calls it
IMAGES = "{%- elif content -%}{%- for part in content if part['type'] == 'text' -%}{{- part['text'] -}}{%- endfor -%}"
WITH_IMAGES = (
    "{%- elif content -%}{%- for part in content -%}{%- if part['type'] == 'image' -%}{{- '" + PICTURE + "\\n' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}{%- endif -%}{%- endfor -%}"
)
MIDDLE = 127  # the grey around a picture that is not square: the tower's mean colour


@dataclass(frozen=True, slots=True)
class Eyes:
    """Sizes of the tower; the defaults have 2.2 million parameters."""

    image: int = 96
    patch: int = 12
    width: int = 192
    layers: int = 6
    heads: int = 4
    mlp_width: int = 512

    @property
    def tokens(self) -> int:
        """How many tokens a picture is."""
        return (self.image // self.patch) ** 2


def seeing_tokenizer(base: Path) -> Tokenizer:
    """The base's tokenizer, its reserved token for pictures under LLaVA's name."""
    text = (base / "tokenizer.json").read_text(encoding="utf-8")
    return Tokenizer.from_str(text.replace(json.dumps(RESERVED), json.dumps(PICTURE)))


def seeing_template() -> str:
    """The starter's chat template, with pictures where they stand in a message."""
    if IMAGES not in vocabulary.CHAT_TEMPLATE:
        raise ValueError("the starter's template shows parts of a message in another way than was expected")
    return vocabulary.CHAT_TEMPLATE.replace(IMAGES, WITH_IMAGES)


def build(base: Path, eyes: Eyes, tokenizer: Tokenizer) -> Any:
    """The base's text model behind new eyes, in float32."""
    text = json.loads((base / "config.json").read_text(encoding="utf-8"))
    config = LlavaConfig(
        text_config=text,
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": eyes.width,
            "intermediate_size": eyes.mlp_width,
            "num_hidden_layers": eyes.layers,
            "num_attention_heads": eyes.heads,
            "image_size": eyes.image,
            "patch_size": eyes.patch,
            "vision_use_head": False,
        },
        image_token_index=_place(tokenizer),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        projector_hidden_act="gelu",
        tie_word_embeddings=True,
    )
    model: Any = LlavaForConditionalGeneration(config)
    stored = {name: part.float() for name, part in load_file(base / "model.safetensors").items()}
    plain = {name.removeprefix("model."): part for name, part in stored.items() if name.startswith("model.")}
    model.model.language_model.load_state_dict(plain)
    model.tie_weights()
    return model


def _place(tokenizer: Tokenizer) -> int:
    place = tokenizer.token_to_id(PICTURE)
    if place is None:
        raise ValueError(f"the base's tokenizer has no token {RESERVED}")
    return int(place)


def write(model: Any, tokenizer: Tokenizer, base: Path, eyes: Eyes, out: Path) -> None:
    """A directory that transformers and haiga read: weights in bfloat16, tokenizer, template, how pictures are
    prepared."""
    out.mkdir(parents=True, exist_ok=True)
    settings = json.loads((base / "generation_config.json").read_text(encoding="utf-8"))
    model.generation_config = GenerationConfig.from_dict(settings)
    saved: Any = LlavaForConditionalGeneration(model.config)
    saved.load_state_dict({name: part.detach().cpu() for name, part in model.state_dict().items()})
    saved.generation_config = model.generation_config
    saved.to(torch.bfloat16).save_pretrained(out)
    shutil.copy(base / "tokenizer_config.json", out)
    tokenizer.save(str(out / "tokenizer.json"))
    told = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    told |= {"chat_template": seeing_template(), "image_token": PICTURE}
    _save(out / "tokenizer_config.json", told)
    size = {"height": eyes.image, "width": eyes.image}
    scale = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "rescale_factor": 1 / 255, "resample": 3}
    steps = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_pad": True, "do_center_crop": False}
    _save(
        out / "preprocessor_config.json",
        {"image_processor_type": "LlavaImageProcessor", "size": size, **scale, **steps},
    )
    processor = {"processor_class": "LlavaProcessor", "patch_size": eyes.patch, "image_token": PICTURE}
    _save(out / "processor_config.json", {**processor, "vision_feature_select_strategy": "full"})
    _save(out / "eyes.json", asdict(eyes))


def _save(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def prepared(picture: Image.Image, eyes: Eyes) -> NDArray[np.float32]:
    """The picture as the tower takes it, [3, image, image]: made square by grey, resized, scaled to -1..1."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), (MIDDLE,) * 3)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    small = square.resize((eyes.image, eyes.image), Image.Resampling.BICUBIC)
    return (np.asarray(small, np.float32) / 127.5 - 1).transpose(2, 0, 1)


def shown(question: str, eyes: Eyes) -> str:
    """The prompt of a question about one picture."""
    return vocabulary.prompt([("user", f"{PICTURE * eyes.tokens}\n{question}")])
