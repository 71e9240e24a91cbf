"""Tiny random models that see, with their tokenizers, templates and processors: one for each family.

Rule: made by transformers' own classes, so that what is compared with them is what they would do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma3.processing_gemma3 import Gemma3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava.processing_llava import LlavaProcessor
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
from transformers.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from haiga.core.pictures import Picture
from tests import llama4_reference
from tests.checkpoints import TINY

LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
SPECIAL = ("<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
SIZES = {**TINY, "max_position_embeddings": 4096}

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}PICTURE{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """kind: the model's type; config: of its parts, `tokens` being ids by text; processor: from a tokenizer. picture:
    what the template writes for one."""

    kind: str
    tokens: tuple[str, ...]
    picture: str
    config: Callable[[dict[str, int]], dict[str, Any]]
    processor: Callable[[Any, str], Any]
    rows: dict[str, Any] = field(default_factory=dict)


def tower(**more: Any) -> dict[str, Any]:
    return {"hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 3, **more}


def _idefics(tokens: dict[str, int]) -> dict[str, Any]:
    return {
        "image_token_id": tokens["<image>"],
        "scale_factor": 2,
        "vision_config": tower(image_size=28, patch_size=7, hidden_act="gelu_pytorch_tanh"),
        "text_config": {"model_type": "llama"},
    }


def _idefics_processor(tokenizer: Any, template: str) -> Any:
    images = Idefics3ImageProcessorPil(size={"longest_edge": 84}, max_image_size={"longest_edge": 28})
    return Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=template)


def _llava(tokens: dict[str, int]) -> dict[str, Any]:
    return {
        "image_token_index": tokens["<image>"],
        "vision_config": tower(model_type="clip_vision_model", image_size=28, patch_size=7),
        "text_config": {"model_type": "llama"},
    }


def _llava_processor(tokenizer: Any, template: str) -> Any:
    sizes = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    given = {"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    return LlavaProcessor(LlavaImageProcessorPil(**sizes), tokenizer, chat_template=template, **given)


def _llava_siglip(tokens: dict[str, int]) -> dict[str, Any]:
    return {
        "image_token_index": tokens["<image>"],
        "vision_config": tower(model_type="siglip_vision_model", image_size=28, patch_size=7),
        "vision_feature_select_strategy": "full",
        "vision_feature_layer": [-2, 0],
        "text_config": {"model_type": "qwen2"},
    }


def _llava_siglip_processor(tokenizer: Any, template: str) -> Any:
    images = SiglipImageProcessorPil(size={"height": 28, "width": 28})
    return LlavaProcessor(images, tokenizer, 7, "full", chat_template=template)


PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]


def _llava_next(tokens: dict[str, int]) -> dict[str, Any]:
    text = {"model_type": "mistral", "sliding_window": None}
    return {**_llava(tokens), "image_grid_pinpoints": PINPOINTS, "text_config": text}


def _llava_next_processor(tokenizer: Any, template: str) -> Any:
    sizes = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    given = {"patch_size": 7, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    images = LlavaNextImageProcessorPil(image_grid_pinpoints=PINPOINTS, **sizes)
    return LlavaNextProcessor(images, tokenizer, chat_template=template, **given)


def _gemma(tokens: dict[str, int]) -> dict[str, Any]:
    return {
        "image_token_index": tokens["<image_soft_token>"],
        "boi_token_index": tokens["<start_of_image>"],
        "eoi_token_index": tokens["<end_of_image>"],
        "mm_tokens_per_image": 4,
        "vision_config": tower(image_size=28, patch_size=7),
        "text_config": {
            "model_type": "gemma3_text",
            "head_dim": 16,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    }


def _gemma_processor(tokenizer: Any, template: str) -> Any:
    for name, text in {"boi": "<start_of_image>", "image": "<image_soft_token>", "eoi": "<end_of_image>"}.items():
        setattr(tokenizer, f"{name}_token", text)
        setattr(tokenizer, f"{name}_token_id", tokenizer.convert_tokens_to_ids(text))
    images = Gemma3ImageProcessorPil(size={"height": 28, "width": 28})
    return Gemma3Processor(images, tokenizer, chat_template=template, image_seq_length=4)


def _qwen(tokens: dict[str, int]) -> dict[str, Any]:
    return {
        "image_token_id": tokens["<|image_pad|>"],
        "video_token_id": tokens["<|video_pad|>"],
        "vision_start_token_id": tokens["<|vision_start|>"],
        "vision_end_token_id": tokens["<|vision_end|>"],
    }


def _qwen25(tokens: dict[str, int]) -> dict[str, Any]:
    vision = {"depth": 3, "num_heads": 3, "patch_size": 7, "window_size": 28, "fullatt_block_indexes": [1]}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    text = {"rope_parameters": rope}
    sizes = {"hidden_size": 48, "intermediate_size": 80, "out_hidden_size": TINY["hidden_size"]}
    return {**_qwen(tokens), "vision_config": {**vision, **sizes}, "text_config": text}


def _qwen3(tokens: dict[str, int]) -> dict[str, Any]:
    vision = {"depth": 3, "num_heads": 3, "patch_size": 7, "num_position_embeddings": 25}
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    sizes = {"hidden_size": 48, "intermediate_size": 80, "out_hidden_size": TINY["hidden_size"]}
    text = {"rope_parameters": rope, "head_dim": 16}
    return {
        **_qwen(tokens),
        "vision_config": {**vision, **sizes, "deepstack_visual_indexes": [0, 2]},
        "text_config": text,
    }


def _qwen_images() -> Any:
    size = {"shortest_edge": 28 * 28, "longest_edge": 98 * 98}
    return Qwen2VLImageProcessorPil(size=size, patch_size=7, merge_size=2)


class _WithoutVideos:
    """Their processors want one of videos, which wants torchvision."""

    def check_argument_for_proper_class(self, name: str, argument: Any) -> None:
        pass

    def save_pretrained(self, directory: Path) -> None:
        self.image_processor.save_pretrained(directory)  # type: ignore[attr-defined]
        self.tokenizer.save_pretrained(directory)  # type: ignore[attr-defined]
        (directory / "chat_template.jinja").write_text(self.chat_template)  # type: ignore[attr-defined]


class _Qwen25Processor(_WithoutVideos, Qwen2_5_VLProcessor):
    pass


class _Qwen3Processor(_WithoutVideos, Qwen3VLProcessor):
    pass


def _qwen25_processor(tokenizer: Any, template: str) -> Any:
    return _Qwen25Processor(_qwen_images(), tokenizer, chat_template=template)


def _qwen3_processor(tokenizer: Any, template: str) -> Any:
    return _Qwen3Processor(_qwen_images(), tokenizer, chat_template=template)


def _llama4(tokens: dict[str, int]) -> dict[str, Any]:
    vision = {"image_size": 28, "patch_size": 7, "pixel_shuffle_ratio": 0.5, "intermediate_size": 192}
    widths = {"vision_output_dim": 40, "projector_input_dim": 40, "projector_output_dim": 40}
    text = {"head_dim": 16, "num_local_experts": 4, "intermediate_size_mlp": 96, "attention_chunk_size": 64}
    return {
        "image_token_index": tokens["<|patch|>"],
        "boi_token_index": tokens["<|image_start|>"],
        "eoi_token_index": tokens["<|image_end|>"],
        "vision_config": {**tower(), **vision, **widths},
        "text_config": {**text, "num_hidden_layers": 4},
    }


_ROWS = tuple(f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6))
_IDEFICS = ("<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *_ROWS)
_GEMMA = ("<start_of_image>", "<image_soft_token>", "<end_of_image>")
_QWEN = ("<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
_QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
_LLAMA4 = (
    "<|image|>",
    "<|patch|>",
    "<|image_start|>",
    "<|image_end|>",
    "<|tile_x_separator|>",
    "<|tile_y_separator|>",
)

FAMILIES = {
    "idefics3": Family("idefics3", _IDEFICS, "<image>", _idefics, _idefics_processor),
    "smolvlm": Family("smolvlm", _IDEFICS, "<image>", _idefics, _idefics_processor),
    "llava": Family("llava", ("<image>",), "<image>", _llava, _llava_processor),
    "llava, siglip, two layers": Family("llava", ("<image>",), "<image>", _llava_siglip, _llava_siglip_processor),
    "llava next": Family("llava_next", ("<image>",), "<image>", _llava_next, _llava_next_processor),
    "qwen 2.5 vl": Family("qwen2_5_vl", _QWEN, _QWEN_PICTURE, _qwen25, _qwen25_processor),
    "qwen 3 vl": Family("qwen3_vl", _QWEN, _QWEN_PICTURE, _qwen3, _qwen3_processor),
    "llama 4": Family("llama4", _LLAMA4, "<|image|>", _llama4, llama4_reference.Processor),
    "gemma 3": Family("gemma3", _GEMMA, "<start_of_image>", _gemma, _gemma_processor),
}


def make_pictured(directory: Path, name: str, seed: int = 0, template: str | None = None) -> Path:
    """Save a random model of the family into `directory`, with all that a server needs."""
    family = FAMILIES[name]
    tokenizer = _tokenizer(directory, family)
    vocabulary = {text: tokenizer.convert_tokens_to_ids(text) for text in family.tokens}
    written = (TEMPLATE if template is None else template).replace("PICTURE", family.picture)
    family.processor(tokenizer, written).save_pretrained(directory)
    config = family.config(vocabulary)
    config["text_config"] = {**SIZES, "vocab_size": len(tokenizer), **config["text_config"]}
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(family.kind, **config))
    for name, parameter in model.named_parameters():
        centre, spread = (1.0, 0.3) if "norm" in name and name.endswith("weight") else (0.0, 0.15)
        torch.nn.init.normal_(parameter, centre, spread)
    model.generation_config.eos_token_id = [2, 4]
    model.save_pretrained(directory)
    return directory


def _tokenizer(directory: Path, family: Family) -> Any:
    inner = Tokenizer(models.BPE({token: at for at, token in enumerate([*SPECIAL, *LETTERS])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([*SPECIAL, *family.tokens])
    named = {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **named)


def load_processor(directory: Path, name: str) -> Any:
    """The processor that was saved with a model of the family."""
    template = (directory / "chat_template.jinja").read_text()
    return FAMILIES[name].processor(AutoTokenizer.from_pretrained(directory), template)


def load_pictured(directory: Path) -> Any:
    """The model in transformers, float32, eager attention."""
    given = {"dtype": torch.float32, "attn_implementation": "eager"}
    return AutoModelForImageTextToText.from_pretrained(directory, **given).eval()


def random_picture(width: int, height: int, seed: int = 0) -> Picture:
    """Colours that change smoothly, and some noise: what resizing well or badly would show in."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 100 * np.sin(x / (5 + 3 * at) + y / (9 - at) + rng.uniform(0, 6)) for at in range(3)]
    noisy = np.stack(waves, axis=-1) + rng.normal(0, 12, (height, width, 3))
    return Picture.of(np.clip(noisy, 0, 255).astype(np.uint8).tobytes(), width, height)


def as_image(picture: Picture) -> Image.Image:
    """The picture as transformers takes it."""
    return Image.frombytes("RGB", (picture.width, picture.height), picture.rgb)


def reference(model: Any, inputs: Any) -> NDArray[np.float32]:
    """Logits [tokens, vocabulary] of one prompt."""
    with torch.no_grad():
        logits: NDArray[np.float32] = model(**inputs).logits[0].numpy()
    return logits
