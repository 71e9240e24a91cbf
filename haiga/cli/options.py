"""Flags out of the settings table, and settings out of flags."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from haiga.cli.configuration import read_file
from haiga.config import TABLE, Said, Settings, read_settings
from haiga.core.errors import Invalid


def option(name: str) -> Any:
    """The typer option of one setting; its default is told in the help and applied by `read_settings`."""
    row = TABLE[name]
    told = f"{row.help} [default: {row.default}]" if row.default and not row.switch else row.help
    return typer.Option(row.flag, help=told, metavar=row.metavar or None, show_default=False)


def settings_from(context: typer.Context) -> Settings:
    """The settings under the flags of the command that runs; a bad one ends the program with exit code 2."""
    try:
        return read_again(context)
    except Invalid as error:
        typer.echo(f"haiga: {error}", err=True)
        raise typer.Exit(2) from None


def read_again(context: typer.Context) -> Settings:
    """The settings as flags, environment and file say them now. Raises Invalid."""
    said = said_to(context)
    return read_settings(said.flags, said.environment, said.file, said.path)


def said_to(context: typer.Context) -> Said:
    """What the command that runs was told, in all ways. Raises Invalid for a file that cannot be read."""
    flags = {name: _text(name, value) for name, value in context.params.items()}
    named = context.params.get("config") or os.environ.get("HAIGA_CONFIG")
    path = Path(named).expanduser() if named else None
    return Said(flags, os.environ, read_file(path) if path else {}, path)


def _text(name: str, value: object) -> str | None:
    """A flag's value as text; None for one that was not given."""
    if not value or name not in TABLE:
        return None
    if isinstance(value, list | tuple):
        return ",".join(value)
    return TABLE[name].switch if value is True else str(value)


One = str | None
Many = list[str] | None

Config = Annotated[
    One, typer.Option("--config", help="A TOML file of settings, by the names of docs/settings.md.", metavar="FILE")
]
Host = Annotated[One, option("host")]
Port = Annotated[One, option("port")]
DataDir = Annotated[One, option("data_dir")]
Database = Annotated[One, option("database")]
ModelPaths = Annotated[Many, option("models")]
AdapterPaths = Annotated[Many, option("adapters")]
AdapterSlots = Annotated[One, option("adapter_slots")]
Aliases = Annotated[Many, option("aliases")]
Tags = Annotated[Many, option("tags")]
Context = Annotated[One, option("context")]
KvMemory = Annotated[One, option("kv_memory")]
KvDisk = Annotated[One, option("kv_disk")]
MaxQueue = Annotated[One, option("max_queue")]
MemoryBudget = Annotated[One, option("memory_budget")]
Weights = Annotated[One, option("weights")]
Cache = Annotated[One, option("cache")]
NoStarter = Annotated[bool, option("starter")]
Offline = Annotated[bool, option("offline")]
Cors = Annotated[Many, option("cors")]
AllowHost = Annotated[Many, option("allow_host")]
AllowFetch = Annotated[Many, option("allow_fetch")]
ToolsPath = Annotated[One, option("tools")]
RoutesPath = Annotated[One, option("routes")]
BatchWindow = Annotated[Many, option("batch_window")]
ResultCacheOn = Annotated[bool, option("result_cache")]
ResultCacheSize = Annotated[One, option("result_cache_size")]
ResultCacheAge = Annotated[One, option("result_cache_age")]
Drain = Annotated[One, option("drain")]
FileQuota = Annotated[One, option("file_quota")]
FileStorage = Annotated[One, option("file_storage")]
ImageSize = Annotated[One, option("image_size")]
ImageSide = Annotated[One, option("image_side")]
ImageSideMany = Annotated[One, option("image_side_many")]
Images = Annotated[One, option("images")]
ImageEdge = Annotated[One, option("image_edge")]
PdfPages = Annotated[One, option("pdf_pages")]
PdfEdge = Annotated[One, option("pdf_edge")]
Prices = Annotated[One, option("prices")]
KeepUsage = Annotated[One, option("keep_usage")]
KeepAudit = Annotated[One, option("keep_audit")]
KeepResponses = Annotated[One, option("keep_responses")]
KeepBatches = Annotated[One, option("keep_batches")]
KeepFiles = Annotated[One, option("keep_files")]
ImageShelf = Annotated[One, option("image_shelf")]
ImagePickles = Annotated[bool, option("image_pickles")]
ImageStyles = Annotated[One, option("image_styles")]
ImageDevice = Annotated[One, option("image_device")]
ImageDtype = Annotated[One, option("image_dtype")]
ImageOffload = Annotated[One, option("image_offload")]
ImageTiling = Annotated[One, option("image_tiling")]
ImageSlicing = Annotated[One, option("image_slicing")]
ImageAttention = Annotated[One, option("image_attention")]
ImageQuantised = Annotated[One, option("image_quantised")]
ImageDenoiser = Annotated[One, option("image_denoiser")]
ImageDecoder = Annotated[One, option("image_decoder")]
ImageJobs = Annotated[One, option("image_jobs")]
KeepImages = Annotated[One, option("keep_images")]
LogFormat = Annotated[One, option("log_format")]
LogLevel = Annotated[One, option("log_level")]
Trace = Annotated[One, option("trace")]
TraceContent = Annotated[bool, option("trace_content")]
NoWorker = Annotated[bool, option("worker")]
Dedupe = Annotated[One, option("dedupe")]
Moderation = Annotated[One, option("moderation")]
PoliciesFile = Annotated[One, option("policies")]
ModerationClassifier = Annotated[One, option("moderation_classifier")]
ModerationThresholds = Annotated[Many, option("moderation_thresholds")]
ModerationJudge = Annotated[One, option("moderation_judge")]
ModerationFailure = Annotated[One, option("moderation_failure")]
ModerationTimeout = Annotated[One, option("moderation_timeout")]
ModerationTexts = Annotated[bool, option("moderation_texts")]
Url = Annotated[One, option("url")]
