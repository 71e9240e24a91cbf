"""What `haiga image` shows while it waits."""

from typing import Any

from rich.progress import Progress

from haiga.cli.drawing import _show


def job(status: str, step: int | None = None) -> dict[str, Any]:
    progress = None if step is None else {"step": step, "steps": 8}
    return {"status": status, "progress": progress, "eta": None, "position": 0}


def test_the_bar_is_full_once_the_job_is_done_and_stays_where_it_was_when_it_failed() -> None:
    ends = {}
    for status in ("done", "failed"):
        bar = Progress(disable=True)
        task = bar.add_task("waiting", total=None)
        for each in (job("queued"), job("running", 7), job(status)):
            _show(bar, task, each)
        ends[status] = (bar.tasks[task].completed, bar.tasks[task].total)
    assert {"done": (8, 8), "failed": (7, 8)} == ends
