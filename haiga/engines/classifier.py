"""Who judges texts: the moderation classifier on OpenVINO, in this process, on a thread of its own.

Rule: a text longer than the window is judged in windows that overlap, and the worst of each category counts. The
weights are loaded when the first text comes. What the reasons are is measured by leaving words out, never told.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
BATCH = 64  # windows that are run at once
STEP = 0.75  # of a window from the beginning of one to that of the next
LEFT_OUT = 40  # parts of a text that are left out in turn to see what a score rests on
LEAST = 0.02  # of probability: what counts as carrying a score


@dataclass(frozen=True, slots=True)
class _Loaded:
    shape: Classifier
    grams: Grams
    model: ov.CompiledModel


class LocalClassifier:
    """A classifier's folder. `threads`: 0 for every core."""

    def __init__(self, directory: Path, threads: int = 0) -> None:
        self._directory, self._threads = directory, threads
        self._shape = read_classifier(directory)
        self._loaded: _Loaded | None = None
        self._thread = ThreadPoolExecutor(1, "classifier")

    @property
    def thresholds(self) -> dict[str, float]:
        """From which score a category counts as flagged, as was measured when it was trained."""
        return dict(self._shape.thresholds)

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """Every text's scores. Raises Invalid when the weights cannot be read."""
        return await self._run(lambda: self._judge(texts))

    async def explain(self, text: str, category: str) -> list[Span]:
        """The parts of a text that carry its score in a category, heaviest first: what leaving each out takes from the
        probability (occlusion, arXiv 1311.2901). Of a long text, those of its worst window."""
        return await self._run(lambda: self._explain(text, CATEGORIES.index(category)))

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _judge(self, texts: Sequence[str]) -> list[Scores]:
        parts = [list(self._windows(words(text))) for text in texts]
        scores = self._probabilities([window for windows in parts for window in windows])
        ends = np.cumsum([len(windows) for windows in parts])
        worst = [part.max(0) for part in np.split(scores, ends[:-1])]
        return [Scores(dict(zip(CATEGORIES, map(float, row), strict=True))) for row in worst]

    def _explain(self, text: str, column: int) -> list[Span]:
        windows = list(self._windows(words(text)))
        scores = self._probabilities(windows)[:, column]
        window, score = windows[int(scores.argmax())], float(scores.max())
        size = -(-len(window) // LEFT_OUT)
        cuts = range(0, len(window), size)
        without = self._probabilities([[*window[:cut], *window[cut + size :]] for cut in cuts])[:, column]
        spans = [
            Span(window[cut].start, window[min(cut + size, len(window)) - 1].end, score - float(rest))
            for cut, rest in zip(cuts, without, strict=True)
        ]
        return sorted((span for span in spans if span.weight >= LEAST), key=lambda span: -span.weight)

    def _windows(self, read: Sequence[Word]) -> Iterator[Sequence[Word]]:
        window, step = self._shape.window, int(self._shape.window * STEP)
        for start in range(0, max(1, len(read) - window + step), step):
            yield read[start : start + window]

    def _probabilities(self, windows: Sequence[Sequence[Word]]) -> NDArray[np.float32]:
        """[N, categories] of N windows. Those of about one length are run side by side."""
        loaded = self._load()
        order = sorted(range(len(windows)), key=lambda n: len(windows[n]))
        answer = np.zeros((len(windows), len(CATEGORIES)), np.float32)
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            length = max(1, len(windows[part[-1]]))
            rows = np.stack([loaded.grams.table([word.text for word in windows[n]], length) for n in part])
            answer[part] = loaded.model(rows)[0]
        return answer

    def _load(self) -> _Loaded:
        if self._loaded is None:
            properties = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": self._threads}
            model = ov.Core().compile_model(build_classifier(self._directory, self._shape), "CPU", properties)
            self._loaded = _Loaded(self._shape, Grams(self._shape.rows, self._shape.grams), model)
        return self._loaded
