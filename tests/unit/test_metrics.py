"""Metrics as a monitoring system reads them, by Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from haiga.core.generation import Usage
from haiga.core.load import Load
from haiga.core.records import Record
from haiga.services.metrics import Metrics

BUSY = Load(running=3, waiting=2, blocks=10, free_blocks=4, cached_blocks=2, preemptions=1, reused_tokens=64, busy=1.5)


def read(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values, in the order of the labels' names."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for family in families for s in family.samples
    }


def record(**changed: object) -> Record:
    usage = Usage(input=5, creation_5m=32, cache_read=64, output=11)
    said = {"family": "anthropic", "latency": 0.5, "duration": 2.5, "usage": usage, **changed}
    return Record(created_at=1, workspace="team", model="m", key="key_1", **said)  # type: ignore[arg-type]


def test_requests_and_tokens_are_counted_by_model_tier_and_outcome() -> None:
    metrics = Metrics(dict)
    for each in (record(), record(), record(tier="batch"), record(outcome="limited", latency=None, usage=Usage())):
        metrics.add(each)
    samples = read(metrics)
    assert 2 == samples["haiga_requests_total", "anthropic", "m", "succeeded", "standard"]
    assert 1 == samples["haiga_requests_total", "anthropic", "m", "succeeded", "batch"]
    assert 1 == samples["haiga_requests_total", "anthropic", "m", "limited", "standard"]
    assert 10 == samples["haiga_prompt_tokens_total", "computed", "m", "standard"]
    assert 64 == samples["haiga_prompt_tokens_total", "cache_creation", "m", "standard"]
    assert 128 == samples["haiga_prompt_tokens_total", "cache_read", "m", "standard"]
    assert 22 == samples["haiga_generation_tokens_total", "m", "standard"]


def test_times_are_to_the_first_token_between_tokens_and_to_the_end() -> None:
    metrics = Metrics(dict)
    metrics.add(record())
    metrics.add(record(outcome="dead", latency=None))
    samples = read(metrics)
    for name, expected in {
        "haiga_time_to_first_token_seconds": 0.5,
        "haiga_time_per_output_token_seconds": 0.2,
        "haiga_e2e_request_latency_seconds": 2.5,
    }.items():
        assert (1, expected) == (samples[f"{name}_count", "m", "standard"], samples[f"{name}_sum", "m", "standard"])


def test_engines_are_asked_when_it_is_read() -> None:
    loads: dict[str, Load] = {}
    metrics = Metrics(lambda: loads)
    assert ("haiga_num_requests_running", "m") not in read(metrics)
    loads["m"] = BUSY
    samples = read(metrics)
    assert (3, 2) == (samples["haiga_num_requests_running", "m"], samples["haiga_num_requests_waiting", "m"])
    assert 0.6 == samples["haiga_kv_cache_usage_ratio", "m"]
    assert (64, 1, 1.5) == tuple(
        samples[f"haiga_{name}_total", "m"] for name in ("prefix_cache_hit_tokens", "preemptions", "busy_seconds")
    )


def test_nothing_tells_who_asked() -> None:
    metrics = Metrics(dict)
    metrics.add(record(user="ada", agent="curl", session="s-1"))
    assert not any(word in metrics.text() for word in (b"team", b"key_1", b"ada", b"curl", b"s-1"))
