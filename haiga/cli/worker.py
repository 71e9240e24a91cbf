"""`haiga worker`: the command. What it starts is in working.py."""

import typer

from haiga.cli.options import Config, read_again, settings_from, with_settings


@with_settings(
    "data_dir",
    "database",
    "models",
    "adapters",
    "adapter_slots",
    "aliases",
    "tags",
    "context",
    "kv_memory",
    "kv_disk",
    "memory_budget",
    "weights",
    "cache",
    "starter",
    "offline",
    "allow_fetch",
    "batch_window",
    "result_cache_size",
    "result_cache_age",
    "tools",
    "routes",
    "image_size",
    "image_side",
    "image_side_many",
    "images",
    "image_edge",
    "pdf_pages",
    "pdf_edge",
    "prices",
    "keep_usage",
    "keep_batches",
    "keep_files",
    "moderation",
    "policies",
    "moderation_classifier",
    "moderation_thresholds",
    "moderation_judge",
    "moderation_failure",
    "moderation_timeout",
    "moderation_texts",
    "log_format",
    "log_level",
    "trace",
    "trace_content",
)
def worker(context_: typer.Context, config: Config = None, **flags: object) -> None:
    """Run the lines of batches until stopped, beside servers and other workers."""
    settings = settings_from(context_)
    from haiga.cli.logged import run_logged
    from haiga.cli.working import run_worker

    run_logged(settings, run_worker(settings, lambda: read_again(context_)))
