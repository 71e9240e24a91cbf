"""What a monitoring system reads: counts and times by model, in Prometheus' text format.

Rule: numbers about models only; no key, workspace, address or word of anybody's stands in a label. Names follow the
field's: time to first token, time per output token, requests running and waiting, use of the KV cache.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from haiga.core.load import Load
from haiga.core.policies import Decision, Side
from haiga.core.records import Record

Of: TypeAlias = Callable[[Load], float]

FIRST = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # seconds
EACH = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1)
WHOLE = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
GAUGES: Mapping[str, tuple[str, Of]] = {
    "haiga_num_requests_running": ("Sequences that take part in steps.", lambda load: load.running),
    "haiga_num_requests_waiting": ("Sequences that wait for room.", lambda load: load.waiting),
    "haiga_kv_cache_usage_ratio": (
        "Share of the KV blocks that running sequences hold.",
        lambda load: 1 - load.free_blocks / load.blocks if load.blocks else 0.0,
    ),
    "haiga_kv_blocks_cached": (
        "KV blocks that nobody uses and that still hold keys and values.",
        lambda load: load.cached_blocks,
    ),
    "haiga_kv_disk_bytes": ("Files of keys and values, of all models together.", lambda load: load.disk_bytes),
}
COUNTERS: Mapping[str, tuple[str, Of]] = {
    "haiga_prefix_cache_hit_tokens": (
        "Prompt tokens whose keys and values were reused.",
        lambda load: load.reused_tokens,
    ),
    "haiga_kv_disk_hit_tokens": (
        "Prompt tokens whose keys and values were read back from files.",
        lambda load: load.restored_tokens,
    ),
    "haiga_kv_disk_evicted_blocks": (
        "KV blocks whose files were deleted to make room.",
        lambda load: load.disk_evicted,
    ),
    "haiga_kv_disk_dropped_blocks": (
        "KV blocks that were not written, the disk being slow or full.",
        lambda load: load.disk_dropped,
    ),
    "haiga_kv_disk_damaged_blocks": ("KV blocks whose files were found damaged.", lambda load: load.disk_damaged),
    "haiga_computed_tokens": ("Tokens that were run through the model.", lambda load: load.computed_tokens),
    "haiga_preemptions": ("Sequences sent back to wait, to be computed again.", lambda load: load.preemptions),
    "haiga_steps": ("Steps of the engine.", lambda load: load.steps),
    "haiga_failed_steps": ("Steps of the engine that failed.", lambda load: load.failed_steps),
    "haiga_busy_seconds": ("Time that the engine spent in steps.", lambda load: load.busy),
}


class Metrics:
    """Counts records as they come, and asks the engines when it is read. `loads` gives each loaded model's."""

    def __init__(self, loads: Callable[[], Mapping[str, Load]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Engines(loads))
        by, registry = ("model", "tier"), self._registry
        self._requests = Counter(
            "haiga_requests", "Requests that have ended.", ("model", "tier", "family", "outcome"), registry=registry
        )
        self._prompt = Counter(
            "haiga_prompt_tokens", "Tokens of prompts, by whether they were cached.", (*by, "kind"), registry=registry
        )
        self._written = Counter("haiga_generation_tokens", "Tokens of answers.", by, registry=registry)
        self._first = Histogram(
            "haiga_time_to_first_token_seconds",
            "From the request to the first of its answer.",
            by,
            registry=registry,
            buckets=FIRST,
        )
        self._each = Histogram(
            "haiga_time_per_output_token_seconds",
            "Between the tokens of an answer, on average.",
            by,
            registry=registry,
            buckets=EACH,
        )
        self._whole = Histogram(
            "haiga_e2e_request_latency_seconds",
            "From the request to the end of its answer.",
            by,
            registry=registry,
            buckets=WHOLE,
        )
        self._decisions = Counter(
            "haiga_moderation_decisions",
            "Decisions of moderation policies on inputs and outputs, by whether they could be judged.",
            ("policy", "side", "action", "judged"),
            registry=registry,
        )
        self._judging = Histogram(
            "haiga_moderation_seconds",
            "Time that judging one side of a request took, all pieces of an answer together.",
            ("side",),
            registry=registry,
            buckets=EACH,
        )

    def add(self, record: Record) -> None:
        """Count a request that has ended."""
        by = (record.model, record.tier)
        self._requests.labels(*by, record.family or "none", record.outcome).inc(record.requests)
        used = record.usage
        for kind, tokens in {
            "computed": used.input,
            "cache_creation": used.creation,
            "cache_read": used.cache_read,
        }.items():
            self._prompt.labels(*by, kind).inc(tokens)
        self._written.labels(*by).inc(used.output)
        if record.latency is None:
            return
        self._first.labels(*by).observe(record.latency)
        self._whole.labels(*by).observe(record.duration)
        if used.output > 1:
            self._each.labels(*by).observe((record.duration - record.latency) / (used.output - 1))

    def add_decision(self, side: Side, decision: Decision, seconds: float) -> None:
        """Count what moderation made of one side of a request, and how long that took."""
        for policy in decision.policies:
            self._decisions.labels(policy, side, decision.action, "no" if decision.unjudged else "yes").inc()
        self._judging.labels(side).observe(seconds)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it (text format 0.0.4)."""
        return generate_latest(self._registry)


class _Engines(Collector):
    """What the engines say of themselves, asked when it is read."""

    def __init__(self, loads: Callable[[], Mapping[str, Load]]) -> None:
        self._loads = loads

    def collect(self) -> Iterator[Metric]:
        loads = self._loads()
        for name, (told, of) in GAUGES.items():
            gauge = GaugeMetricFamily(name, told, labels=("model",))
            for model, load in loads.items():
                gauge.add_metric((model,), of(load))
            yield gauge
        for name, (told, of) in COUNTERS.items():
            counter = CounterMetricFamily(name, told, labels=("model",))
            for model, load in loads.items():
                counter.add_metric((model,), of(load))
            yield counter
