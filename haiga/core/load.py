"""How busy an engine is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """Counters since the engine's start and sizes now; rates are differences of counters. `running` and `waiting` are
    sequences, `blocks` KV blocks, `free_blocks` those that nobody uses, `cached_blocks` those of them that still hold
    keys and values; `busy` is seconds spent in steps. `restored_tokens` had their keys and values read back from files,
    of which there are `disk_bytes`. Blocks in files: evicted ones went to make room, dropped ones were not written, the
    disk being slow or full, damaged ones were found so."""

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
    restored_tokens: int = 0
    generated_tokens: int = 0
    disk_bytes: int = 0
    disk_evicted: int = 0
    disk_dropped: int = 0
    disk_damaged: int = 0
    busy: float = 0.0
