"""Who judges texts: the moderation classifier on OpenVINO, in this process, on a thread of its own.

Rule: a text longer than the window is judged in windows that overlap, and the worst of each category counts. The
weights are loaded when the first text comes. What the reasons are is measured by leaving words out, never told. Texts
of several callers take turns: nobody waits for more than the part of another's text that is run at once.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from haiga.core.moderation import CATEGORIES, Scores, Span
from haiga.models.classifier import Classifier, ClassifierWeights, WordVectors, build_classifier, read_classifier
from haiga.text.words import Word, words

T = TypeVar("T")
Floats: TypeAlias = NDArray[np.float32]
BATCH = 32  # windows that are run before it is another text's turn
STEP = 0.75  # of a window from the beginning of one to that of the next
LENGTHS = (0.125, 0.25, 0.5, 0.75, 1)  # of a window: what texts are filled up to
SHORT = 2_000  # characters that are read at once, because a thread for it would cost more
LEFT_OUT = 40  # parts of a text that are left out in turn to see what a score rests on
LEAST = 0.02  # of probability: what counts as carrying a score


class _Graph:
    """The graph of one length, and the memory that its inputs lie in.

    One thread, and not bound to a core: on graphs this small threads wait for each other longer than they compute, and
    binding costs a system call each way and takes whichever core a model is using."""

    PROPERTIES: Mapping[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False
    }  # fmt: skip

    def __init__(self, weights: ClassifierWeights, shape: Classifier, length: int) -> None:
        model = ov.Core().compile_model(build_classifier(weights, shape, length), "CPU", self.PROPERTIES)
        self._request = model.create_infer_request()
        self._vectors = np.zeros((1, length, shape.width), np.float32)
        self._there = np.zeros((1, length, 1), np.float32)
        for at, each in enumerate((self._vectors, self._there)):
            self._request.set_input_tensor(at, ov.Tensor(each, shared_memory=True))

    def run(self, vectors: Floats, *out: Floats) -> None:
        """Writes probabilities [C] and features [H] of words' vectors [N, width]; N is at most its length."""
        count = len(vectors)
        self._vectors[0, :count], self._vectors[0, count:] = vectors, 0
        self._there[0, :count], self._there[0, count:] = 1, 0
        self._request.infer(share_outputs=True)
        for at, each in enumerate(out):
            each[:] = self._request.get_output_tensor(at).data[0]


class _Loaded:
    """What is in memory of a classifier: words' vectors, and a graph of each length."""

    def __init__(self, directory: Path, shape: Classifier) -> None:
        weights = ClassifierWeights(directory)
        self._vectors = WordVectors(weights, shape)
        lengths = sorted({max(1, int(shape.window * part)) for part in LENGTHS})
        self._graphs = [(length, _Graph(weights, shape, length)) for length in lengths]

    def run(self, window: Sequence[Word], *out: Floats) -> None:
        """Writes probabilities [C] and features [H]."""
        graph = next(graph for length, graph in self._graphs if len(window) <= length)
        graph.run(self._vectors.of([word.text for word in window]), *out)


class LocalClassifier:
    """A classifier's folder, under a name."""

    def __init__(self, directory: Path, name: str | None = None) -> None:
        self.name = name or directory.name
        self.directory = directory
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
        read = await self._read(texts)
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
        (read,) = await self._read([text])
        windows = list(self._windows(read))
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

    async def features(self, texts: Sequence[str]) -> Floats:
        """What the last layer reads of each text's first window, [N, hidden]."""
        return (await self._all([read[: self._shape.window] for read in await self._read(texts)]))[1]

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _read(self, texts: Sequence[str]) -> list[Sequence[Word]]:
        def read() -> list[Sequence[Word]]:
            return [words(_sound(text)) for text in texts]

        return read() if sum(map(len, texts)) <= SHORT else await self._run(read)

    def _windows(self, read: Sequence[Word]) -> Iterator[Sequence[Word]]:
        window, step = self._shape.window, int(self._shape.window * STEP)
        for start in range(0, max(1, len(read) - window + step), step):
            yield read[start : start + window]

    async def _all(self, windows: Sequence[Sequence[Word]]) -> tuple[Floats, Floats]:
        """[N, categories] and [N, hidden] of N windows."""
        scores = np.zeros((len(windows), len(CATEGORIES)), np.float32)
        features = np.zeros((len(windows), self._shape.hidden), np.float32)
        for start in range(0, len(windows), BATCH):
            part = slice(start, start + BATCH)
            await self._run(partial(self._some, windows[part], scores[part], features[part]))
        return scores, features

    def _some(self, windows: Sequence[Sequence[Word]], scores: Floats, features: Floats) -> None:
        if self._loaded is None:
            self._loaded = _Loaded(self.directory, self._shape)
        for at, window in enumerate(windows):
            self._loaded.run(window, scores[at], features[at])


def _sound(text: str) -> str:
    """Halves of surrogate pairs, which stand for no character, as question marks."""
    return text.encode(errors="replace").decode()
