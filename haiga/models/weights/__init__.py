"""Weights: read from safetensors (checkpoint), packed to f32, bf16, int8 or int4 (packing, source), kept (arena)."""

from haiga.models.weights.arena import Arena, Heap, PackedFile, PackedWriter
from haiga.models.weights.checkpoint import Checkpoint, check_vocabulary
from haiga.models.weights.packing import PACKINGS, Packing, Quantized, dequantize, pack_int4, pack_int8
from haiga.models.weights.source import Progress, Stored, Weights

__all__ = [
    "PACKINGS",
    "Arena",
    "Checkpoint",
    "Heap",
    "PackedFile",
    "PackedWriter",
    "Packing",
    "Progress",
    "Quantized",
    "Stored",
    "Weights",
    "check_vocabulary",
    "dequantize",
    "pack_int4",
    "pack_int8",
]
