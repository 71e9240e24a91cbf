"""LoRA adapters as PEFT writes them: read (config, adapter), held (bank), and their place in a graph (parts)."""

from haiga.models.adapters.adapter import Adapter, Linear, linear_layers, open_adapter
from haiga.models.adapters.bank import Bank
from haiga.models.adapters.config import is_adapter, read_base, read_lora
from haiga.models.adapters.parts import split

__all__ = [
    "Adapter",
    "Bank",
    "Linear",
    "is_adapter",
    "linear_layers",
    "open_adapter",
    "read_base",
    "read_lora",
    "split",
]
