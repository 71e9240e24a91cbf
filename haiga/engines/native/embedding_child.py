"""The engine process for embeddings: one model, the texts that wait, and one socket to the server.

Rule: texts of about one length are run side by side, each whole; one batch at a time, and every text that was sent gets
a vector or an error.

    python -m haiga.engines.native.embedding_child '{"directory": …}' SOCKET
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from haiga.batching.lengths import choose, padded
from haiga.core.errors import Failed, HaigaError
from haiga.engines import frames
from haiga.engines.link import Link, resident_bytes
from haiga.engines.native import protocol
from haiga.engines.native.protocol import EmbeddingPlant, Ready, Text, Update
from haiga.models.load import Settings, load_embedder
from haiga.models.plugin import explain
from haiga.models.pooling import Pooling

FATAL = 3  # failed batches in a row


def main() -> None:
    plant = EmbeddingPlant(**orjson.loads(sys.argv[1]))
    link = Link.inherited(sys.argv[2])
    try:
        texts = Texts(plant)
    except HaigaError as error:
        link.send(frames.refused(error))
        return
    link.send(protocol.ready(Ready(0, 0, resident_bytes())))
    desk = Desk(plant.budget)
    link.listen(desk.obey)
    failures = 0
    while failures < FATAL:
        batch = desk.take()
        try:
            link.send(protocol.embedded(dict(zip([text.id for text in batch], texts.embed(batch), strict=True))))
            failures = 0
        except Failed as error:
            link.send(protocol.step([Update(text.id, error=error) for text in batch], {}))
            failures += 1


class Texts:
    """The compiled model."""

    def __init__(self, plant: EmbeddingPlant) -> None:
        """Load it and run one token, so that the first request meets no preparation. Raises Invalid."""
        cache_dir = Path(plant.cache_dir) if plant.cache_dir else None
        settings = Settings(plant.weights, "u8", plant.threads, plant.context)
        self._width = plant.context
        self._loaded = load_embedder(Path(plant.directory), settings, Pooling(plant.pooling, plant.unit), cache_dir)
        self._request = self._loaded.compiled.create_infer_request()
        self.embed([Text(0, [0])])
        if self._loaded.weights is not None:
            self._loaded.weights.release()

    def embed(self, batch: Sequence[Text]) -> list[bytes]:
        """The texts' vectors, float32 little-endian. Raises Failed when the plugin refuses the batch."""
        lengths = [len(text.tokens) for text in batch]
        ids = np.zeros((len(batch), min(padded(max(lengths)), self._width)), np.int64)
        for row, text in zip(ids, batch, strict=True):
            row[: len(text.tokens)] = text.tokens
        try:
            self._request.infer({"input_ids": ids, "lengths": np.asarray(lengths, np.int64)})
        except RuntimeError as problem:
            raise Failed(f"the texts could not be embedded: {explain(problem)}") from problem
        vectors = self._request.get_output_tensor(0).data
        return [vector.astype("<f4").tobytes() for vector in vectors]


class Desk:
    """The texts that wait, in the order in which they came."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._waiting: dict[int, Text] = {}
        self._changed = threading.Condition()

    def obey(self, command: Mapping[str, Any], _: bytes = b"") -> None:
        with self._changed:
            match command["do"]:
                case "embed":
                    self._waiting[command["id"]] = Text(command["id"], command["tokens"])
                    self._changed.notify()
                case "abort":
                    self._waiting.pop(command["id"], None)

    def take(self) -> list[Text]:
        """The next batch; waits while there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            waiting = list(self._waiting.values())
            batch = [waiting[at] for at in choose([len(text.tokens) for text in waiting], self._budget)]
            for text in batch:
                del self._waiting[text.id]
            return batch


if __name__ == "__main__":
    main()
