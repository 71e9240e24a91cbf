"""Damaged files: each is read or refused with a reason, and none takes the decoder with it."""

from tests.unit.intake.damaged import damaged, decode

COUNT = 240  # twenty of each kind; `python -m tests.unit.intake.damaged 2000` runs more


async def test_damaged_files_are_read_or_refused_with_a_reason() -> None:
    outcome = await decode(damaged(COUNT))
    assert [] == outcome.broken
    assert [] == outcome.unexplained
    assert COUNT == outcome.read + outcome.refused
    assert COUNT // 3 < outcome.refused
    assert outcome.memory < 1 << 30
