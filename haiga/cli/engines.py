"""Composition: the models that settings and library name, as engines behind one way to ask them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from haiga.cli.adapters import Engines, names_adapter, open_adapters, open_over
from haiga.cli.painters import STARTER_IMAGE, names_pipeline, open_painter, prepare_painter, starter_painters
from haiga.cli.upstream import key_of
from haiga.config import Settings
from haiga.core.errors import HaigaError, Invalid, NotFound, Unsupported
from haiga.core.library import AddedModel
from haiga.core.upstreams import Upstream
from haiga.engines.diffusers.engine import DiffusersEngine
from haiga.engines.native.adapted import AdaptedEngine
from haiga.engines.native.embedder import NativeEmbedder
from haiga.engines.native.engine import NativeEngine
from haiga.engines.native.opening import Found, NativeOptions, open_engine, open_model, pack
from haiga.engines.upstream import Upstreams
from haiga.services.adapters import Adapters
from haiga.services.library import Progress, local_model
from haiga.services.models import Models
from haiga.starter import text_path

if TYPE_CHECKING:
    from haiga.engines.native.portrait import Portrait
    from haiga.models.load import CacheType
    from haiga.models.weights import Packing

STARTER = "starter"
STARTER_CREATED = 1795305600  # 2026-11-22, the day this starter was trained


@dataclass(frozen=True, slots=True)
class Offer:
    """What runs the models, by name in the order they were named, those that run elsewhere, the aliases, the models
    made of all, and the adapters over them."""

    engines: dict[str, NativeEngine | NativeEmbedder | AdaptedEngine | DiffusersEngine]
    away: Upstreams
    aliases: tuple[tuple[str, str], ...]
    models: Models
    adapters: Adapters


@asynccontextmanager
async def offer(
    settings: Settings, library: Sequence[AddedModel], upstreams: Sequence[Upstream], warn: Callable[[str], None]
) -> AsyncIterator[Offer]:
    """Starter, then --model, then the library; all unloaded when the block ends. Upstreams come last. Of the models
    that make pictures the starter's is last, so that who brings one gets it without naming it.

    A model of the library that cannot be opened, or an upstream without its key, is left out with a warning; anything
    the settings name must stand.
    Raises Invalid.
    """
    engines: dict[str, NativeEngine | NativeEmbedder] = {}
    if settings.starter:
        engines[STARTER] = _starter(settings)
    embedded = starter_painters(tags_of(settings, STARTER_IMAGE), settings) if settings.starter else {}
    painters = _open_set(engines, embedded, settings)
    for added in library:
        if added.base is None:
            _open_added(engines, painters, added, settings, warn)
    painters |= embedded
    away = _elsewhere(settings, upstreams, warn)
    if not engines and not painters and not away.names:
        raise Invalid("there is no model: add one with `haiga models add`, or drop --no-starter")
    running = {**engines, **open_adapters(engines, settings, library, warn)}
    everything = {**running, **painters}
    _check_aliases(settings, everything, away)
    models = _models(running, settings, away, painters)
    adapters = Adapters(models, partial(open_over, engines, library))
    try:
        yield Offer(everything, away, settings.aliases, models, adapters)
    finally:
        await models.close()


def _open_set(
    engines: dict[str, NativeEngine | NativeEmbedder], embedded: Mapping[str, DiffusersEngine], settings: Settings
) -> dict[str, DiffusersEngine]:
    """The models of --model: those that make pictures, the others added to `engines`. Raises Invalid."""
    painters: dict[str, DiffusersEngine] = {}
    for name, path in settings.models:
        if name in engines or name in painters or name in embedded:
            raise Invalid(f"there are two models named {name}", field="--model")
        if names_pipeline(path):
            painters[name] = open_painter(name, Path(path), tags_of(settings, name), settings)
        elif not names_adapter(path):
            engines[name] = open_directory(name, Path(path), settings.weights, settings)
    return painters


def _elsewhere(settings: Settings, upstreams: Sequence[Upstream], warn: Callable[[str], None]) -> Upstreams:
    """Those whose key is there."""
    keys: dict[str, str] = {}
    there: list[Upstream] = []
    for each in upstreams:
        try:
            if key := key_of(each):
                keys[each.name] = key
        except Invalid as problem:
            warn(f"{problem}; it is left out")
            continue
        there.append(each)
    return Upstreams(there, keys, offline=settings.offline, tags=partial(tags_of, settings))


def _models(engines: Engines, settings: Settings, away: Upstreams, painters: Mapping[str, DiffusersEngine]) -> Models:
    """The models, with what makes the embeddings of those that write text."""
    writers = {name: engine for name, engine in engines.items() if isinstance(engine, NativeEngine | AdaptedEngine)}
    embedders = {name: engine for name, engine in engines.items() if isinstance(engine, NativeEmbedder)}
    native = {name: engine.embedder for name, engine in engines.items() if isinstance(engine, NativeEngine)}
    embedders |= {name: embedder for name, embedder in native.items() if embedder is not None}
    return Models(writers, settings.aliases, settings.memory_budget, embedders, away, painters)


def open_named(name: str, library: Sequence[AddedModel], settings: Settings) -> NativeEngine | AdaptedEngine:
    """The engine for one model: of the library, the starter, or in the directory called `name`. Raises NotFound, and
    Unsupported for a model that writes no text."""
    engine = _named(name, library, settings)
    if isinstance(engine, NativeEmbedder):
        raise Unsupported(f"model {name} makes embeddings only, it writes no text")
    return engine


def _named(
    name: str, library: Sequence[AddedModel], settings: Settings
) -> NativeEngine | NativeEmbedder | AdaptedEngine:
    for added in library:
        if added.name == name and added.base is not None:
            return open_over({added.base: _named(added.base, library, settings)}, library, name, added.path, added.base)
        if added.name == name:
            return open_directory(name, Path(added.path), added.weights, settings)
    if name == STARTER:
        return _starter(settings)
    if local_model(name) is not None:
        return open_directory(name, Path(name), settings.weights, settings)
    names = ", ".join([STARTER, *(added.name for added in library)])
    raise NotFound(f"there is no model {name} here (there are: {names}), and no directory or GGUF file of that name")


def open_directory(name: str, path: Path, weights: str | None, settings: Settings) -> NativeEngine | NativeEmbedder:
    """What runs the model in a directory, not started yet. Raises Invalid and Unsupported naming the file."""
    directory = local_model(str(path))
    if names_pipeline(str(path)):
        raise Unsupported(f"model {name} makes pictures only, it writes no text")
    if directory is None:
        raise Invalid(f"model {name}: {path.expanduser().resolve()}: there is no such directory, nor such a GGUF file")
    return open_model(
        name, directory, _options(settings, weights, tags_of(settings, name)), int(directory.stat().st_mtime)
    )


async def prepare_engine(directory: Path, weights: str | None, settings: Settings, progress: Progress) -> None:
    """Pack the weights of the model in a directory, start it once and stop it: whatever is wrong with it shows, and
    what was packed is kept for the next start."""
    if names_pipeline(str(directory)):
        await prepare_painter(directory, settings, progress)
        return
    engine = open_directory(directory.name, directory, weights, settings)
    await asyncio.to_thread(pack, directory, _options(settings, weights), partial(progress, "packing"))
    progress("starting", 0, 0)
    try:
        await engine.start()
    finally:
        await engine.close()


def _starter(settings: Settings) -> NativeEngine:
    """It is run exactly, whatever precisions the settings name for other models."""
    exact = replace(_options(settings, None, tags_of(settings, STARTER)), weights="f32", cache="f32")
    return open_engine(Found.at(STARTER, text_path(), STARTER_CREATED), exact)


def portray_model(path: Path, weights: str | None, settings: Settings) -> "Portrait":
    """What can be said of a model without loading it. Raises Invalid naming the file."""
    from haiga.engines.native.portrait import portray

    return portray(path, _options(settings, weights))


def forget_packed(directory: Path, settings: Settings) -> None:
    """Delete the packed weights of the model in a directory, and the keys and values that it made."""
    from haiga.engines.native import tier
    from haiga.models.ir import is_ir
    from haiga.models.load import cache_file
    from haiga.models.weights import PACKINGS

    tier.forget_model(settings.cold, directory)
    if local_model(str(directory)) is None or is_ir(directory) or names_pipeline(str(directory)):
        return
    with suppress(FileNotFoundError):  # a model whose files were deleted by hand can still be removed
        for packing in PACKINGS:
            cache_file(directory, packing, _packed(settings)).unlink(missing_ok=True)


def _open_added(
    engines: dict[str, NativeEngine | NativeEmbedder],
    painters: dict[str, DiffusersEngine],
    added: AddedModel,
    settings: Settings,
    warn: Callable[[str], None],
) -> None:
    if added.name in engines or added.name in painters:
        warn(f"the model {added.name} of the library is hidden by --model {added.name}=…")
        return
    try:
        if names_pipeline(added.path):
            painters[added.name] = open_painter(added.name, Path(added.path), tags_of(settings, added.name), settings)
        else:
            engines[added.name] = open_directory(added.name, Path(added.path), added.weights, settings)
    except HaigaError as error:
        warn(f"the model {added.name} of the library is left out: {error}")


def _check_aliases(settings: Settings, engines: Mapping[str, object], away: Upstreams) -> None:
    for pattern, name in settings.aliases:
        if name not in engines and away.engine(name) is None:
            raise Invalid(f"{pattern}={name}: there is no model {name}", field="--alias")


def tags_of(settings: Settings, name: str) -> tuple[str, ...]:
    """The tags that the settings give a model, each once."""
    return tuple(dict.fromkeys(tag for pattern, tag in settings.tags if fnmatchcase(name, pattern)))


def _options(settings: Settings, weights: str | None, tags: tuple[str, ...] = ()) -> NativeOptions:
    return NativeOptions(
        weights=cast("Packing | None", weights),
        cache=cast("CacheType | None", settings.cache),
        kv_memory=settings.kv_memory,
        context=settings.context,
        cache_dir=_packed(settings),
        queue=settings.max_queue,
        tags=tags,
        kv_disk=settings.kv_disk,
        kv_dir=settings.cold,
        slots=settings.adapter_slots,
    )


def _packed(settings: Settings) -> Path:
    return settings.data_dir / "packed"
