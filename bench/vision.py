"""One picture of 1024 by 1024 pixels on a random model of SmolVLM-256M's shape: ours, and transformers
beside it.

Rule: both take turns in one run, with pictures that neither has seen; what is timed begins with pixels and ends with
features, or with the first token of an answer. transformers runs in bfloat16, as its models are published.
"""

import asyncio
import statistics
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from haiga.core.generation import SamplingRequest, TextRequest
from haiga.core.messages import Image, Message, Text
from haiga.core.pictures import Picture
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine
from haiga.models.vision.load import Tower

SIDE = 1024
QUESTION = "What is in this picture?"
_ROWS = [f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)]
_SPECIAL = [
    "<pad>",
    "<s>",
    "</s>",
    "<image>",
    "<fake_token_around_image>",
    "<end_of_utterance>",
    "<global-img>",
    *_ROWS,
]
_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}:{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}assistant:"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds, medians: of one picture's features, of an answer's first token, of that in a second turn about the same
    picture."""

    encode: float
    peer_encode: float
    first: float
    peer_first: float
    again: float


def run(folder: Path, rounds: int = 3) -> Figures:
    """The first round warms up and is not counted."""
    directory = write(folder / "smolvlm-256m")
    tower, peer = Tower.load(directory, "int4", 0), _Peer(directory)
    assert tower is not None
    encoded = [(_timed(tower.features, picture(n)), _timed(peer.encode, picture(n))) for n in range(rounds + 1)]
    del tower
    answered = asyncio.run(_answers(directory, peer, rounds))
    encode, peer_encode = (statistics.median(times) for times in zip(*encoded[1:], strict=True))
    first, again, peer_first = (statistics.median(times) for times in zip(*answered[1:], strict=True))
    return Figures(encode, peer_encode, first, peer_first, again)


def picture(number: int) -> Picture:
    """Noise: what a tower does with a picture does not depend on what it shows."""
    return Picture.of(np.random.default_rng(number).bytes(SIDE * SIDE * 3), SIDE, SIDE)


async def _answers(directory: Path, peer: "_Peer", rounds: int) -> list[tuple[float, float, float]]:
    """For each round: the first token cold, in a second turn, and of transformers."""
    options = NativeOptions(weights="int4", cache="u8", kv_memory=256 << 20, context=8192)
    engine = open_engine(Found.at("bench", directory, created=0), options)
    await engine.start()
    try:
        found = []
        for number in range(100, 101 + rounds):
            shown = picture(number)
            turns = [Message("user", (Image(shown), Text(QUESTION)))]
            cold = await _first_token(engine, turns)
            turns += [Message("assistant", (Text("Noise."),)), Message("user", (Text("And what else?"),))]
            again = await _first_token(engine, turns)
            found.append((cold, again, _timed(peer.answer, shown)))
        return found
    finally:
        await engine.close()


async def _first_token(engine: NativeEngine, turns: list[Message]) -> float:
    request = TextRequest("bench", tuple(turns), 1, sampling=SamplingRequest(temperature=0))
    began = time.perf_counter()
    async with aclosing(engine.generate(request)) as events:
        async for _ in events:
            pass
    return time.perf_counter() - began


def _timed(work: Any, shown: Picture) -> float:
    began = time.perf_counter()
    work(shown)
    return time.perf_counter() - began


class _Peer:
    """The same model in transformers."""

    def __init__(self, directory: Path) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoTokenizer
        from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
        from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

        self._torch = torch
        self._model: Any = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.bfloat16)
        images = Idefics3ImageProcessorPil.from_pretrained(directory)
        tokenizer = AutoTokenizer.from_pretrained(directory)
        self._processor: Any = Idefics3Processor(images, tokenizer, image_seq_len=64, chat_template=_TEMPLATE)

    def encode(self, shown: Picture) -> None:
        """Pixels to features."""
        with self._torch.inference_mode():
            made = self._processor.image_processor(_pil(shown), return_tensors="pt")
            kept = {name: made[name] for name in ("pixel_values", "pixel_attention_mask")}
            self._model.get_image_features(**kept)

    def answer(self, shown: Picture) -> None:
        """One token."""
        said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
        text = self._processor.apply_chat_template(said, tokenize=False)
        with self._torch.inference_mode():
            inputs = self._processor(images=[_pil(shown)], text=[text], return_tensors="pt")
            self._model.generate(**inputs, max_new_tokens=1, do_sample=False)


def _pil(shown: Picture) -> Any:
    from PIL import Image as PillowImage

    return PillowImage.frombytes("RGB", (shown.width, shown.height), shown.rgb)


def write(directory: Path) -> Path:
    """A random checkpoint in bf16 with all that belongs to it, unless it is there already."""
    if (directory / "processor_config.json").exists() or (directory / "preprocessor_config.json").exists():
        return directory
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedTokenizerFast
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({token: at for at, token in enumerate([*_SPECIAL, *letters])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(_SPECIAL)
    vision: dict[str, Any] = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    text: dict[str, Any] = {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
    }
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49_280}
    config = AutoConfig.for_model(
        "idefics3",
        image_token_id=_SPECIAL.index("<image>"),
        scale_factor=4,
        vision_config={**vision, "image_size": 512, "patch_size": 16},
        text_config={**text, **heads, "max_position_embeddings": 8192, "pad_token_id": 0},
    )
    torch.manual_seed(0)
    made: Any = AutoModelForImageTextToText
    made.from_config(config, dtype=torch.bfloat16).save_pretrained(directory)
    written: Any = PreTrainedTokenizerFast
    tokenizer = written(tokenizer_object=inner, eos_token="</s>", pad_token="<pad>")
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(directory)
    sizes: dict[str, Any] = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
    Idefics3ImageProcessorPil(**sizes).save_pretrained(directory)
    return directory
