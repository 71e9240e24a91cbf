"""Weights: read from safetensors (checkpoint), packed to f32, bf16, int8 or int4 (packing)."""

from haiga.models.weights.checkpoint import Checkpoint, check_vocabulary
from haiga.models.weights.packing import Packing, Quantized, dequantize, pack_int4, pack_int8

__all__ = ["Checkpoint", "Packing", "Quantized", "check_vocabulary", "dequantize", "pack_int4", "pack_int8"]
