"""The engine process for embeddings: exact, counted, killed, closed. Real processes with tiny models."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from haiga.core.embedding import EmbeddingRequest, Embeddings
from haiga.core.errors import Busy, Dead, Invalid
from haiga.engines.native.embedder import NativeEmbedder
from haiga.engines.native.opening import Found, NativeOptions, open_embedder, open_engine
from haiga.text.tokenizer import Tokenizer
from tests.checkpoints import make_embedder
from tests.served import make_model, write_tokenizer

TEXTS = ("an old pond", "a frog jumps in " * 9, "plop")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_embedder(tmp_path_factory.mktemp("encoder"), "bert", vocab_size=261)
    write_tokenizer(made)
    return made


@pytest.fixture
async def embedder(directory: Path) -> AsyncIterator[NativeEmbedder]:
    embedder = open_embedder(Found.at("mini", directory, created=0), NativeOptions())
    await embedder.start()
    yield embedder
    await embedder.close()


def asking(*texts: str | tuple[int, ...], dimensions: int | None = None) -> EmbeddingRequest:
    return EmbeddingRequest("mini", texts, dimensions=dimensions)


async def embed(embedder: NativeEmbedder, request: EmbeddingRequest) -> Embeddings:
    async with asyncio.timeout(30):
        return await embedder.embed(request)


async def long_one(embedder: NativeEmbedder) -> asyncio.Task[Embeddings]:
    """A large request, under way."""
    task = asyncio.create_task(embed(embedder, asking(*["x" * 400] * 600)))
    while not embedder.process.in_flight:
        await asyncio.sleep(0.001)
    return task


def mean_vectors(directory: Path, texts: list[list[int]]) -> list[np.ndarray]:
    """By hand: transformers' states, their mean, at unit length."""
    model = AutoModel.from_pretrained(directory, attn_implementation="eager").eval()
    with torch.no_grad():
        means = [model(torch.tensor([text])).last_hidden_state[0].numpy().mean(0) for text in texts]
    return [mean / np.linalg.norm(mean) for mean in means]


async def test_vectors_are_transformers_in_the_order_asked_and_tokens_are_counted(
    embedder: NativeEmbedder, directory: Path
) -> None:
    tokenizer = Tokenizer.load(directory)
    texts = [tokenizer.encode(text) for text in TEXTS] + [[9, 8, 7]]
    made = await embed(embedder, asking(*TEXTS, (9, 8, 7)))
    np.testing.assert_allclose([list(v) for v in made.vectors], mean_vectors(directory, texts), atol=1e-4)
    assert sum(map(len, texts)) == made.tokens


async def test_many_texts_at_once_are_what_each_is_alone(embedder: NativeEmbedder) -> None:
    texts = [chr(97 + n % 26) * (1 + n * 7 % 90) for n in range(150)]
    together = await asyncio.gather(*(embed(embedder, asking(*texts[at::3])) for at in range(3)))
    alone = await embed(embedder, asking(texts[6]))
    np.testing.assert_allclose(together[0].vectors[2], alone.vectors[0], atol=1e-5)
    assert 0 == embedder.process.in_flight


async def test_fewer_dimensions_are_the_first_at_unit_length(embedder: NativeEmbedder) -> None:
    whole = np.array((await embed(embedder, asking("a frog"))).vectors[0])
    part = (await embed(embedder, asking("a frog", dimensions=5))).vectors[0]
    np.testing.assert_allclose(part, whole[:5] / np.linalg.norm(whole[:5]), atol=1e-6)


@pytest.mark.parametrize(
    ("texts", "field", "message"),
    [
        (("a", "x" * 513), r"input\[1\]", "maximum context length is 512 tokens, but got 513 tokens"),
        (((5, 261),), r"input\[0\]", "there is no token 261"),
        (("x" * 500,) * 601, "input", "maximum request size is 300000 tokens"),
    ],
)
async def test_what_is_refused_is_named(
    embedder: NativeEmbedder, texts: tuple[str, ...], field: str, message: str
) -> None:
    with pytest.raises(Invalid, match=f"{field}.*{message}"):
        await embed(embedder, asking(*texts))


async def test_a_killed_process_ends_its_requests_cleanly_and_comes_back(embedder: NativeEmbedder) -> None:
    expected = await embed(embedder, asking("again"))
    task = await long_one(embedder)
    assert embedder.process.pid is not None
    os.kill(embedder.process.pid, signal.SIGKILL)
    with pytest.raises(Dead, match="stopped unexpectedly"):
        await task
    assert expected == await embed(embedder, asking("again"))


async def test_a_request_given_up_leaves_nothing_behind(embedder: NativeEmbedder) -> None:
    task = await long_one(embedder)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (0, 0) == (embedder.process.in_flight, embedder.busy)


async def test_a_full_queue_says_come_back(directory: Path) -> None:
    full = open_embedder(Found.at("mini", directory, created=0), NativeOptions(queue=0))
    with pytest.raises(Busy, match="queue"):
        await full.embed(asking("a"))


async def test_a_decoder_of_text_makes_embeddings_out_of_the_same_packed_weights(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "decoder")
    options = NativeOptions(weights="bf16", cache_dir=tmp_path / "packed")
    engine = open_engine(Found.at("tiny", directory, created=0), options)
    assert engine.embedder is not None
    await engine.embedder.start()
    made = await embed(engine.embedder, asking("a frog", "a pond"))
    await engine.embedder.close()
    await engine.start()
    await engine.close()
    assert (64, [64, 64]) == (engine.card.dimensions, [len(vector) for vector in made.vectors])
    assert not Found.at("m", directory, 0).embeds_alone


def test_an_encoder_and_a_sentence_model_make_embeddings_alone(directory: Path, tmp_path: Path) -> None:
    assert Found.at("m", directory, 0).embeds_alone
    decoder = make_model(tmp_path)
    (decoder / "modules.json").write_text("[]")
    assert Found.at("m", decoder, 0).embeds_alone


def test_a_text_is_as_long_as_the_files_allow(directory: Path, tmp_path: Path) -> None:
    roberta = make_embedder(tmp_path, "roberta", vocab_size=261, pad_token_id=1, max_position_embeddings=66)
    write_tokenizer(roberta)
    assert 64 == open_embedder(Found.at("r", roberta, created=0), NativeOptions()).card.context
    (roberta / "sentence_bert_config.json").write_text('{"max_seq_length": 40}')
    assert 40 == open_embedder(Found.at("r", roberta, created=0), NativeOptions()).card.context
