"""Settings of how long things are kept."""

from collections.abc import Mapping

from haiga.config.parsing import parse_seconds
from haiga.config.setting import Setting

KEEPING: Mapping[str, Setting] = {
    "keep_usage": Setting(
        "--keep-usage",
        parse_seconds,
        None,
        "HAIGA_KEEP_USAGE",
        "How long it is kept what each request used; by default for ever.",
        metavar="TIME",
    ),
    "keep_audit": Setting(
        "--keep-audit",
        parse_seconds,
        None,
        "HAIGA_KEEP_AUDIT",
        "How long the audit log is kept; by default for ever.",
        metavar="TIME",
    ),
    "keep_responses": Setting(
        "--keep-responses",
        parse_seconds,
        "30d",
        "HAIGA_KEEP_RESPONSES",
        "How long responses and chat completions are kept; conversations, from their last change.",
        metavar="TIME",
    ),
    "keep_batches": Setting(
        "--keep-batches",
        parse_seconds,
        "29d",
        "HAIGA_KEEP_BATCHES",
        "How long the requests and results of a batch are kept from when it was made.",
        metavar="TIME",
    ),
    "keep_files": Setting(
        "--keep-files",
        parse_seconds,
        None,
        "HAIGA_KEEP_FILES",
        "How long a file is kept at most; by default until it is deleted or its own time is over.",
        metavar="TIME",
    ),
}
