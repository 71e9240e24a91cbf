"""A model that a user has added to the server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddedModel:
    """`path` is the directory that is loaded, `source` what the user named (a directory, or org/name@commit of a
    hub), `weights` the precision it is run in (bf16, int8, int4), None for as the files have it. `added_at` is unix
    seconds. `base` is the model that this one is an adapter of."""

    name: str
    path: str
    source: str
    weights: str | None
    added_at: int
    base: str | None = None
