"""Weights: read as Tensors (checkpoint: from safetensors), packed (packing, source), kept in memory (arena)."""

from haiga.models.weights.arena import Arena, Heap, PackedFile, PackedWriter
from haiga.models.weights.checkpoint import Checkpoint, Tensors, check_vocabulary
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
    "Tensors",
    "Weights",
    "check_vocabulary",
    "dequantize",
    "pack_int4",
    "pack_int8",
]
