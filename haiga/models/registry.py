"""Which architecture is read by whom.

Rule: a name as config.json's `architectures` gives it, to the function that reads the config of such a decoder, or to
the one that builds such an encoder's states.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import openvino as ov

from haiga.core.errors import Invalid
from haiga.models.adapters.products import NONE, Adapted
from haiga.models.bert import bert_states, first_place
from haiga.models.cohere import read_cohere
from haiga.models.decoder import Decoder, Read, build_decoder, decoder_states
from haiga.models.deepseek import read_deepseek
from haiga.models.fields import Fields
from haiga.models.gemma import read_gemma
from haiga.models.glm import read_glm
from haiga.models.gpt_oss import read_gpt_oss
from haiga.models.granite import read_granite
from haiga.models.graph import Graph, Node
from haiga.models.llama import read_llama
from haiga.models.llama4 import read_llama4
from haiga.models.mixture import read_mixture
from haiga.models.olmo import read_olmo
from haiga.models.phi import read_phi
from haiga.models.vision.qwen3 import read_deep
from haiga.models.weights import Weights

States = Callable[[Graph, str, int], Node]


def _seeing(read: Read, name: str, turns: bool = False) -> Read:
    """The decoder of a model that sees: one of architecture `name`, with pictures among its tokens. turns: its
    positions count in time, rows and columns."""
    return lambda config, _, context: replace(read(config, name, context), sees=1, turns=turns)


def _deep(read: Read, name: str) -> Read:
    """As `_seeing`; the first layers take more of the pictures."""
    return lambda config, _, context: replace(read(config, name, context), sees=1 + len(read_deep(config)), turns=True)


def _text_side(models: Mapping[str, str]) -> Read:
    """The decoder of a model that sees, whose text_config is of one of the types that `models` have."""

    def read(config: Fields, _: str, context: int) -> Decoder:
        kind = (config.object("text_config") or config).text("model_type", "llama")
        if kind not in models:
            raise config.refuse("text_config", f"is of type {kind!r}; supported: {', '.join(models)}")
        name = models[kind]
        return replace(DECODERS[name](config, name, context), sees=1)

    return read


_LLAVA = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
DECODERS: dict[str, Read] = {
    "LlamaForCausalLM": read_llama,
    "MistralForCausalLM": read_llama,
    "Qwen2ForCausalLM": read_llama,
    "Qwen3ForCausalLM": read_llama,
    "SmolLM3ForCausalLM": read_llama,
    "MixtralForCausalLM": read_mixture,
    "Qwen2MoeForCausalLM": read_mixture,
    "Qwen3MoeForCausalLM": read_mixture,
    "GemmaForCausalLM": read_gemma,
    "Gemma2ForCausalLM": read_gemma,
    "Gemma3ForCausalLM": read_gemma,
    "Gemma3ForConditionalGeneration": lambda *given: replace(read_gemma(*given), sees=1, mutual=True),
    "Phi3ForCausalLM": read_phi,
    "GlmForCausalLM": read_glm,
    "Glm4ForCausalLM": read_glm,
    "GraniteForCausalLM": read_granite,
    "CohereForCausalLM": read_cohere,
    "Cohere2ForCausalLM": read_cohere,
    "Olmo2ForCausalLM": read_olmo,
    "Olmo3ForCausalLM": read_olmo,
    "GptOssForCausalLM": read_gpt_oss,
    "Llama4ForCausalLM": read_llama4,
    "Llama4ForConditionalGeneration": _seeing(read_llama4, "Llama4ForConditionalGeneration"),
    "DeepseekV2ForCausalLM": read_deepseek,
    "Idefics3ForConditionalGeneration": _seeing(read_llama, "LlamaForCausalLM"),
    "SmolVLMForConditionalGeneration": _seeing(read_llama, "LlamaForCausalLM"),
    "Qwen2_5_VLForConditionalGeneration": _seeing(read_llama, "Qwen2ForCausalLM", turns=True),
    "Qwen3VLForConditionalGeneration": _deep(read_llama, "Qwen3ForCausalLM"),
    "LlavaForConditionalGeneration": _text_side(_LLAVA),
    "LlavaNextForConditionalGeneration": _text_side(_LLAVA),
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
KNOWN = (*DECODERS, *ENCODERS, *HEADLESS)


def find_architecture(config: Fields) -> str:
    """The first architecture that config.json names and that can be built; raises Invalid naming them otherwise.

    We pack from floats ourselves: a checkpoint that somebody else packed is refused (GPTQ, AWQ, FP8), but for MXFP4.
    """
    packed = config.object("quantization_config")
    method = packed.text("quant_method", "unknown") if packed is not None else "mxfp4"
    if method != "mxfp4":
        raise config.refuse("quantization_config", f"({method}) is not supported; use the checkpoint it was made from")
    named = config.sequence("architectures") or []
    for name in named:
        if name in KNOWN:
            return str(name)
    asked = ", ".join(repr(str(name)) for name in named) or "(none)"
    raise Invalid(f"{config.source}: architectures: {asked} is not supported; supported: {', '.join(KNOWN)}")


def read_decoder(config: Fields, context: int) -> Decoder:
    """The decoder that `config` describes, its rope computed for `context` tokens."""
    architecture = find_architecture(config)
    return DECODERS[architecture](config, architecture, context)


def build(weights: Weights, context: int, adapted: Adapted = NONE) -> ov.Model:
    """The checkpoint's paged graph."""
    checkpoint = weights.checkpoint
    return build_decoder(weights, read_decoder(checkpoint.config, context), checkpoint.directory.name, adapted)


def unused_places(config: Fields, architecture: str) -> int:
    """How many of the positions that an encoder's table has no token can be at."""
    return first_place(config, architecture) if architecture in ENCODERS else 0


def states(graph: Graph, architecture: str, context: int) -> Node:
    """The last layer's states [T, hidden] of the checkpoint that `graph` holds the weights of."""
    if architecture in ENCODERS:
        return ENCODERS[architecture](graph, architecture, context)
    name = HEADLESS.get(architecture, architecture)
    return decoder_states(graph, DECODERS[name](graph.weights.checkpoint.config, name, context))
