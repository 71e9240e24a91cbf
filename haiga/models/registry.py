"""Which architecture is built by whom.

Rule: a name as config.json's `architectures` gives it, to a function that builds its paged graph, and to one that gives
the states of whole sequences, which embeddings are made of. Encoders have the latter alone.
"""

from collections.abc import Callable

import openvino as ov

from haiga.core.errors import Invalid
from haiga.models.bert import bert_states, first_place
from haiga.models.fields import Fields
from haiga.models.graph import Graph, Node
from haiga.models.llama import build_llama, llama_states
from haiga.models.weights import Weights

Builder = Callable[[Weights, str, int], ov.Model]
States = Callable[[Graph, str, int], Node]

BUILDERS: dict[str, Builder] = {
    "LlamaForCausalLM": build_llama,
    "MistralForCausalLM": build_llama,
    "Qwen2ForCausalLM": build_llama,
    "Qwen3ForCausalLM": build_llama,
    "SmolLM3ForCausalLM": build_llama,
}
ENCODERS: dict[str, States] = {
    "BertModel": bert_states,
    "RobertaModel": bert_states,
    "XLMRobertaModel": bert_states,
}
HEADLESS = {  # decoders saved without a head, and whose layers they have
    "LlamaModel": "LlamaForCausalLM",
    "MistralModel": "MistralForCausalLM",
    "Qwen2Model": "Qwen2ForCausalLM",
    "Qwen3Model": "Qwen3ForCausalLM",
}
KNOWN = (*BUILDERS, *ENCODERS, *HEADLESS)


def find_architecture(config: Fields) -> str:
    """The first architecture that config.json names and that can be built; raises Invalid naming them otherwise.

    A checkpoint that somebody else packed (GPTQ, AWQ, FP8) is refused too: we pack from floats ourselves.
    """
    packed = config.object("quantization_config")
    if packed is not None:
        method = packed.text("quant_method", "unknown")
        raise config.refuse("quantization_config", f"({method}) is not supported; use the checkpoint it was made from")
    named = config.sequence("architectures") or []
    for name in named:
        if name in KNOWN:
            return str(name)
    asked = ", ".join(repr(str(name)) for name in named) or "(none)"
    raise Invalid(f"{config.source}: architectures: {asked} is not supported; supported: {', '.join(KNOWN)}")


def build(weights: Weights, context: int) -> ov.Model:
    """The checkpoint's paged graph, its rope computed for `context` tokens."""
    architecture = find_architecture(weights.checkpoint.config)
    return BUILDERS[architecture](weights, architecture, context)


def unused_places(config: Fields, architecture: str) -> int:
    """How many of the positions that an encoder's table has no token can be at."""
    return first_place(config, architecture) if architecture in ENCODERS else 0


def states(graph: Graph, architecture: str, context: int) -> Node:
    """The last layer's states [T, hidden] of the checkpoint that `graph` holds the weights of."""
    if architecture in ENCODERS:
        return ENCODERS[architecture](graph, architecture, context)
    return llama_states(graph, HEADLESS.get(architecture, architecture), context)
