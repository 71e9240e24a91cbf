"""A part of a pipeline run by something else than torch itself: torch.compile, OpenVINO, ONNX Runtime.

Rule: each export is held to torch's own result before it is used; what cannot be exported, or differs by more than
TOLERANCE, runs in torch, with a warning.

An export is for the shapes of one call: a part is exported anew for others, and those used last are kept.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.onnx import symbolic_helper
from torch.onnx.symbolic_helper import parse_args
from torch.onnx.utils import register_custom_op_symbolic
from torch.utils import _pytree as pytree

log = logging.getLogger(__name__)

Run: TypeAlias = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]
Exporter: TypeAlias = Callable[[nn.Module, Sequence[torch.Tensor]], Run]
TOLERANCE = 1e-3  # the most that a result may differ by, as a share of the largest number in torch's
KEPT = 2  # exports of a part, for the shapes that were used last


class Swapped:
    """A module's `forward` that is run by a backend while `allowed` says so."""

    def __init__(self, module: nn.Module, backend: str, allowed: Callable[[], bool] = lambda: True) -> None:
        self._module = module.requires_grad_(False)
        self._torch = module.forward
        self._backend = backend
        self._allowed = allowed
        self._runs: dict[Any, tuple[Run, Any]] = {}
        self.trouble: str | None = None  # why torch runs it after all
        module.forward = self

    @property
    def told(self) -> str:
        return f"torch ({self._backend}: {self.trouble})" if self.trouble else self._backend

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self.trouble or not self._allowed():
            return self._torch(*args, **options)
        leaves, shape = pytree.tree_flatten((args, options))
        tensors = [leaf.contiguous() for leaf in leaves if isinstance(leaf, torch.Tensor)]
        key = str(shape), *(_like(leaf) for leaf in leaves)
        if key not in self._runs:
            return self._export(key, leaves, shape, tensors)
        run, out = self._runs[key] = self._runs.pop(key)
        return pytree.tree_unflatten([each.to(tensors[0].device) for each in run(tensors)], out)

    def _export(self, key: Any, leaves: list[Any], shape: Any, tensors: Sequence[torch.Tensor]) -> Any:
        """Export for what the call has, and answer it by torch."""
        args, options = pytree.tree_unflatten(leaves, shape)
        result = self._torch(*args, **options)
        expected, out = pytree.tree_flatten(result)
        try:
            with torch.no_grad():
                run = EXPORTERS[self._backend](_Flat(self._module, self._torch, leaves, shape), tensors)
                differ = _difference(expected, run(tensors))
        except Exception as problem:  # exporters fail in every way there is; torch goes on
            self._give_up(f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}")
            return result
        if not differ <= TOLERANCE:
            self._give_up(f"differs by {differ:.1e}, more than {TOLERANCE:g}")
            return result
        self._runs[key] = run, out
        if len(self._runs) > KEPT:
            del self._runs[next(iter(self._runs))]
        return result

    def _give_up(self, why: str) -> None:
        self.trouble = why
        log.warning("%s is not used: %s", self._backend, why)


class _Flat(nn.Module):
    """A call with its tensors as arguments in a row, all else as it was."""

    def __init__(self, module: nn.Module, forward: Callable[..., Any], leaves: Sequence[Any], shape: Any) -> None:
        super().__init__()
        self.module = module  # whose weights are this one's
        self._forward = forward
        self._leaves = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self._places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        self._shape = shape

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaves = list(self._leaves)
        for place, tensor in zip(self._places, tensors, strict=True):
            leaves[place] = tensor
        args, options = pytree.tree_unflatten(leaves, self._shape)
        return tuple(pytree.tree_leaves(self._forward(*args, **options)))


def _compile(flat: nn.Module, tensors: Sequence[torch.Tensor]) -> Run:
    made = torch.compile(flat)
    return lambda inputs: made(*inputs)


def _openvino(flat: nn.Module, tensors: Sequence[torch.Tensor]) -> Run:
    import openvino

    graph = openvino.convert_model(flat, example_input=tuple(tensors), input=[tuple(each.shape) for each in tensors])
    made = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        answer = made([each.cpu().numpy() for each in inputs])
        return [torch.from_numpy(answer[place]) for place in range(len(made.outputs))]

    return run


def _onnx(flat: nn.Module, tensors: Sequence[torch.Tensor]) -> Run:
    import onnxruntime

    register_custom_op_symbolic("aten::rms_norm", _rms_norm, OPSET)
    names = [f"input_{place}" for place in range(len(tensors))]
    have = onnxruntime.get_available_providers()
    with TemporaryDirectory() as place:  # beside the file there are more, where weights are over 2 GiB
        file = str(Path(place) / "part.onnx")
        torch.onnx.export(flat, tuple(tensors), file, input_names=names, opset_version=OPSET, dynamo=False)
        session = onnxruntime.InferenceSession(file, providers=[each for each in PROVIDERS if each in have])
    return lambda inputs: [
        torch.from_numpy(each)
        for each in session.run(None, {n: x.cpu().numpy() for n, x in zip(names, inputs, strict=True)})
    ]


@parse_args("v", "is", "v", "f")
def _rms_norm(graph: Any, numbers: Any, shape: Sequence[int], weight: Any, eps: float | None) -> Any:
    """Root mean square normalisation (Zhang and Sennrich, 2019) in ONNX's own operators: it has one of its own from
    opset 23 on, which the exporter does not reach."""
    axes = graph.op("Constant", value_t=torch.arange(-len(shape), 0))
    least = graph.op("Constant", value_t=torch.tensor(torch.finfo(torch.float32).eps if eps is None else eps))
    mean = graph.op("ReduceMean", graph.op("Mul", numbers, numbers), axes, keepdims_i=1)
    normed = graph.op("Div", numbers, graph.op("Sqrt", graph.op("Add", mean, least)))
    return normed if symbolic_helper._is_none(weight) else graph.op("Mul", normed, weight)


OPSET = 20  # of ONNX
PROVIDERS = (  # of ONNX Runtime, the fastest first
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "ROCMExecutionProvider",
    "DmlExecutionProvider",
    "OpenVINOExecutionProvider",
    "CoreMLExecutionProvider",
    "CPUExecutionProvider",
)
EXPORTERS: Mapping[str, Exporter] = {"compile": _compile, "openvino": _openvino, "onnx": _onnx}


def _like(leaf: Any) -> Any:
    """What an export depends on: of a tensor its shape and kind, of anything else what it is."""
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, torch.Tensor) else repr(leaf)


def _difference(expected: Sequence[Any], made: Sequence[torch.Tensor]) -> float:
    worst = 0.0
    for one, other in zip(expected, made, strict=True):
        largest = float(one.abs().max()) or 1.0
        worst = max(worst, float((one.cpu().float() - other.cpu().float()).abs().max()) / largest)
    return worst
