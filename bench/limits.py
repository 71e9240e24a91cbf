"""Limits shared by two processes over one PostgreSQL: requests a second, and whether any was over or wrongly refused.

Rule: the contest is the conformance suite's own, on a PostgreSQL that is made for it.
"""

import asyncio
import time
from dataclasses import dataclass

from tests.conformance import metered
from tests.postgres import running


@dataclass(frozen=True, slots=True)
class Contest:
    """`asked` requests, of which `passed` were let in; `over` and `missed` are keys that got more or less than they
    have."""

    asked: int
    passed: int
    over: int
    missed: int
    seconds: float


def run(requests: int) -> Contest:
    with running() as cluster:
        url = cluster.url(cluster.database())
        began = time.perf_counter()
        expected, passed = asyncio.run(metered.contest(url, requests))
        seconds = time.perf_counter() - began
    pairs = list(zip(expected, passed, strict=True))
    asked = 2 * metered.moments(requests) * sum(map(metered.attempts, range(metered.KEYS)))
    over, missed = sum(got > had for had, got in pairs), sum(got < had for had, got in pairs)
    return Contest(asked, sum(passed), over, missed, seconds)
