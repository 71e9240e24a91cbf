"""`haiga models`: the models that this server holds besides the starter."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from haiga.cli.acting import operator
from haiga.cli.options import Database, DataDir, Offline, Weights, settings_from
from haiga.cli.table import show_table
from haiga.config import Settings
from haiga.core.library import AddedModel

if TYPE_CHECKING:
    from haiga.services.library import Library, Progress

models = typer.Typer(help="The models in the library.", no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(help="The model's name.")]
T = TypeVar("T")


@models.command()
def add(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A directory (safetensors, OpenVINO IR, LoRA adapter, a model for pictures in diffusers' layout), a"
            " GGUF file, or org/name[@revision] of the hub."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="Its name here; by default the source's last part.")] = None,
    base: Annotated[
        str | None, typer.Option(help="The model that an adapter is for; by default the one it names itself.")
    ] = None,
    weights: Weights = None,
    offline: Offline = False,
    data_dir: DataDir = None,
    database: Database = None,
) -> None:
    """Add a model or a LoRA adapter: download it if need be, check it, and pack and compile it once."""
    settings = settings_from(context)
    chosen = name or Path(source.partition("@")[0]).expanduser().resolve().name.removesuffix(".gguf")
    weights = None if _paints(source) else settings.weights  # pictures' models are kept as they are
    with _progress() as progress:
        added = _with_library(settings, lambda library: library.add(chosen, source, weights, progress, base))
    typer.echo(f"added {added.name} ({added.path}); a server started from now on serves it", err=True)


@models.command("list")
def list_models(context: typer.Context, data_dir: DataDir = None, database: Database = None) -> None:
    """Show the models in the library."""
    found = _with_library(settings_from(context), lambda library: library.list())
    if not found:
        typer.echo("no models; add one with `haiga models add SOURCE`", err=True)
        return
    rows = [(model.name, model.weights or "auto", _size(model), _day(model), model.source) for model in found]
    show_table(("name", "weights", "size", "added", "source"), rows)


@models.command()
def show(context: typer.Context, name: Name, data_dir: DataDir = None, database: Database = None) -> None:
    """Show one model: what it is made of, and what it takes to run it with the settings that hold."""
    settings = settings_from(context)
    model = _with_library(settings, lambda library: library.show(name))
    for label, value in (
        ("name", model.name),
        ("source", model.source),
        ("path", model.path),
        ("weights", model.weights or "auto"),
        ("size", _size(model)),
        ("added", _day(model)),
        *_portrait(model, settings),
    ):
        typer.echo(f"{label:20} {value}")


@models.command()
def remove(context: typer.Context, name: Name, data_dir: DataDir = None, database: Database = None) -> None:
    """Remove a model; downloaded files are deleted, files of your own are left alone."""
    deleted = _with_library(settings_from(context), lambda library: library.remove(name))
    typer.echo(f"removed {name}{' and its files' if deleted else ''}", err=True)


def _with_library(settings: Settings, work: "Callable[[Library], Awaitable[T]]") -> T:
    async def run() -> T:
        async with _library(settings) as library:
            return await work(library)

    return asyncio.run(run())


@asynccontextmanager
async def _library(settings: Settings) -> "AsyncIterator[Library]":
    from huggingface_hub import get_token

    from haiga.services.library import Hub, Library
    from haiga.stores.connect import connect
    from haiga.stores.models import DatabaseModels

    async def prepare(path: Path, weights: str | None, progress: "Progress") -> None:
        from haiga.cli.engines import prepare_engine

        await prepare_engine(path, weights, settings, progress)

    def forget(path: Path) -> None:
        from haiga.cli.engines import forget_packed

        forget_packed(path, settings)

    async def fit(path: Path, name: str, base: Path | None) -> None:
        from haiga.cli.adapters import check_adapter

        await asyncio.to_thread(check_adapter, path, base)

    # without HF_TOKEN, whoever has logged in to the hub with its own tools stays logged in
    hub = None if settings.offline else Hub(settings.hub, settings.hub_token or get_token())
    async with connect(settings.records) as database:
        store, downloads = DatabaseModels(database), settings.data_dir / "models"
        named = ("starter", "starter-image")
        yield Library(store, downloads, hub, prepare, forget, named, operator(), trained_on, fit)


def trained_on(path: Path) -> str | None:
    """What the adapter at a path says that it was trained on, None for a model."""
    from haiga.models.adapters import is_adapter, read_base

    return (read_base(path) or "") if is_adapter(path) else None


@contextmanager
def _progress() -> "Iterator[Progress]":
    """A bar on a terminal's stderr: what is being done, and how far it is when that is known."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None)


def _paints(path: str) -> bool:
    from haiga.cli.painters import names_pipeline

    return names_pipeline(path)


def _size(model: AddedModel) -> str:
    from haiga.models.gguf import is_gguf, part_files

    path = Path(model.path)
    if not path.exists():
        return "missing"
    files = part_files(path) if is_gguf(path) else path.rglob("*") if _paints(model.path) else path.iterdir()
    size = sum(file.stat().st_size for file in files if file.is_file())
    return _bytes(size)


def _bytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def _portrait(model: AddedModel, settings: Settings) -> "Iterator[tuple[str, str]]":
    """What the model's files say; nothing where they are gone."""
    from haiga.cli.engines import portray_model

    if not Path(model.path).exists():
        return
    if model.base is not None:
        yield from _adapter(model)
        return
    if _paints(model.path):
        yield from _pipeline(Path(model.path))
        return
    found = portray_model(Path(model.path), model.weights, settings)
    yield "family", found.family
    if found.parts:
        active = f", {_count(found.active)} active" if found.experts else ""
        yield "parameters", _count(found.parameters) + active
    if found.experts:
        yield "experts", f"{found.chosen} of {found.experts} in a layer"
    yield (
        "runs as",
        f"{found.weights}, cache {found.cache}" if found.kv_bytes or found.local_kv_bytes else found.weights,
    )
    for part in found.parts:
        yield part.name, f"{_bytes(part.size)} ({_count(part.parameters)})"
    if found.kv_bytes:
        yield "cache", f"{found.kv_bytes:,} bytes a token"
    if found.local_kv_bytes:
        yield "cache, local layers", f"{found.local_kv_bytes:,} bytes a token, of the last ones alone"
    yield "context", f"{found.context:,} tokens of {found.trained:,}"


def _pipeline(path: Path) -> "Iterator[tuple[str, str]]":
    from haiga.engines.diffusers.opening import parts_of

    family, parts = parts_of(path)
    yield "family", f"{family}, makes pictures"
    for name, size in parts.items():
        yield name, _bytes(size)


def _adapter(model: AddedModel) -> "Iterator[tuple[str, str]]":
    from haiga.models.adapters import read_lora
    from haiga.models.adapters.config import WEIGHTS
    from haiga.models.weights.checkpoint import read_header

    lora, tensors = read_lora(Path(model.path)), read_header(Path(model.path) / WEIGHTS).values()
    yield "family", f"LoRA adapter of {model.base}"
    yield "parameters", _count(sum(prod(tensor.shape) for tensor in tensors))
    yield "rank", f"{lora.rank}"
    yield "layers", f"{len(tensors) // 2}"


def _count(parameters: int) -> str:
    for unit, letter in ((10**9, "B"), (10**6, "M")):
        if parameters >= unit:
            return f"{parameters / unit:.1f} {letter}"
    return f"{parameters:,}"


def _day(model: AddedModel) -> str:
    return datetime.fromtimestamp(model.added_at, UTC).strftime("%Y-%m-%d")
