"""What every family says of usage that its own API has no field for."""

from haiga.core.generation import Usage


def reused(usage: Usage) -> dict[str, bool]:
    """That nothing was computed: the counters are those of the answer that was given before."""
    return {"haiga_reused": True} if usage.reused else {}
