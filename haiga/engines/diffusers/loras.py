"""LoRAs that a prompt names, put on and taken off again.

Rule: one that is loaded stays for a while but does nothing unless it is named; one that changes nothing is refused,
not passed over.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from haiga.core.errors import HaigaError, Invalid, Unsupported
from haiga.engines.diffusers.shelf import SAFE, Shelf
from haiga.engines.diffusers.tensors import digest, tensors
from haiga.text.image_prompts import Network

KEPT = 4  # LoRAs that stay loaded, beside those in use
FIELD = "prompt"
TEXT_KEYS = ("text_encoder", "lora_te")  # how weights for text encoders begin, in diffusers' files and kohya's


class Loras:
    """Those of a pipeline, from a shelf."""

    def __init__(self, pipeline: Any, shelf: Shelf) -> None:
        self._pipeline = pipeline
        self._shelf = shelf
        self._loaded: dict[tuple[Path, int], tuple[str, str]] = {}  # to the pipeline's name for it and its digest
        self._count = 0

    @contextmanager
    def worn(self, wanted: Sequence[Network]) -> Iterator[dict[str, str]]:
        """While this lasts, the pipeline has them by their weights; what infotexts say of that."""
        if not wanted:
            yield {}
            return
        if not hasattr(self._pipeline, "load_lora_weights"):
            name = type(self._pipeline).__name__.removesuffix("Pipeline")
            raise Unsupported(f"{name} cannot have LoRAs", field=FIELD)
        held = [self._held(self._shelf.find("loras", network.name, FIELD)) for network in wanted]
        self._pipeline.enable_lora()
        self._pipeline.set_adapters(
            [name for name, _ in held],
            [self._weights(name, network) for (name, _), network in zip(held, wanted, strict=True)],
        )
        try:
            hashes = ", ".join(f"{network.name}: {known}" for network, (_, known) in zip(wanted, held, strict=True))
            yield {"Lora hashes": hashes}
        finally:
            self._pipeline.disable_lora()
            self._drop()

    def _held(self, path: Path) -> tuple[str, str]:
        key = path, path.stat().st_mtime_ns
        held = self._loaded.pop(key, None) or (self._load(path), digest(path))
        self._loaded[key] = held
        return held

    def _load(self, path: Path) -> str:
        self._count += 1
        name = f"lora_{self._count}"
        try:
            self._read(path, name)
        except HaigaError:
            raise
        except Exception as problem:  # diffusers says in many classes that weights have other shapes or names
            self._forget(name)
            raise Invalid(f"the LoRA {path.stem!r} does not fit this model: {problem}", field=FIELD) from None
        if not self._fits(name, path):
            self._forget(name)
            raise Invalid(f"the LoRA {path.stem!r} has nothing for this model", field=FIELD)
        return name

    def _fits(self, name: str, path: Path) -> bool:
        """Whether it changes the denoiser, or was made for text encoders alone."""
        parts = self._parts(name)
        return any(not part.startswith("text_encoder") for part in parts) or (
            bool(parts) and all(key.startswith(TEXT_KEYS) for key in tensors(path, FIELD))
        )

    def _read(self, path: Path, name: str) -> None:
        if path.suffix.lower() != SAFE:
            self._pipeline.load_lora_weights(tensors(path, FIELD), adapter_name=name)
            return
        self._pipeline.load_lora_weights(
            str(path.parent), weight_name=path.name, adapter_name=name, use_safetensors=True, local_files_only=True
        )

    def _parts(self, name: str) -> list[str]:
        """The pipeline's parts that it changes."""
        return [part for part, names in self._pipeline.get_list_adapters().items() if name in names]

    def _weights(self, name: str, network: Network) -> dict[str, float]:
        return {
            part: network.text_weight if part.startswith("text_encoder") else network.weight
            for part in self._parts(name)
        }

    def _drop(self) -> None:
        while len(self._loaded) > KEPT:
            name, _ = self._loaded.pop(next(iter(self._loaded)))
            self._forget(name)

    def _forget(self, name: str) -> None:
        if self._parts(name):
            self._pipeline.delete_adapters(name)
