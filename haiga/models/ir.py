"""A text model exported elsewhere as OpenVINO IR, made paged.

Rule: the export must be stateful (its keys and values are kept inside); the vendor's transformation puts paged
attention in their place. Logits are computed for sampled positions only: a gather before the last matrix product.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset15 as op
from openvino._offline_transformations import paged_attention_transformation

from haiga.core.errors import Invalid
from haiga.models.plugin import explain

_NAMES = ("openvino_model.xml", "openvino_language_model.xml")


def is_ir(directory: Path) -> bool:
    """Whether `directory` holds an IR rather than safetensors."""
    return any((directory / name).is_file() for name in _NAMES)


def ir_file(directory: Path) -> Path:
    """The directory's graph file; its weights lie beside it in the .bin."""
    return next(directory / name for name in _NAMES if (directory / name).is_file())


def read_ir(directory: Path) -> ov.Model:
    """The directory's model with paged attention and the inputs that models/graph.py names.

    Raises Invalid when the files cannot be read or the model is not stateful.
    """
    file = ir_file(directory)
    try:
        model = ov.Core().read_model(file)
        _initialise(model)
        paged_attention_transformation(model)
    except RuntimeError as problem:
        raise Invalid(f"{file}: cannot be made into a paged model ({explain(problem)})") from None
    _gather_sampled(model, file)
    _free_caches(model)
    model.validate_nodes_and_infer_types()
    return model


def _initialise(model: ov.Model) -> None:
    """Give states without an initial value one: the transformation looks for it before it removes the state."""
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue" and node.get_input_size() == 0:
            shape = [size.get_length() if size.is_static else 1 for size in node.get_output_partial_shape(0)]
            node.set_arguments([op.constant(ov.Tensor(node.get_output_element_type(0), ov.Shape(shape))).output(0)])


def _gather_sampled(model: ov.Model, file: Path) -> None:
    """Put a gather on a new input `sampled_tokens_indices` before the last matrix product."""
    product = _last_product(model.get_results()[0].input_value(0).get_node(), file)
    indices = op.parameter([-1], ov.Type.i64, name="sampled_tokens_indices")
    indices.output(0).get_tensor().set_names({"sampled_tokens_indices"})
    hidden = product.input_value(0)
    flat = op.reshape(hidden, op.constant(np.array([-1, hidden.get_partial_shape()[-1].get_length()])), False)
    product.input(0).replace_source_output(op.gather(flat, indices, op.constant(np.int64(0))).output(0))
    model.add_parameters([indices])


def _last_product(node: Any, file: Path) -> Any:
    """The head's matrix product: back from the result along first inputs."""
    while node.get_type_name() != "MatMul":
        if node.get_input_size() == 0:
            raise Invalid(f"{file}: there is no matrix product before the output")
        node = node.input_value(0).get_node()
    return node


def _free_caches(model: ov.Model) -> None:
    """Leave precision and layout of the caches to the plugin."""
    for parameter in model.get_parameters():
        if "_cache." in parameter.get_friendly_name():
            parameter.set_element_type(ov.Type.dynamic)
            parameter.set_partial_shape(ov.PartialShape.dynamic(4))
