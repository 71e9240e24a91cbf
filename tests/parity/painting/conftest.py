"""Tiny pipelines, each made once: a painter leaves nothing of a request behind, so tests share them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.pipelines import made


@pytest.fixture(scope="session")
def pipelines() -> Callable[[str], Any]:
    """The tiny pipeline of a family, by its name."""
    return cache(made)
