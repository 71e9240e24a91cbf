"""Composition: adapters over the models that are offered."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from haiga.config import Settings
from haiga.core.errors import HaigaError, Invalid
from haiga.core.library import AddedModel
from haiga.engines.native.adapted import AdaptedEngine, open_adapted
from haiga.engines.native.embedder import NativeEmbedder
from haiga.engines.native.engine import NativeEngine
from haiga.models.adapters import is_adapter, linear_layers, open_adapter, read_base
from haiga.models.sources import open_tensors
from haiga.services.library import is_source, local_model

Engines = Mapping[str, NativeEngine | NativeEmbedder | AdaptedEngine]


def open_adapters(
    engines: Engines, settings: Settings, library: Sequence[AddedModel], warn: Callable[[str], None]
) -> dict[str, AdaptedEngine]:
    """The adapters that settings and library name, over `engines`. One of the library that does not fit is left out
    with a warning. Raises Invalid and Unsupported for any other."""
    found: dict[str, AdaptedEngine] = {}
    named: list[tuple[str, str | None, str]] = [
        (name, *split_base(value, engines)) for name, value in settings.adapters
    ]
    named += [(name, None, path) for name, path in settings.models if names_adapter(path)]
    for name, base, path in named:
        if name in engines or name in found:
            raise Invalid(f"there are two models named {name}", field="--adapter")
        found[name] = open_over(engines, library, name, path, base)
    for added in library:
        if added.base is None or added.name in found:
            continue
        try:
            found[added.name] = open_over(engines, library, added.name, added.path, added.base)
        except HaigaError as error:
            warn(f"the adapter {added.name} of the library is left out: {error}")
    return found


def names_adapter(path: str) -> bool:
    """Whether there is an adapter at a path that a setting names."""
    return is_adapter(Path(path).expanduser())


def split_base(value: str, engines: Engines) -> tuple[str, str]:
    """BASE:PATH in two; a model's name may have colons itself. Raises Invalid."""
    bases = [name for name in engines if value.startswith(name + ":")]
    if not bases:
        raise Invalid(f"{value}: expected BASE:PATH; there are the models {', '.join(engines)}", field="--adapter")
    base = max(bases, key=len)
    return base, value.removeprefix(base + ":")


def open_over(engines: Engines, library: Sequence[AddedModel], name: str, path: str, base: str | None) -> AdaptedEngine:
    """The adapter in a directory over `base`, or over the model that it says it was trained on. Raises Invalid and
    Unsupported."""
    directory = local_model(path)
    if directory is None or not is_adapter(directory):
        raise Invalid(f"adapter {name}: {path}: there is no such directory with an adapter_config.json")
    chosen = base or find_base(read_base(directory) or "", engines, library)
    engine = engines.get(chosen)
    if not isinstance(engine, NativeEngine):
        raise Invalid(f"adapter {name}: there is no model {chosen!r} that writes text and is no adapter itself")
    return open_adapted(name, directory, engine)


def find_base(told: str, engines: Engines, library: Sequence[AddedModel]) -> str:
    """The model that an adapter means which says that it was trained on `told`: by its name, its directory, or where
    the library has it from."""
    for name, engine in engines.items():
        if isinstance(engine, NativeEngine) and told and Path(engine.plant.directory) == Path(told).expanduser():
            return name
    return next((added.name for added in library if added.base is None and is_source(told, added)), told)


def check_adapter(directory: Path, base: Path | None) -> None:
    """Whether the adapter in a directory goes with the model at `base` (None: the starter). Raises Invalid and
    Unsupported."""
    from haiga.starter import text_path

    open_adapter(directory, linear_layers(open_tensors(base or text_path())))
