"""A model's embeddings, seen from the server: texts to tokens, tokens to vectors.

Rule: a request's texts are sent a few at a time, the shortest first, so that a large request does not keep small ones
waiting; what is counted is what was run.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haiga.core.embedding import MOST_TOKENS, EmbeddingRequest, Embeddings, Passage, Vector
from haiga.core.errors import Invalid
from haiga.core.ports import ModelCard
from haiga.engines.native.hosted import Hosted
from haiga.engines.native.process import Answer
from haiga.engines.native.protocol import Text
from haiga.engines.native.queue import Queue
from haiga.text.tokenizer import Tokenizer

AT_ONCE = 64  # texts of one request that the engine process is given at once


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """What the server's side knows of a model that makes embeddings. vocabulary: rows of its table of tokens; unit:
    whether its vectors have unit length."""

    card: ModelCard
    tokenizer: Tokenizer
    vocabulary: int
    unit: bool


class NativeEmbedder(Hosted):
    """A model that makes embeddings, for at most `queue` requests at once."""

    def __init__(self, model: SentenceModel, command: list[str], memory: int, queue: int = 256) -> None:
        super().__init__(model.card, command, memory)
        self._queue = Queue(model.card.name, queue)
        self._model = model

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        with self._place(), self._queue.place():
            texts = await self._lanes.run(sum(map(len, request.inputs)), self._tokenise, request.inputs)
            made = await self._run(texts)
            vectors = await self._lanes.run(0, self._cut, made, request.dimensions)
            return Embeddings(vectors, sum(map(len, texts)))

    def _tokenise(self, inputs: Sequence[Passage]) -> list[Sequence[int]]:
        """Token ids of every text. Raises Invalid naming the text that is too long, empty or has no such token."""
        encode = self._model.tokenizer.encode
        texts: list[Sequence[int]] = [encode(each) if isinstance(each, str) else each for each in inputs]
        for at, text in enumerate(texts):
            self._check(text, f"input[{at}]")
        total = sum(map(len, texts))
        if total > MOST_TOKENS:
            raise Invalid(
                f"Invalid 'input': maximum request size is {MOST_TOKENS} tokens per request, but got {total} tokens.",
                field="input",
                code="max_tokens_per_request",
            )
        return texts

    def _check(self, text: Sequence[int], field: str) -> None:
        context, vocabulary = self.card.context, self._model.vocabulary
        if not text:
            raise Invalid(f"Invalid '{field}': the text has no tokens.", field=field, code="invalid_value")
        if len(text) > context:
            raise Invalid(
                f"Invalid '{field}': maximum context length is {context} tokens, but got {len(text)} tokens.",
                field=field,
                code="context_length_exceeded",
            )
        unknown = next((id for id in text if not 0 <= id < vocabulary), None)
        if unknown is not None:
            raise Invalid(f"Invalid '{field}': there is no token {unknown}.", field=field, code="invalid_value")

    async def _run(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        made = [b""] * len(texts)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for start in range(0, len(order), AT_ONCE):
            some = order[start : start + AT_ONCE]
            for at, vector in zip(some, await self._together([texts[at] for at in some]), strict=True):
                made[at] = vector
        return made

    async def _together(self, texts: Sequence[Sequence[int]]) -> list[bytes]:
        """Vectors of texts that are sent at once. Whatever ends this, none of them stays behind."""
        sent: dict[int, Answer] = {}
        try:
            for text in texts:
                id = self._process.next_id()
                sent[id] = await self._process.open(Text(id, text))
            return [(await answer.take())[0].vector for answer in sent.values()]
        finally:
            for id in sent:
                self._process.discard(id, finished=False)

    def _cut(self, made: Sequence[bytes], dimensions: int | None) -> tuple[Vector, ...]:
        """The vectors' first numbers, those of unit length brought to it again."""
        vectors = np.frombuffer(b"".join(made), "<f4").reshape(len(made), -1)
        if dimensions is not None and dimensions < vectors.shape[1]:
            vectors = vectors[:, :dimensions]
            if self._model.unit:
                vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return tuple(array("f", vector.astype(np.float32).tobytes()) for vector in vectors)
