"""Another decoder than the model's own, for one request.

Rule: one that does not fit is refused before it is put on; the model's own is back afterwards.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

from haiga.core.errors import Invalid
from haiga.engines.diffusers.shelf import Shelf
from haiga.engines.diffusers.tensors import tensors

FIELD = "vae"


class Vaes:
    """Decoders of a pipeline, from a shelf; the last one used stays loaded."""

    def __init__(self, pipeline: Any, shelf: Shelf) -> None:
        self._pipeline = pipeline
        self._shelf = shelf
        self._last: tuple[tuple[Path, int], Any] | None = None

    @contextmanager
    def worn(self, name: str | None) -> Iterator[None]:
        """While this lasts, the pipeline decodes with it. None: with its own."""
        if name is None:
            yield
            return
        own = self._pipeline.vae
        self._pipeline.vae = self._held(self._shelf.find("vaes", name, FIELD), own)
        try:
            yield
        finally:
            self._pipeline.vae = own

    def _held(self, path: Path, own: Any) -> Any:
        key = path, path.stat().st_mtime_ns
        if self._last is None or self._last[0] != key:
            self._last = key, _read(path, own).to(device=self._pipeline._execution_device, dtype=own.dtype).eval()
        return self._last[1]


def _read(path: Path, own: Any) -> Any:
    """A folder in diffusers' layout, or a file of weights for the shape of the model's own, in diffusers' names or
    those of the first Stable Diffusion."""
    try:
        vae = _folder(path) if path.is_dir() else _file(path, own)
    except (ValueError, RuntimeError, KeyError, OSError) as problem:
        raise Invalid(f"the VAE {path.stem!r} does not fit this model: {problem}", field=FIELD) from None
    if vae.config.latent_channels != own.config.latent_channels:
        raise Invalid(f"the VAE {path.stem!r} does not have this model's latents", field=FIELD)
    return vae


def _folder(path: Path) -> Any:
    kind = diffusers.AutoencoderKL.load_config(path)["_class_name"]
    return getattr(diffusers, kind).from_pretrained(path, use_safetensors=True, local_files_only=True)


def _file(path: Path, own: Any) -> Any:
    vae = type(own).from_config(own.config)
    weights = tensors(path, FIELD)
    if not weights.keys() & vae.state_dict().keys():
        prefix = "first_stage_model."
        bare = {f"{prefix}{name.removeprefix(prefix)}": weight for name, weight in weights.items()}
        weights = convert_ldm_vae_checkpoint(bare, dict(own.config))  # type: ignore[no-untyped-call]
    vae.load_state_dict(weights)
    return vae
