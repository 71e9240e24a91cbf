"""The models a user has added to this server: added, listed, shown, removed.

Rule: a model is in the list only if it could be loaded when it was added. A directory or file of the user's own is
read where it lies and never deleted; what was downloaded is the library's.
"""

import asyncio
import re
import shutil
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from haiga.core.audit import Actor, Deed
from haiga.core.errors import Denied, Invalid, NotFound
from haiga.core.library import AddedModel
from haiga.core.ports import ModelStore
from haiga.services.library.hub import REPOSITORY, Hub, Progress

Prepare = Callable[[Path, str | None, Progress], Awaitable[None]]
"""Load the model in a directory once with these weights, so that a broken one shows now and the next load is quick;
says how far it is; raises core errors."""

TrainedOn = Callable[[Path], str | None]
"""What the adapter in a directory says that it was trained on, None for a model; raises core errors."""

Fit = Callable[[Path, str, Path | None], Awaitable[None]]
"""Check the adapter in a directory against its base, by name and path (None: one of the server's own); raises core
errors."""

Forget = Callable[[Path], None]
"""Delete what preparing the model in a directory left behind."""

NAME = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,199}")


class Library:
    """`downloads` is the directory for what comes from `hub`; None for the hub means that nothing may be fetched.
    `reserved` are names that belong to the server itself. The audit log says that `actor` did what is done. Without
    `fit` there are no adapters."""

    def __init__(
        self,
        store: ModelStore,
        downloads: Path,
        hub: Hub | None,
        prepare: Prepare,
        forget: Forget,
        reserved: Collection[str] = (),
        actor: Actor = Actor(),
        trained_on: TrainedOn = lambda path: None,
        fit: Fit | None = None,
    ) -> None:
        self._store = store
        self._downloads = downloads
        self._hub = hub
        self._prepare = prepare
        self._forget = forget
        self._reserved = reserved
        self._actor = actor
        self._trained_on = trained_on
        self._fit = fit

    async def add(
        self, name: str, source: str, weights: str | None, progress: Progress, base: str | None = None
    ) -> AddedModel:
        """Add the model or adapter at `source`: a directory, a GGUF file, or org/name[@revision] of the hub. base: the
        model that an adapter is for, where it does not say so itself.

        Raises Invalid for a bad name, source, model or base, Denied when offline, NotFound and Failed from the hub.
        """
        await self._check_name(name)
        path, origin = await self._locate(source, progress)
        told = self._trained_on(path)
        if told is None:
            await self._add_model(path, weights, base, progress)
        else:
            base = await self._add_adapter(path, base, told)
        added = AddedModel(name, str(path), origin, weights, int(time.time()), base)
        details = {"source": origin, "weights": weights} | ({"base": base} if base else {})
        await self._store.put(added, Deed("model.added", name, self._actor, added.added_at, details))
        return added

    async def _add_model(self, path: Path, weights: str | None, base: str | None, progress: Progress) -> None:
        if base is not None:
            raise Invalid(f"{path} is a model, not an adapter: it has no base", field="base")
        await self._prepare(path, weights, progress)

    async def _add_adapter(self, path: Path, asked: str | None, told: str) -> str:
        """The name of its base, which it fits."""
        models = [model for model in await self._store.all() if model.base is None]
        bases = {model.name: Path(model.path) for model in models} | dict.fromkeys(self._reserved)
        name = asked or next((model.name for model in models if is_source(told, model)), told)
        if name not in bases:
            raise Invalid(
                f"{path} is an adapter of {name or 'a model that it does not name'}, and there is no such model here;"
                " add it first, or name another one with --base",
                field="base",
            )
        if self._fit is not None:
            await self._fit(path, name, bases[name])
        return name

    async def list(self) -> list[AddedModel]:
        """Every added model, oldest first."""
        return await self._store.all()

    async def show(self, name: str) -> AddedModel:
        """The model of this name. Raises NotFound."""
        for model in await self._store.all():
            if model.name == name:
                return model
        raise NotFound(f"there is no model {name} in the library")

    async def remove(self, name: str) -> bool:
        """Forget a model; what was packed and downloaded for it is deleted unless another model uses it too.

        True when downloaded files were deleted. Raises NotFound, and Invalid for a model that has adapters.
        """
        model = await self.show(name)
        if adapter := next((each.name for each in await self._store.all() if each.base == name), None):
            raise Invalid(f"the adapter {adapter} stands on model {name}; remove that first", field="name")
        deed = Deed("model.removed", name, self._actor, int(time.time()), {"source": model.source})
        await self._store.remove(name, deed)
        path = Path(model.path)
        if any(other.path == model.path for other in await self._store.all()):
            return False
        await asyncio.to_thread(self._forget, path)
        if self._downloads.resolve() not in path.parents:
            return False
        await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        return True

    async def _check_name(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise Invalid(f"{name!r}: a model's name is letters, digits and . _ - : / @ +, at most 200", field="name")
        if name in self._reserved or any(model.name == name for model in await self._store.all()):
            raise Invalid(f"there is a model {name} already; remove it first or choose another name", field="name")

    async def _locate(self, source: str, progress: Progress) -> tuple[Path, str]:
        """The directory or file a source stands for, and the source's exact name."""
        if (path := local_model(source)) is not None:
            return path, str(path)
        repository, _, revision = source.partition("@")
        if not REPOSITORY.fullmatch(repository):
            raise Invalid(
                f"{source}: there is no such directory or file, nor is it org/name[@revision]", field="source"
            )
        return await self._download(repository, revision or "main", progress)

    async def _download(self, repository: str, revision: str, progress: Progress) -> tuple[Path, str]:
        if self._hub is None:
            raise Denied(f"{repository}: there is no such directory, and downloading is off (--offline)")
        snapshot = await self._hub.find(repository, revision)
        directory = self._downloads.resolve() / repository.replace("/", "--") / snapshot.commit
        await self._hub.download(snapshot, directory, progress)
        return directory, f"{repository}@{snapshot.commit}"


def local_model(source: str) -> Path | None:
    """The directory or GGUF file that `source` names, absolute; None when there is none."""
    path = Path(source).expanduser()
    return path.resolve() if path.is_dir() or (path.suffix == ".gguf" and path.is_file()) else None


def is_source(told: str, model: AddedModel) -> bool:
    """Whether `told`, which an adapter says that it was trained on, is where a model came from."""
    if told == model.name or told == model.source.partition("@")[0]:
        return True
    return bool(told) and Path(told).expanduser().is_absolute() and Path(told).resolve() == Path(model.path)
