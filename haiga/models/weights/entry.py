"""Where a tensor lies."""

from dataclasses import dataclass
from pathlib import Path

MXFP4 = "MXFP4"  # no type of safetensors: two tensors of bytes that mean one


@dataclass(frozen=True, slots=True)
class Entry:
    """`size` bytes from byte `begin` of the file; `dtype` as safetensors or GGUF writes it. transposed: a matrix [out,
    in] of this shape lies [in, out]. scales: of MXFP4, where they lie in another tensor."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    size: int
    transposed: bool = False
    scales: "Entry | None" = None
