"""`haiga worker`: the command. What it starts is in working.py."""

import typer

from haiga.cli.options import (
    Aliases,
    AllowFetch,
    BatchWindow,
    Cache,
    Config,
    Context,
    Database,
    DataDir,
    ImageEdge,
    Images,
    ImageSide,
    ImageSideMany,
    ImageSize,
    KeepBatches,
    KeepFiles,
    KeepUsage,
    KvDisk,
    KvMemory,
    LogFormat,
    LogLevel,
    MemoryBudget,
    ModelPaths,
    NoStarter,
    Offline,
    PdfEdge,
    PdfPages,
    Prices,
    ResultCacheAge,
    ResultCacheSize,
    Tags,
    ToolsPath,
    Weights,
    read_again,
    settings_from,
)


def worker(
    context_: typer.Context,
    config: Config = None,
    data_dir: DataDir = None,
    database: Database = None,
    models: ModelPaths = None,
    aliases: Aliases = None,
    tags: Tags = None,
    context: Context = None,
    kv_memory: KvMemory = None,
    kv_disk: KvDisk = None,
    memory_budget: MemoryBudget = None,
    weights: Weights = None,
    cache: Cache = None,
    starter: NoStarter = False,
    offline: Offline = False,
    allow_fetch: AllowFetch = None,
    batch_window: BatchWindow = None,
    result_cache_size: ResultCacheSize = None,
    result_cache_age: ResultCacheAge = None,
    tools: ToolsPath = None,
    image_size: ImageSize = None,
    image_side: ImageSide = None,
    image_side_many: ImageSideMany = None,
    images: Images = None,
    image_edge: ImageEdge = None,
    pdf_pages: PdfPages = None,
    pdf_edge: PdfEdge = None,
    prices: Prices = None,
    keep_usage: KeepUsage = None,
    keep_batches: KeepBatches = None,
    keep_files: KeepFiles = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> None:
    """Run the lines of batches until stopped, beside servers and other workers."""
    settings = settings_from(context_)
    import uvloop

    from haiga.cli.logs import log_on_stderr
    from haiga.cli.working import run_worker

    with log_on_stderr(settings.log_format, settings.log_level):
        uvloop.run(run_worker(settings, lambda: read_again(context_)))
