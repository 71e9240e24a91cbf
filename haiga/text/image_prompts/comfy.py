"""What made a picture of ComfyUI's: the graph in its file, as parameters by infotext's names.

Rule: what is told is what stands in the graph before the sampler that made the picture; the nodes of others, which
cannot be known, are passed through by their links.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Node: TypeAlias = Mapping[str, Any]

_SAMPLERS = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "lms": "LMS",
    "lcm": "LCM",
    "ddim": "DDIM",
    "ddpm": "DDPM",
    "deis": "DEIS",
    "uni_pc": "UniPC",
}
_SCHEDULES = {
    "normal": "Normal",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "ddim_uniform": "DDIM",
    "beta": "Beta",
}
_POSITIVE, _NEGATIVE = ("positive", "conditioning", "guider"), ("negative",)
_TEXTS = ("text", "text_g", "t5xxl", "prompt", "string", "value")
_NUMBERS = {
    "Steps": ("steps",),
    "CFG scale": ("cfg", "guidance"),
    "Seed": ("seed", "noise_seed"),
    "Denoising strength": ("denoise",),
}
_MODELS = ("ckpt_name", "unet_name", "model_name")


def read_graph(text: str) -> dict[str, str]:
    """The parameters of ComfyUI's chunk `prompt`; empty when it is none, or nothing in it samples."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    nodes = {id: node for id, node in told.items() if _is_node(node)} if isinstance(told, dict) else {}
    graph = _Graph(nodes)
    sampler = next((id for id, node in nodes.items() if _samples(node)), None)
    return {} if sampler is None else {name: value for name, value in _told(graph, sampler) if value}


def _told(graph: "_Graph", sampler: str) -> Iterator[tuple[str, str]]:
    yield "Prompt", graph.text(sampler, _POSITIVE)
    yield "Negative prompt", graph.text(sampler, _NEGATIVE)
    for name, keys in _NUMBERS.items():
        value = graph.value(sampler, keys, (int, float))
        yield name, "" if value is None or (name, value) == ("Denoising strength", 1) else f"{value}"
    named, schedule = (graph.value(sampler, (key,), (str,)) or "" for key in ("sampler_name", "scheduler"))
    yield "Sampler", _SAMPLERS.get(named, named)
    yield "Schedule type", _SCHEDULES.get(schedule, schedule)
    width, height = (graph.value(sampler, (key,), (int,)) for key in ("width", "height"))
    yield "Size", f"{width}x{height}" if width and height else ""
    model = graph.value(sampler, _MODELS, (str,)) or ""
    yield "Model", model.replace("\\", "/").rpartition("/")[2].removesuffix(".safetensors")


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("inputs"), dict)


def _samples(node: Node) -> bool:
    """KSampler and what is like it, and the sampler of several parts."""
    inputs = set(node["inputs"])
    return {"latent_image", "positive"} <= inputs or {"guider", "sigmas"} <= inputs


class _Graph:
    """Nodes by their ids; an input is a value, or a link: another node's id and which of its outputs."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes

    def value(self, start: str, keys: tuple[str, ...], kinds: tuple[type, ...]) -> Any:
        """The value that is nearest before `start` under one of the keys; None when there is none."""
        for node in self._before(start):
            for key in keys:
                value = node["inputs"].get(key)
                if isinstance(value, kinds) and not isinstance(value, bool):
                    return value
        return None

    def text(self, start: str, inputs: tuple[str, ...]) -> str:
        """The text that an input of `start` comes from; where that goes by another name, through the first of these."""
        for key in inputs:
            link = self._link(self._nodes[start]["inputs"].get(key))
            if link is not None:
                found = self.value(link, _TEXTS, (str,))
                return str(found) if found else ""
        return ""

    def _before(self, start: str) -> Iterator[Node]:
        """The node and those that it comes from, nearest first, each once."""
        seen, line = {start}, deque([start])
        while line:
            node = self._nodes[line.popleft()]
            yield node
            links = (self._link(value) for value in node["inputs"].values())
            for id in links:
                if id is not None and id not in seen:
                    seen.add(id)
                    line.append(id)

    def _link(self, value: Any) -> str | None:
        id = str(value[0]) if isinstance(value, list) and len(value) == 2 else None
        return id if id in self._nodes else None
