"""The model's parts: a tokenizer of its own words, a small CLIP text encoder, a U-Net over 8x8 latents.

Rule: classes of transformers and diffusers as they are, written as a StableDiffusionPipeline, so that whatever works
with Stable Diffusion's layout works with this.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.models.attention_processor import AttnProcessor

from trainers.starter_image.autoencoder import LATENT

_DIFFUSERS: Any = diffusers  # their classes are typed in part
_TRANSFORMERS: Any = transformers

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
WORDS = 3000  # pieces of the vocabulary
WIDTH = 128  # of the text encoder
CONTEXT = 77  # tokens, as of every CLIP
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}  # ends in noise alone (Ho et al. 2020)


@dataclass(slots=True)
class Parts:
    """What is saved."""

    tokenizer: Any
    text: Any
    unet: Any
    autoencoder: Any

    def trained(self) -> list[torch.nn.Parameter]:
        """What learns while pictures are painted."""
        return [*self.text.parameters(), *self.unet.parameters()]


def tokenizer_of(captions: Iterable[str]) -> Any:
    """CLIP's tokenizer with pieces of these captions' words."""
    bare = {"vocab": {BEGIN: 0, END: 1}, "merges": []}
    names = {"bos_token": BEGIN, "eos_token": END, "unk_token": END, "pad_token": END}
    first = _TRANSFORMERS.CLIPTokenizer(**bare, **names, model_max_length=CONTEXT)
    return first.train_new_from_iterator(captions, WORDS, show_progress=False)


def text_encoder(tokenizer: Any) -> Any:
    config = _TRANSFORMERS.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return _TRANSFORMERS.CLIPTextModel(config)


def unet() -> Any:
    return _DIFFUSERS.UNet2DConditionModel(
        sample_size=8,
        in_channels=LATENT,
        out_channels=LATENT,
        block_out_channels=(96, 160),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        use_linear_projection=True,
    )


def new(captions: Sequence[str], autoencoder: Any) -> Parts:
    tokenizer = tokenizer_of(captions)
    parts = Parts(tokenizer, text_encoder(tokenizer), unet(), autoencoder)
    return plainly_attending(parts)


def plainly_attending(parts: Parts) -> Parts:
    """PyTorch's fused attention is several times slower backwards on a CPU at these sizes."""
    parts.unet.set_attn_processor(AttnProcessor())
    parts.text.set_attn_implementation("eager")
    return parts


def load(folder: Path) -> Parts:
    """What `save` wrote, in float32."""
    parts = Parts(
        _TRANSFORMERS.CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        _TRANSFORMERS.CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
        _DIFFUSERS.UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32),
        _DIFFUSERS.AutoencoderTiny.from_pretrained(folder / "vae", torch_dtype=torch.float32),
    )
    return plainly_attending(parts)


def noising() -> Any:
    """The scheduler of training."""
    return _DIFFUSERS.DDPMScheduler(**BETAS, prediction_type="v_prediction", clip_sample=False)


def pipeline(parts: Parts) -> Any:
    """As it is saved and sampled: DPM++ 2M."""
    sampler = _DIFFUSERS.DPMSolverMultistepScheduler(
        **BETAS, prediction_type="v_prediction", timestep_spacing="trailing", steps_offset=1
    )
    made = _DIFFUSERS.StableDiffusionPipeline(
        vae=parts.autoencoder,
        text_encoder=parts.text,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=sampler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def save(parts: Parts, folder: Path) -> None:
    """Weights in float16; the parts are as they were afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = Parts(parts.tokenizer, *(_half(part) for part in (parts.text, parts.unet, parts.autoencoder)))
    pipeline(halves).save_pretrained(folder, safe_serialization=True)


def _half(model: Any) -> Any:
    config = model.config
    made = type(model)(config) if isinstance(model, _TRANSFORMERS.CLIPTextModel) else type(model).from_config(config)
    made.load_state_dict(model.state_dict())
    return made.half()


def encoded(parts: Parts, captions: Sequence[str], length: int) -> torch.Tensor:
    """What the text encoder makes of the captions, [captions, length, WIDTH]."""
    ids = parts.tokenizer(
        list(captions), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    ).input_ids
    states: torch.Tensor = parts.text(ids).last_hidden_state
    return states
