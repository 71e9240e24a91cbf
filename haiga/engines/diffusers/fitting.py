"""How a model is to run where it is: on what, in which numbers, how much of it at once. Pure: facts come in, a decision
with its reason comes out.

Rules, each only where the setup leaves it open:

1.  The best device there is: CUDA, ROCm, XPU, MPS, then the processor.
2.  bfloat16 where the device has it, float16 on other GPUs; float32 on the processor if that fits.
3.  On a device with memory of its own, the first of these that fits beside what a picture takes: all of the model; its
    largest part, the others waiting in RAM; some layers of each part; a layer at a time.
4.  On the processor, if nothing else fits, the denoiser's weights are kept in 8 bits (float8, made wider as they are
    used).
5.  The decoder works by tiles where a whole picture would not fit beside what is loaded, and on one picture of a batch
    after another where weights have to move.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from haiga.core.errors import Invalid, Unsupported

Device: TypeAlias = Literal["cuda", "rocm", "xpu", "mps", "cpu"]
DEVICES: tuple[Device, ...] = ("cuda", "rocm", "xpu", "mps", "cpu")
SWITCHES = ("on", "off")
DTYPES = ("float32", "bfloat16", "float16")
OFFLOADS = ("none", "model", "group", "sequential")
ATTENTIONS = ("native", "flash", "sage", "xformers", "_native_math", "_native_efficient", "flex")
QUANTISED = ("none", "layerwise", "int8", "nf4")
PACKAGES: Mapping[str, str] = {  # what a choice needs, by the module's name
    "flash": "flash_attn",
    "sage": "sageattention",
    "xformers": "xformers",
    "int8": "torchao",
    "nf4": "bitsandbytes",
}
WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
WORKING = 1 << 30  # bytes that a step's activations take beside the weights
PIXEL = 3 << 10  # bytes that decoding one pixel takes
GROUP = 2 << 30  # bytes of the layers that are on a device at once, group by group
MARGIN = 0.9  # of what is free that may be used


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is. free: bytes of each device's own memory; ram: free bytes of the machine's. parameters: numbers in
    each part of the model; denoiser: the part that quantisation is for. bfloat16: the devices that have it. packages:
    installed modules. pixels: of the largest picture that is to fit. gguf: bytes of the denoiser's file where it is
    GGUF, and quantised already."""

    free: Mapping[Device, int]
    ram: int
    parameters: Mapping[str, int]
    denoiser: str
    bfloat16: frozenset[Device] = frozenset()
    packages: frozenset[str] = frozenset()
    pixels: int = 1024 * 1024
    gguf: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is set; "auto" leaves it open."""

    device: str = "auto"
    dtype: str = "auto"
    offload: str = "auto"
    tiling: str = "auto"
    slicing: str = "auto"
    attention: str = "auto"
    quantised: str = "none"


@dataclass(frozen=True, slots=True)
class Decision:
    """How the model is run, and why."""

    device: Device
    dtype: str
    offload: str
    tiling: bool
    attention: str
    quantised: str
    slicing: bool = False
    reasons: tuple[str, ...] = field(default=(), compare=False)

    @property
    def told(self) -> str:
        """In one line that is the same for the same decision."""
        parts = [self.device, self.dtype, f"offload {self.offload}"]
        parts += ["tiled decoding"] if self.tiling else []
        parts += ["sliced decoding"] if self.slicing else []
        parts += [self.quantised] if self.quantised != "none" else []
        return ", ".join([*parts, *([f"{self.attention} attention"] if self.attention != "native" else [])])


def decide(facts: Facts, wanted: Wanted) -> Decision:
    """Raises Invalid for values that mean nothing, Unsupported for what is not there."""
    _check(wanted, facts)
    device = _device(facts, wanted)
    quantised = "gguf" if facts.gguf else wanted.quantised
    decision = Decision(device, "float32", "none", False, "native", quantised)
    decision = _attention(replace(decision, dtype=_dtype(facts, wanted, device)), facts, wanted)
    decision = _offload(decision, facts, wanted)
    return _slicing(_tiling(_room(decision, facts, wanted), facts, wanted), wanted)


def size(facts: Facts, dtype: str, quantised: str = "none") -> Mapping[str, int]:
    """Bytes of each part's weights."""
    bits = {"none": WIDTHS[dtype] * 8, "gguf": 8, "layerwise": 8, "int8": 8, "nf4": 4}
    small = {facts.denoiser: bits[quantised]}
    parts = {part: count * small.get(part, WIDTHS[dtype] * 8) // 8 for part, count in facts.parameters.items()}
    return {**parts, facts.denoiser: facts.gguf} if facts.gguf else parts


def _check(wanted: Wanted, facts: Facts) -> None:
    values = {
        "device": (*DEVICES, "auto"),
        "dtype": (*DTYPES, "auto"),
        "offload": (*OFFLOADS, "auto"),
        "tiling": (*SWITCHES, "auto"),
        "slicing": (*SWITCHES, "auto"),
        "attention": (*ATTENTIONS, "auto"),
        "quantised": QUANTISED,
    }
    for name, known in values.items():
        value = getattr(wanted, name)
        if value not in known:
            raise Invalid(f"{value!r} is none of {', '.join(known)}", field=name)
        if value in PACKAGES and PACKAGES[value] not in facts.packages:
            raise Unsupported(f"{name} {value} needs the package {PACKAGES[value]}, which is not installed", field=name)

    if facts.gguf and wanted.quantised != "none":
        raise Unsupported(
            f"a denoiser in GGUF is quantised already, and cannot be {wanted.quantised}", field="quantised"
        )
    if facts.gguf and "gguf" not in facts.packages:
        raise Unsupported("a denoiser in GGUF needs the package gguf, which is not installed", field="quantised")


def _device(facts: Facts, wanted: Wanted) -> Device:
    there = [device for device in DEVICES if device in facts.free or device == "cpu"]
    if wanted.device == "auto":
        return there[0]
    for device in there:
        if device == wanted.device:
            return device
    raise Unsupported(f"there is no {wanted.device} here, but {', '.join(there)}", field="device")


def _dtype(facts: Facts, wanted: Wanted, device: Device) -> str:
    if wanted.dtype != "auto":
        return wanted.dtype
    if device == "cpu":
        fits = _total(facts, "float32", wanted.quantised) + WORKING <= facts.ram * MARGIN
        return "float32" if fits else "bfloat16"
    return "bfloat16" if device in facts.bfloat16 else "float16"


def _attention(decision: Decision, facts: Facts, wanted: Wanted) -> Decision:
    """torch's own picks a fused kernel by itself; others are for whoever asks for them."""
    chosen = "native" if wanted.attention == "auto" else wanted.attention
    if chosen in ("flash", "sage", "xformers") and decision.device not in ("cuda", "rocm"):
        raise Unsupported(f"attention {chosen} is for CUDA and ROCm, not for {decision.device}", field="attention")
    if wanted.quantised == "nf4" and decision.device not in ("cuda", "rocm", "xpu"):
        raise Unsupported(f"nf4 is for GPUs, not for {decision.device}", field="quantised")
    return replace(decision, attention=chosen)


def _offload(decision: Decision, facts: Facts, wanted: Wanted) -> Decision:
    if decision.device == "cpu":
        if wanted.offload not in ("auto", "none"):
            raise Unsupported("there is nowhere to move weights to from the processor", field="offload")
        return decision
    if wanted.offload != "auto":
        return replace(decision, offload=wanted.offload, reasons=(f"offload {wanted.offload} is set",))
    parts = size(facts, decision.dtype, decision.quantised)
    room = int(facts.free[decision.device] * MARGIN) - WORKING
    all_, largest = sum(parts.values()), max(parts.values(), default=0)
    sizes = f"{_gib(room)} for weights, {_gib(all_)} of them"
    if all_ <= room:
        return replace(decision, reasons=(f"all of it fits: {sizes}",))
    waits = all_ <= facts.ram * MARGIN
    if largest <= room and waits:
        return replace(decision, offload="model", reasons=(f"its largest part fits: {sizes}, {_gib(largest)} in it",))
    if room >= GROUP and waits:
        return replace(decision, offload="group", reasons=(f"groups of its layers fit: {sizes}",))
    return replace(decision, offload="sequential", reasons=(f"a layer at a time fits: {sizes}",))


def _room(decision: Decision, facts: Facts, wanted: Wanted) -> Decision:
    """On the processor: narrower weights, where that is what makes them fit."""
    if decision.device != "cpu":
        return decision
    need = _total(facts, decision.dtype, decision.quantised) + WORKING
    sizes = f"{_gib(need)} of {_gib(facts.ram)} that are free"
    if need > facts.ram * MARGIN and decision.quantised == "none":
        return replace(decision, quantised="layerwise", reasons=(f"8 bits for the denoiser, since it took {sizes}",))
    return replace(decision, reasons=(f"it takes {sizes}",))


def _tiling(decision: Decision, facts: Facts, wanted: Wanted) -> Decision:
    if wanted.tiling != "auto":
        return replace(decision, tiling=wanted.tiling == "on")
    parts = size(facts, decision.dtype, decision.quantised)
    loaded = sum(parts.values()) if decision.offload == "none" else 0
    free = facts.ram if decision.device == "cpu" else facts.free[decision.device]
    if loaded + facts.pixels * PIXEL <= free * MARGIN:
        return decision
    return replace(
        decision, tiling=True, reasons=(*decision.reasons, "a whole picture does not fit the decoder beside it")
    )


def _slicing(decision: Decision, wanted: Wanted) -> Decision:
    """Where weights have to move, one picture of a batch at a time."""
    sliced = decision.offload != "none" if wanted.slicing == "auto" else wanted.slicing == "on"
    return replace(decision, slicing=sliced)


def _total(facts: Facts, dtype: str, quantised: str) -> int:
    return sum(size(facts, dtype, quantised).values())


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
