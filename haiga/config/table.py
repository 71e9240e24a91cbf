"""Every setting, one table.

Rule: a new setting is a field of Settings and a row of TABLE or of a part of it, and has a heading in docs/settings.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from haiga.config.intake import INTAKE
from haiga.config.keeping import KEEPING
from haiga.config.moderation import MODERATION
from haiga.config.outward import OUTWARD
from haiga.config.painting import PAINTING
from haiga.config.parsing import (
    one_of,
    parse_bytes,
    parse_database,
    parse_directory,
    parse_list,
    parse_port,
    parse_seconds,
    parse_switch,
    parse_windows,
)
from haiga.config.running import RUNNING
from haiga.config.setting import Setting
from haiga.config.watching import WATCHING
from haiga.core.hours import Window


@dataclass(frozen=True, slots=True)
class Settings:
    """What `haiga serve` and the commands beside it can be told. Memory is bytes, `context` tokens, `drain` seconds.

    `models` are (name, source), `adapters` (name, base:source), `aliases` (pattern, name), `tags` (pattern, tag).
    """

    host: str
    port: int
    data_dir: Path
    database: str | None
    models: tuple[tuple[str, str], ...]
    adapters: tuple[tuple[str, str], ...]
    adapter_slots: int
    aliases: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]
    context: int | None
    kv_memory: int | None
    kv_disk: int
    max_queue: int
    memory_budget: int | None
    weights: str | None
    cache: str | None
    starter: bool
    offline: bool
    cors: tuple[str, ...]
    allow_host: tuple[str, ...]
    allow_fetch: tuple[str, ...]
    tools: Path | None
    routes: Path | None
    batch_window: tuple[Window, ...]
    result_cache: bool
    result_cache_size: int
    result_cache_age: float
    drain: float
    worker: bool
    dedupe: str
    file_quota: int
    file_storage: int
    image_size: int
    image_side: int
    image_side_many: int
    images: int
    image_edge: int
    pdf_pages: int
    pdf_edge: int
    prices: Path | None
    keep_usage: float | None
    keep_audit: float | None
    keep_responses: float
    keep_batches: float
    keep_files: float | None
    image_shelf: Path | None
    image_pickles: bool
    image_styles: Path | None
    image_device: str
    image_dtype: str
    image_offload: str
    image_tiling: str
    image_slicing: str
    image_attention: str
    image_quantised: str
    image_denoiser: str
    image_decoder: str
    image_jobs: int
    keep_images: float
    moderation: str | None
    policies: Path | None
    moderation_classifier: str | None
    moderation_thresholds: tuple[tuple[str, float], ...]
    moderation_judge: str | None
    moderation_failure: str
    moderation_timeout: float
    moderation_texts: bool
    log_format: str
    log_level: str
    trace: str | None
    trace_content: bool
    url: str | None
    api_key: str | None
    hub: str
    hub_token: str | None

    @property
    def records(self) -> Path | str:
        """Where all that outlives the server is kept: a database's URL, or else a file of the data directory."""
        return self.database or self.data_dir / "haiga.db"

    @property
    def server(self) -> str:
        """The running server that those commands talk to which load no model: by default one on this machine."""
        return self.url or f"http://{TABLE['host'].default}:{TABLE['port'].default}"

    @property
    def cold(self) -> Path:
        """The directory of keys and values that outlast the memory."""
        return self.data_dir / "kv"

    @property
    def shelf(self) -> Path:
        """The folder of what requests for pictures can name."""
        return self.image_shelf or self.data_dir / "shelf"

    @property
    def signing_key(self) -> Path:
        """The file of the secret by which the server knows again what it has signed."""
        return self.data_dir / "signing.key"


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
    **RUNNING,
    "offline": Setting("--offline", parse_switch, "no", "HAIGA_OFFLINE", "Fetch nothing from anywhere.", switch="yes"),
    "cors": Setting(
        "--cors",
        parse_list,
        "",
        "HAIGA_CORS",
        "Web origins that may call the server from a browser, as in https://app.example; '*' for any; repeatable.",
        metavar="ORIGIN",
        many=True,
    ),
    "allow_host": Setting(
        "--allow-host",
        parse_list,
        "",
        "HAIGA_ALLOW_HOST",
        "Name besides localhost that a server without keys may be called by in the Host header; repeatable.",
        metavar="NAME",
        many=True,
    ),
    "allow_fetch": Setting(
        "--allow-fetch",
        parse_list,
        "",
        "HAIGA_ALLOW_FETCH",
        "Host inside your network that URLs in requests, webhooks and tools may lead to; others must be public;"
        " repeatable.",
        metavar="HOST[:PORT]",
        many=True,
    ),
    "tools": Setting(
        "--tools",
        parse_directory,
        None,
        "HAIGA_TOOLS",
        "A TOML or JSON file of tools that the server itself runs for models.",
        metavar="FILE",
    ),
    "routes": Setting(
        "--routes",
        parse_directory,
        None,
        "HAIGA_ROUTES",
        "A TOML file of routes: names behind which several models stand, here or at upstreams.",
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
        many=True,
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
    **INTAKE,
    "prices": Setting(
        "--prices",
        parse_directory,
        None,
        "HAIGA_PRICES",
        "File of prices (TOML): what each model costs, in US dollars per million tokens.",
        metavar="FILE",
    ),
    **KEEPING,
    **PAINTING,
    **MODERATION,
    **WATCHING,
    **OUTWARD,
}
