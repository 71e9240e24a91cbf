"""What lies beside a model to be used with it: LoRAs, embeddings, decoders, ControlNets, IP-Adapters, upscalers.

Rule: a name is looked up in what the folder holds, never made into a path. Safetensors alone, unless pickles are
allowed.

    <directory>/loras/*.safetensors          ControlNets, IP-Adapters, decoders and depth models may be folders
    <directory>/embeddings/*.safetensors     in diffusers' or transformers' layout
    <directory>/upscalers/*.safetensors …
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeAlias

from haiga.core.errors import Invalid

Kind: TypeAlias = Literal["loras", "embeddings", "vaes", "controlnets", "ip_adapters", "upscalers", "preprocessors"]
FOLDERS: Mapping[Kind, frozenset[str]] = {  # the names that other programs have for the same
    "loras": frozenset({"loras", "lora", "lycoris"}),
    "embeddings": frozenset({"embeddings", "textual_inversion"}),
    "vaes": frozenset({"vaes", "vae"}),
    "controlnets": frozenset({"controlnets", "controlnet"}),
    "ip_adapters": frozenset({"ip_adapters", "ip_adapter", "ipadapter", "ip-adapter"}),
    "upscalers": frozenset({"upscalers", "upscale_models", "esrgan", "realesrgan", "span"}),
    "preprocessors": frozenset({"preprocessors", "annotators"}),
}
SAFE = ".safetensors"
PICKLES = frozenset({".pt", ".pth", ".bin", ".ckpt"})
WHAT: Mapping[Kind, str] = {
    "loras": "LoRA",
    "embeddings": "embedding",
    "vaes": "VAE",
    "controlnets": "ControlNet",
    "ip_adapters": "IP-Adapter",
    "upscalers": "upscaler",
    "preprocessors": "preprocessor",
}


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder with a folder for each kind; what is added to it later is found without a restart."""

    directory: Path | None = None
    pickles: bool = False

    def names(self, kind: Kind) -> list[str]:
        """What there is of a kind, in order."""
        return sorted(self._all(kind))

    def find(self, kind: Kind, name: str, field: str) -> Path:
        """The file or folder of that name. Raises Invalid with the list of those there are, and for pickles where
        these are not allowed."""
        found = self._all(kind)
        if name in found:
            return found[name]
        if any(path.suffix.lower() in PICKLES and path.stem == name for path in self._paths(kind)):
            raise Invalid(
                f"{WHAT[kind]} {name!r} is a pickle, which can run code: convert it to safetensors, or allow pickles",
                field=field,
            )
        near = get_close_matches(name, found, 3)
        meant = f"; near it: {', '.join(near)}" if near else ""
        have = ", ".join(sorted(found)) or "none"
        raise Invalid(f"there is no {WHAT[kind]} {name!r}{meant}. Those there are: {have}", field=field)

    def _all(self, kind: Kind) -> dict[str, Path]:
        suffixes = {SAFE, *PICKLES} if self.pickles else {SAFE}
        kept = [path for path in self._paths(kind) if path.is_dir() or path.suffix.lower() in suffixes]
        return {path.name if path.is_dir() else path.stem: path for path in kept}

    def _paths(self, kind: Kind) -> Iterator[Path]:
        """Files, and folders that are one model; those below other folders too."""
        if self.directory is None or not self.directory.is_dir():
            return
        for folder in sorted(self.directory.iterdir()):
            if folder.name.lower() in FOLDERS[kind]:
                yield from _models(folder)


def _models(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or (path / "config.json").exists() or (path / "image_encoder").is_dir():
            yield path
        else:
            yield from _models(path)
