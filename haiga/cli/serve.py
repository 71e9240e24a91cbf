"""`haiga serve`: the command. What it starts is in server.py."""

import typer

from haiga.cli.options import (
    Aliases,
    AllowFetch,
    AllowHost,
    BatchWindow,
    Cache,
    Config,
    Context,
    Cors,
    Database,
    DataDir,
    Dedupe,
    Drain,
    FileQuota,
    FileStorage,
    Host,
    KeepAudit,
    KeepBatches,
    KeepFiles,
    KeepResponses,
    KeepUsage,
    KvMemory,
    LogFormat,
    LogLevel,
    MemoryBudget,
    ModelPaths,
    NoStarter,
    NoWorker,
    Offline,
    Port,
    Prices,
    ResultCacheAge,
    ResultCacheOn,
    ResultCacheSize,
    Tags,
    ToolsPath,
    Weights,
    read_again,
    settings_from,
)


def serve(
    context_: typer.Context,
    config: Config = None,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    database: Database = None,
    models: ModelPaths = None,
    aliases: Aliases = None,
    tags: Tags = None,
    context: Context = None,
    kv_memory: KvMemory = None,
    memory_budget: MemoryBudget = None,
    weights: Weights = None,
    cache: Cache = None,
    starter: NoStarter = False,
    offline: Offline = False,
    cors: Cors = None,
    allow_host: AllowHost = None,
    allow_fetch: AllowFetch = None,
    tools: ToolsPath = None,
    batch_window: BatchWindow = None,
    result_cache: ResultCacheOn = False,
    result_cache_size: ResultCacheSize = None,
    result_cache_age: ResultCacheAge = None,
    drain: Drain = None,
    worker: NoWorker = False,
    dedupe: Dedupe = None,
    file_quota: FileQuota = None,
    file_storage: FileStorage = None,
    prices: Prices = None,
    keep_usage: KeepUsage = None,
    keep_audit: KeepAudit = None,
    keep_responses: KeepResponses = None,
    keep_batches: KeepBatches = None,
    keep_files: KeepFiles = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> None:
    """Serve the models over HTTP until stopped."""
    settings = settings_from(context_)
    import uvloop

    from haiga.cli.logs import log_on_stderr
    from haiga.cli.server import run_server

    with log_on_stderr(settings.log_format, settings.log_level):
        uvloop.run(run_server(settings, lambda: read_again(context_)))
