"""Settings of what the server tells those who watch over it: log and traces."""

from collections.abc import Mapping

from haiga.config.parsing import one_of, parse_switch, parse_url
from haiga.config.setting import Setting

WATCHING: Mapping[str, Setting] = {
    "log_format": Setting(
        "--log-format",
        one_of("text", "json"),
        "text",
        "HAIGA_LOG_FORMAT",
        "How the log on standard error is written: for people, or one JSON object a line.",
        metavar="text|json",
    ),
    "log_level": Setting(
        "--log-level",
        one_of("debug", "info", "warning", "error"),
        "info",
        "HAIGA_LOG_LEVEL",
        "What the log tells at least; `info` has a line for each request.",
        metavar="debug|info|warning|error",
    ),
    "trace": Setting(
        "--trace",
        parse_url,
        None,
        "HAIGA_TRACE",
        "Send OpenTelemetry traces to the collector at this address, over OTLP/HTTP.",
        metavar="URL",
    ),
    "trace_content": Setting(
        "--trace-content",
        parse_switch,
        "no",
        "HAIGA_TRACE_CONTENT",
        "Say in traces what was asked and answered, too.",
        switch="yes",
    ),
}
