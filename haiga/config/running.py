"""Settings of the models that run here: which, how much they may take, what they answer to.

Rule: rows of the table of settings, in its order.
"""

from collections.abc import Mapping

from haiga.config.parsing import one_of, parse_bytes, parse_count, parse_pairs, parse_some, parse_switch
from haiga.config.setting import Setting

RUNNING: Mapping[str, Setting] = {
    "models": Setting(
        "--model",
        parse_pairs,
        "",
        "HAIGA_MODEL",
        "Serve the model at this path under this name, beside those added with `haiga models add`; repeatable.",
        metavar="NAME=PATH",
        many=True,
    ),
    "adapters": Setting(
        "--adapter",
        parse_pairs,
        "",
        "HAIGA_ADAPTER",
        "Serve the LoRA adapter in this directory, over the model BASE, under this name; repeatable.",
        metavar="NAME=BASE:PATH",
        many=True,
    ),
    "adapter_slots": Setting(
        "--adapter-slots",
        parse_count,
        "8",
        "HAIGA_ADAPTER_SLOTS",
        "How many adapters of one model run at once; requests for more of them wait.",
        metavar="COUNT",
    ),
    "aliases": Setting(
        "--alias",
        parse_pairs,
        "",
        "HAIGA_ALIAS",
        "Answer to names of this pattern with this model, as in 'claude-*=starter'; repeatable, first match wins.",
        metavar="PATTERN=NAME",
        many=True,
    ),
    "tags": Setting(
        "--tag",
        parse_pairs,
        "",
        "HAIGA_TAG",
        "Tag models whose names fit a pattern, as in 'qwen*=eu', so that keys can be held to a tag; repeatable, a"
        " model may have several.",
        metavar="PATTERN=TAG",
        many=True,
    ),
    "context": Setting(
        "--context",
        parse_count,
        None,
        "HAIGA_CONTEXT",
        "Longest context in tokens; by default the model's own.",
        metavar="TOKENS",
    ),
    "kv_memory": Setting(
        "--kv-memory",
        parse_bytes,
        None,
        "HAIGA_KV_MEMORY",
        "Memory for keys and values, per model; by default two full contexts, up to 2 GiB.",
        metavar="SIZE",
    ),
    "kv_disk": Setting(
        "--kv-disk",
        parse_bytes,
        "0",
        "HAIGA_KV_DISK",
        "Disk for keys and values of all models together, so that long conversations which come back, even after a"
        " restart, are not computed again; 0 for none.",
        metavar="SIZE",
    ),
    "max_queue": Setting(
        "--max-queue",
        parse_some,
        "256",
        "HAIGA_MAX_QUEUE",
        "Requests that may wait for a model to begin with them; the next is told to come back (529 or 503).",
        metavar="N",
    ),
    "memory_budget": Setting(
        "--memory-budget",
        parse_bytes,
        None,
        "HAIGA_MEMORY_BUDGET",
        "Memory for all loaded models together; the least recently used one is unloaded to make room.",
        metavar="SIZE",
    ),
    "weights": Setting(
        "--weights",
        one_of("bf16", "int8", "int4"),
        None,
        "HAIGA_WEIGHTS",
        "Precision of the weights of models given by path; by default chosen by their size.",
        metavar="bf16|int8|int4",
    ),
    "cache": Setting(
        "--cache",
        one_of("f32", "bf16", "u8", "u4"),
        None,
        "HAIGA_CACHE",
        "Precision of keys and values; by default chosen with the weights.",
        metavar="f32|bf16|u8|u4",
    ),
    "starter": Setting(
        "--no-starter",
        parse_switch,
        "yes",
        "HAIGA_STARTER",
        "Leave out the embedded starter models; the one that writes is otherwise the first in the list.",
        switch="no",
    ),
}
