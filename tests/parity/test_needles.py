"""A needle is found wherever it lies in a long text, while local layers keep no more than they see. The same, over a
million tokens, is `python -m bench needle --needle 1000000`."""

from pathlib import Path

from bench import needle


def test_every_needle_is_found_and_only_the_layers_that_see_everything_grow(tmp_path: Path) -> None:
    points = needle.run(12_000, tmp_path, pieces=3)
    assert [point.asked for point in points] == [point.found for point in points]
    assert [needle.KEYS, 12_000 * 128] == [points[-1].asked, points[-1].whole]  # a head of 16: keys and values in f32
    chunk_and_step = (needle.CHUNK + needle.BUDGET) // 32 + 2
    assert all(point.near <= chunk_and_step * 32 * 3 * 128 for point in points)
