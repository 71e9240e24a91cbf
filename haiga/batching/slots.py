"""How many adapters run at once.

Rule: a sequence whose adapter runs already may always join it; one of one more waits for a slot. An interactive one
need not wait for a slot that batch sequences alone have.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Items

from haiga.batching.sequence import Sequence

Running = Mapping[bool, Items[Sequence]]  # by urgency, in order of arrival


def has_slot(sequence: Sequence, running: Running, slots: int) -> bool:
    """Whether its adapter, if it has one, may run beside those that do."""
    held = _adapters([*running[True], *running[False]])
    return _adapter(sequence) in {None, *held} or len(held) < slots


def in_its_slot(sequence: Sequence, running: Running) -> Sequence | None:
    """The latest batch sequence that an interactive one may have sent back for a slot."""
    urgent = _adapters(running[True])
    batch = reversed(running[False]) if sequence.urgent else ()
    return next((each for each in batch if _adapter(each) not in {None, *urgent}), None)


def _adapters(sequences: Iterable[Sequence]) -> set[str]:
    return {key for sequence in sequences if (key := _adapter(sequence)) is not None}


def _adapter(sequence: Sequence) -> str | None:
    return sequence.request.adapter.key if sequence.request.adapter else None
