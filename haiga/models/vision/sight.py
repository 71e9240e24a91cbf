"""How a model sees: the seam between a family and the engine that runs it.

Rule: what a prompt needs (which tokens, how many) is computed from a picture's size alone, so that counting tokens
needs neither pixels nor weights; what the tower is fed is computed from its pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.pictures import Grid, Picture
from haiga.models.weights import Tensors, Weights

View: TypeAlias = Mapping[str, NDArray[Any]]
Features: TypeAlias = NDArray[np.float32]


class Sight(Protocol):
    """One checkpoint's way to see."""

    @property
    def token(self) -> str:
        """What stands for a picture in a prompt as the chat template writes it."""

    @property
    def written(self) -> str:
        """What is written for a picture where the template shows none; it holds `token` once."""

    @property
    def filler(self) -> str:
        """The token in whose places the features go."""

    @property
    def mutual(self) -> bool:
        """Whether a picture's tokens see each other, those behind them too: they are then run in one step."""

    def spelling(self, width: int, height: int) -> str:
        """What the prompt holds in the place of `token` for a picture of that size in pixels."""

    def grid(self, width: int, height: int) -> Grid | None:
        """Rows and columns of its features, where the decoder's positions count in both."""

    def views(self, picture: Picture) -> Iterator[View]:
        """What the tower is fed, one view after another."""

    def tower(self, weights: Weights) -> ov.Model:
        """The graph from a view to its features [places, width]. Raises Invalid naming the tensor that does not fit."""

    def collect(self, seen: Sequence[Features], width: int, height: int, tensors: Tensors) -> Features:
        """The features of all views in the order of the prompt's fillers."""
