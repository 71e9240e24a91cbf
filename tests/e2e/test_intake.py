"""Many requests on their way in take no more memory than a few: the server's own process, as the system counts it."""

from pathlib import Path

from bench import intake

LINES, SIZE = 3000, 20_000  # some 60 MB
MOST = 36 << 20  # bytes above idle: what threads, pieces and caches take, whatever the number of lines


def test_neither_a_body_nor_a_file_of_requests_is_ever_held_whole(tmp_path: Path) -> None:
    data = intake.request_file(tmp_path / "lines.jsonl", LINES, SIZE)
    assert data.stat().st_size > 1.5 * MOST
    with intake.serving(tmp_path / "data") as server:
        few = intake.request_file(tmp_path / "few.jsonl", 100)
        intake.by_body(server, 100), intake.by_file(server, few)  # whatever is made once is made
        for figure in (intake.by_body(server, LINES, SIZE), intake.by_file(server, data)):
            assert figure.memory < MOST, figure
