"""The settings, one table. Rule: a flag beats the environment beats the file beats the default; only the command line
reads this.

A new setting is a field of Settings and a row of TABLE; docs/settings.md has a heading for each.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from haiga.core.errors import Invalid
from haiga.core.hours import Window, parse_window


@dataclass(frozen=True, slots=True)
class Settings:
    """What `haiga serve` and the commands beside it can be told. Memory is bytes, `context` tokens, `drain` seconds.

    `models` are (name, source), `aliases` (pattern, name).
    """

    host: str
    port: int
    data_dir: Path
    database: str | None
    models: tuple[tuple[str, str], ...]
    aliases: tuple[tuple[str, str], ...]
    context: int | None
    kv_memory: int | None
    memory_budget: int | None
    weights: str | None
    cache: str | None
    starter: bool
    offline: bool
    cors: tuple[str, ...]
    allow_host: tuple[str, ...]
    allow_fetch: tuple[str, ...]
    tools: Path | None
    batch_window: tuple[Window, ...]
    result_cache: bool
    result_cache_size: int
    result_cache_age: float
    drain: float
    file_quota: int
    file_storage: int
    prices: Path | None
    keep_usage: float | None
    log_format: str
    log_level: str
    worker: bool
    dedupe: str
    url: str | None
    api_key: str | None
    hub: str
    hub_token: str | None

    @property
    def records(self) -> Path | str:
        """Where all that outlives the server is kept: a database's URL, or else a file of the data directory."""
        return self.database or self.data_dir / "haiga.db"

    @property
    def signing_key(self) -> Path:
        """The file of the secret by which the server knows again what it has signed."""
        return self.data_dir / "signing.key"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: its flag (None: told by the environment alone), how its text is read, what holds when nobody says
    anything, what it is for. `switch` is what a flag that takes no value says; no error repeats what is `secret`."""

    flag: str | None
    parse: Callable[[str], Any]
    default: str | None
    environment: str
    help: str
    metavar: str = ""
    switch: str | None = None
    secret: bool = False


_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_bytes(text: str) -> int:
    """A number of bytes: 512MiB, 4GB, 4g (K, M, G and T are powers of 1024)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?", text.strip().upper())
    if not match:
        raise ValueError("expected a size such as 4GB or 512MB")
    return int(float(match[1]) * _SIZES[match[2]])


def parse_count(text: str) -> int:
    """A number of tokens, at least 1: 32768, or 32k for 32 * 1024."""
    match = re.fullmatch(r"(\d+)([kK]?)", text.strip())
    if not match or int(match[1]) < 1:
        raise ValueError("expected a number such as 8192 or 32k")
    return int(match[1]) * (1024 if match[2] else 1)


def parse_seconds(text: str) -> float:
    """A time: 90, 30s, 15m, 12h, 30d."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    if not match:
        raise ValueError("expected a time such as 30s, 15m, 12h or 30d")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def parse_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """NAME=VALUE, several separated by commas."""
    pairs = tuple(tuple(part.strip() for part in item.split("=", 1)) for item in parse_list(text))
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise ValueError("expected NAME=VALUE")
    return tuple((pair[0], pair[1]) for pair in pairs)


def parse_list(text: str) -> tuple[str, ...]:
    """Items separated by commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def parse_windows(text: str) -> tuple[Window, ...]:
    """Windows of the day, separated by commas."""
    return tuple(map(parse_window, parse_list(text)))


def parse_switch(text: str) -> bool:
    if text.lower() not in {"1", "0", "true", "false", "yes", "no", "on", "off"}:
        raise ValueError("expected yes or no")
    return text.lower() in {"1", "true", "yes", "on"}


def parse_port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise ValueError("expected a port from 0 to 65535")
    return int(text)


def parse_url(text: str) -> str:
    """The address of a server, without a slash at its end."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not 0 <= (parts.port or 0) <= 65535:
        raise ValueError("expected an address such as http://127.0.0.1:8000")
    return text.rstrip("/")


def parse_database(text: str) -> str:
    """The URL of a PostgreSQL database, as libpq reads it."""
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("expected an address such as postgresql://user@host/name")
    return text


def parse_directory(text: str) -> Path:
    return Path(text).expanduser()


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser for a fixed set of words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return parse


TABLE: Mapping[str, Setting] = {
    "host": Setting(
        "--host",
        str,
        "127.0.0.1",
        "HAIGA_HOST",
        "Address to listen on; a public one needs an API key.",
        metavar="ADDRESS",
    ),
    "port": Setting(
        "--port", parse_port, "8000", "HAIGA_PORT", "Port to listen on; 0 takes a free one.", metavar="PORT"
    ),
    "data_dir": Setting(
        "--data-dir",
        parse_directory,
        "~/.local/share/haiga",
        "HAIGA_DATA_DIR",
        "Directory for the database, files, downloaded models and packed weights.",
        metavar="DIRECTORY",
    ),
    "database": Setting(
        "--database",
        parse_database,
        None,
        "HAIGA_DATABASE",
        "A PostgreSQL database for several servers and workers; by default SQLite in the data directory.",
        metavar="URL",
        secret=True,
    ),
    "models": Setting(
        "--model",
        parse_pairs,
        "",
        "HAIGA_MODEL",
        "Serve the model at this path under this name, beside those added with `haiga models add`; repeatable.",
        metavar="NAME=PATH",
    ),
    "aliases": Setting(
        "--alias",
        parse_pairs,
        "",
        "HAIGA_ALIAS",
        "Answer to names of this pattern with this model, as in 'claude-*=starter'; repeatable, first match wins.",
        metavar="PATTERN=NAME",
    ),
    "context": Setting(
        "--context",
        parse_count,
        None,
        "HAIGA_CONTEXT",
        "Longest context in tokens; by default the model's own.",
        metavar="TOKENS",
    ),
    "kv_memory": Setting(
        "--kv-memory",
        parse_bytes,
        None,
        "HAIGA_KV_MEMORY",
        "Memory for keys and values, per model; by default two full contexts, up to 2 GiB.",
        metavar="SIZE",
    ),
    "memory_budget": Setting(
        "--memory-budget",
        parse_bytes,
        None,
        "HAIGA_MEMORY_BUDGET",
        "Memory for all loaded models together; the least recently used one is unloaded to make room.",
        metavar="SIZE",
    ),
    "weights": Setting(
        "--weights",
        one_of("bf16", "int8", "int4"),
        None,
        "HAIGA_WEIGHTS",
        "Precision of the weights of models given by path; by default chosen by their size.",
        metavar="bf16|int8|int4",
    ),
    "cache": Setting(
        "--cache",
        one_of("f32", "bf16", "u8"),
        None,
        "HAIGA_CACHE",
        "Precision of keys and values; by default chosen with the weights.",
        metavar="f32|bf16|u8",
    ),
    "starter": Setting(
        "--no-starter",
        parse_switch,
        "yes",
        "HAIGA_STARTER",
        "Leave out the embedded starter model, which is otherwise the first in the list.",
        switch="no",
    ),
    "offline": Setting("--offline", parse_switch, "no", "HAIGA_OFFLINE", "Fetch nothing from anywhere.", switch="yes"),
    "cors": Setting(
        "--cors",
        parse_list,
        "",
        "HAIGA_CORS",
        "Web origins that may call the server from a browser, as in https://app.example; '*' for any; repeatable.",
        metavar="ORIGIN",
    ),
    "allow_host": Setting(
        "--allow-host",
        parse_list,
        "",
        "HAIGA_ALLOW_HOST",
        "Name besides localhost that a server without keys may be called by in the Host header; repeatable.",
        metavar="NAME",
    ),
    "allow_fetch": Setting(
        "--allow-fetch",
        parse_list,
        "",
        "HAIGA_ALLOW_FETCH",
        "Host inside your network that URLs in requests, webhooks and tools may lead to; others must be public;"
        " repeatable.",
        metavar="HOST[:PORT]",
    ),
    "tools": Setting(
        "--tools",
        parse_directory,
        None,
        "HAIGA_TOOLS",
        "A TOML or JSON file of tools that the server itself runs for models.",
        metavar="FILE",
    ),
    "batch_window": Setting(
        "--batch-window",
        parse_windows,
        "",
        "HAIGA_BATCH_WINDOW",
        "Time of the day in which lines of batches may begin, by the machine's own clock, as in 22:00-06:00; by default"
        " any; repeatable.",
        metavar="HH:MM-HH:MM",
    ),
    "result_cache": Setting(
        "--result-cache",
        parse_switch,
        "no",
        "HAIGA_RESULT_CACHE",
        "Answer what was asked before from the store, unless a request says `haiga-cache: off`; without this, lines of"
        " batches and requests that say `haiga-cache: on`.",
        switch="yes",
    ),
    "result_cache_size": Setting(
        "--result-cache-size",
        parse_bytes,
        "256MB",
        "HAIGA_RESULT_CACHE_SIZE",
        "Answers that are kept to be given again, in all; 0 for none.",
        metavar="SIZE",
    ),
    "result_cache_age": Setting(
        "--result-cache-age",
        parse_seconds,
        "7d",
        "HAIGA_RESULT_CACHE_AGE",
        "How long an answer is kept to be given again.",
        metavar="TIME",
    ),
    "drain": Setting(
        "--drain",
        parse_seconds,
        "30s",
        "HAIGA_DRAIN",
        "How long running requests may go on after SIGTERM or Ctrl-C; a second signal ends them at once.",
        metavar="TIME",
    ),
    "file_quota": Setting(
        "--file-quota",
        parse_bytes,
        "10GB",
        "HAIGA_FILE_QUOTA",
        "Files that one workspace may keep, all together.",
        metavar="SIZE",
    ),
    "file_storage": Setting(
        "--file-storage",
        parse_bytes,
        "100GB",
        "HAIGA_FILE_STORAGE",
        "Files that all workspaces may keep, all together.",
        metavar="SIZE",
    ),
    "prices": Setting(
        "--prices",
        parse_directory,
        None,
        "HAIGA_PRICES",
        "File of prices (TOML): what each model costs, in US dollars per million tokens.",
        metavar="FILE",
    ),
    "keep_usage": Setting(
        "--keep-usage",
        parse_seconds,
        None,
        "HAIGA_KEEP_USAGE",
        "How long it is kept what each request used; by default for ever.",
        metavar="TIME",
    ),
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
    "worker": Setting(
        "--no-worker",
        parse_switch,
        "yes",
        "HAIGA_WORKER",
        "Leave batches to `haiga worker` processes, which share the server's database.",
        switch="no",
    ),
    "dedupe": Setting(
        "--dedupe",
        one_of("all", "deterministic", "off"),
        "deterministic",
        "HAIGA_DEDUPE",
        "Which identical requests in batches are computed once, unless a batch says it by its haiga-dedupe header.",
        metavar="all|deterministic|off",
    ),
    "url": Setting(
        "--url",
        parse_url,
        None,
        "HAIGA_URL",
        "A running server to talk to, instead of loading a model here.",
        metavar="URL",
    ),
    "api_key": Setting(None, str, None, "HAIGA_API_KEY", "The API key for that server.", metavar="KEY", secret=True),
    "hub": Setting(
        None,
        parse_url,
        "https://huggingface.co",
        "HF_ENDPOINT",
        "The hub that `haiga models add org/name` downloads from.",
        metavar="URL",
    ),
    "hub_token": Setting(
        None, str, None, "HF_TOKEN", "Token for restricted repositories of that hub.", metavar="TOKEN", secret=True
    ),
}


@dataclass(frozen=True, slots=True)
class Said:
    """All that has been said, as text: by flags and the file under the settings' names, by the environment under its
    variables'. `path` is the file's."""

    flags: Mapping[str, str | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    def of(self, name: str) -> tuple[str, str | None]:
        """Where a setting comes from (a flag, a variable, a place in the file or "default"), and its text."""
        row = TABLE[name]
        if (text := self.flags.get(name)) is not None:
            return row.flag or name, text
        if text := self.environment.get(row.environment):
            return row.environment, text
        return (f"{self.path}: {name}", self.file[name]) if name in self.file else ("default", row.default)

    def value(self, name: str) -> Any:
        """A setting as it is read. Raises Invalid naming where it comes from."""
        row, (where, text) = TABLE[name], self.of(name)
        if text is None:
            return None
        try:
            return row.parse(text)
        except ValueError as problem:
            raise Invalid(str(problem) if row.secret else f"{problem}, not {text!r}", field=where) from None


def read_settings(
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    file: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> Settings:
    """Every setting from the flags given (by the setting's name), the environment, the file and the defaults.

    Raises Invalid naming the flag, the variable or the place in the file whose value does not fit.
    """
    said = Said(flags, environment, file or {}, path)
    return Settings(**{name: said.value(name) for name in TABLE})


def settings_page() -> str:
    """docs/settings.md."""
    return _HEAD + "\n".join(_section(name, setting) for name, setting in TABLE.items())


def _section(name: str, setting: Setting) -> str:
    flag = f"`{setting.flag} {setting.metavar}".rstrip() + "`, or the variable" if setting.flag else "Variable"
    default = f" Default: `{setting.default}`." if setting.default else ""
    return f"## {name}\n\n{flag} `{setting.environment}`. {setting.help}{default}\n"


_HEAD = """# Settings

A flag beats the environment, which beats the configuration file, which beats the default. In the environment several
values are separated by commas. The file is named by `--config` or the variable `HAIGA_CONFIG`; in it the settings have
the names of the headings here: see [operations](operations.md#the-configuration-file).
This page is written by `python -m haiga.config`.

"""

if __name__ == "__main__":
    print(settings_page(), end="")  # noqa: T201
