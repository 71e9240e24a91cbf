"""How busy an engine is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Counters since the engine's start and sizes now; rates are differences of counters. `running` and `waiting` are
    sequences, `blocks` KV blocks, `free_blocks` those that nobody uses, `cached_blocks` those of them that still hold
    keys and values; `busy` is seconds spent in steps."""

    running: int = 0
    waiting: int = 0
    blocks: int = 0
    free_blocks: int = 0
    cached_blocks: int = 0
    preemptions: int = 0
    steps: int = 0
    failed_steps: int = 0
    computed_tokens: int = 0
    reused_tokens: int = 0
    generated_tokens: int = 0
    busy: float = 0.0
