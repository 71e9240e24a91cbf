"""What can be named in a request, as the lists of /sdapi/v1 tell it.

Rule: names alone; where a file lies on the server is nobody's business.
"""

from collections.abc import Sequence
from typing import Any

from haiga.core.palette import Palette


def models(names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"title": name, "model_name": name, "hash": None, "sha256": None, "filename": name, "config": None}
        for name in names
    ]


def samplers(palette: Palette) -> list[dict[str, Any]]:
    return [{"name": name, "aliases": list(aliases), "options": {}} for name, aliases in palette.samplers.items()]


def schedulers(palette: Palette) -> list[dict[str, Any]]:
    """By label, and by the shorter name that A1111's clients send."""
    return [
        {
            "name": label.lower().replace(" ", "_"),
            "label": label,
            "aliases": None,
            "default_rho": -1.0,
            "need_inner_model": False,
        }
        for label in palette.schedules
    ]


def upscalers(palette: Palette) -> list[dict[str, Any]]:
    return [
        {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4.0}
        for name in ("None", *palette.upscalers)
    ]


def latent_modes(palette: Palette) -> list[dict[str, Any]]:
    return [{"name": name} for name in palette.latent_upscalers]


def vaes(palette: Palette) -> list[dict[str, Any]]:
    return [{"model_name": name, "filename": name} for name in palette.vaes]


def loras(palette: Palette) -> list[dict[str, Any]]:
    return [{"name": name, "alias": name, "path": name, "metadata": {}} for name in palette.loras]


def embeddings(palette: Palette) -> dict[str, Any]:
    told = {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 0, "vectors": 1}
    return {"loaded": dict.fromkeys(palette.embeddings, told), "skipped": {}}


def styles(palette: Palette) -> list[dict[str, Any]]:
    return [{"name": name, "prompt": own[0], "negative_prompt": own[1]} for name, own in palette.styles.items()]


def scripts(palette: Palette) -> dict[str, Any]:
    """ControlNet by the name under which a client library looks for it."""
    known = ["controlnet"] if palette.controls else []
    return {"txt2img": known, "img2img": known}


def script_info(palette: Palette) -> list[dict[str, Any]]:
    return [
        {"name": name, "is_alwayson": True, "is_img2img": within == "img2img", "args": []}
        for within, names in scripts(palette).items()
        for name in names
    ]
