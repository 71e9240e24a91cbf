"""Who judges texts: the moderation classifier on OpenVINO, in this process, on a thread of its own.

Rule: a text longer than the window is judged in windows that overlap, and the worst of each category counts. The
weights are loaded when the first text comes. What the reasons are is measured by leaving words out, never told. Texts
of several callers take turns: nobody waits for more than the part of another's text that is run at once.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.moderation import CATEGORIES, Scores, Span
from haiga.models.classifier import Classifier, build_classifier, read_classifier
from haiga.text.grams import Grams
from haiga.text.words import Word, words

T = TypeVar("T")
BATCH = 32  # windows that are run at once
STEP = 0.75  # of a window from the beginning of one to that of the next
LEFT_OUT = 40  # parts of a text that are left out in turn to see what a score rests on
LEAST = 0.02  # of probability: what counts as carrying a score


@dataclass(frozen=True, slots=True)
class _Loaded:
    shape: Classifier
    grams: Grams
    model: ov.CompiledModel


class LocalClassifier:
    """A classifier's folder, under a name. `threads`: 0 for every core."""

    def __init__(self, directory: Path, threads: int = 0, name: str | None = None) -> None:
        self.name = name or directory.name
        self.directory = directory
        self._threads = threads
        self._shape = read_classifier(directory)
        self._loaded: _Loaded | None = None
        self._thread = ThreadPoolExecutor(1, "classifier")

    @property
    def thresholds(self) -> dict[str, float]:
        """From which score a category counts as flagged, as was measured when it was trained."""
        return dict(self._shape.thresholds)

    @property
    def shape(self) -> Classifier:
        """What its folder says."""
        return self._shape

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """Every text's scores. Raises Invalid when the weights cannot be read."""
        if not texts:
            return []
        read = await self._run(lambda: [words(_sound(text)) for text in texts])
        parts = [list(self._windows(each)) for each in read]
        scores, _ = await self._all([window for windows in parts for window in windows])
        ends = np.cumsum([len(windows) for windows in parts])
        worst = [part.max(0) for part in np.split(scores, ends[:-1])]
        return [
            Scores(dict(zip(CATEGORIES, map(float, row), strict=True)), len(each))
            for row, each in zip(worst, read, strict=True)
        ]

    async def explain(self, text: str, category: str) -> list[Span]:
        """The parts of a text that carry its score in a category, heaviest first: what leaving each out takes from the
        probability (occlusion, arXiv 1311.2901). Of a long text, those of its worst window."""
        column = CATEGORIES.index(category)
        windows = list(self._windows(await self._run(lambda: words(_sound(text)))))
        scores = (await self._all(windows))[0][:, column]
        window, score = windows[int(scores.argmax())], float(scores.max())
        size = -(-len(window) // LEFT_OUT)
        cuts = range(0, len(window), size) if window else range(0)
        without = (await self._all([[*window[:cut], *window[cut + size :]] for cut in cuts]))[0][:, column]
        spans = [
            Span(window[cut].start, window[min(cut + size, len(window)) - 1].end, score - float(rest))
            for cut, rest in zip(cuts, without, strict=True)
        ]
        return sorted((span for span in spans if span.weight >= LEAST), key=lambda span: -span.weight)

    async def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the last layer reads of each text's first window, [N, hidden]."""
        read = await self._run(lambda: [words(_sound(text))[: self._shape.window] for text in texts])
        return (await self._all(read))[1]

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _windows(self, read: Sequence[Word]) -> Iterator[Sequence[Word]]:
        window, step = self._shape.window, int(self._shape.window * STEP)
        for start in range(0, max(1, len(read) - window + step), step):
            yield read[start : start + window]

    async def _all(self, windows: Sequence[Sequence[Word]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """[N, categories] and [N, hidden] of N windows. Those of about one length are run side by side."""
        order = sorted(range(len(windows)), key=lambda n: len(windows[n]))
        scores = np.zeros((len(windows), len(CATEGORIES)), np.float32)
        features = np.zeros((len(windows), self._shape.hidden), np.float32)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            scores[part], features[part] = await self._run(partial(self._some, [windows[n] for n in part]))
        return scores, features

    def _some(self, windows: Sequence[Sequence[Word]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        loaded = self._load()
        length = max(1, len(windows[-1]))
        rows = np.stack([loaded.grams.table([word.text for word in window], length) for window in windows])
        found = loaded.model(rows)
        return np.array(found[0]), np.array(found[1])

    def _load(self) -> _Loaded:
        if self._loaded is None:
            properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": self._threads}
            model = ov.Core().compile_model(build_classifier(self.directory, self._shape), "CPU", properties)
            self._loaded = _Loaded(self._shape, Grams(self._shape.rows, self._shape.grams), model)
        return self._loaded


def _sound(text: str) -> str:
    """Halves of surrogate pairs, which stand for no character, as question marks."""
    return text.encode(errors="replace").decode()
