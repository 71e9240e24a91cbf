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

Forget = Callable[[Path], None]
"""Delete what preparing the model in a directory left behind."""

NAME = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,199}")


class Library:
    """`downloads` is the directory for what comes from `hub`; None for the hub means that nothing may be fetched.
    `reserved` are names that belong to the server itself. The audit log says that `actor` did what is done."""

    def __init__(
        self,
        store: ModelStore,
        downloads: Path,
        hub: Hub | None,
        prepare: Prepare,
        forget: Forget,
        reserved: Collection[str] = (),
        actor: Actor = Actor(),
    ) -> None:
        self._store = store
        self._downloads = downloads
        self._hub = hub
        self._prepare = prepare
        self._forget = forget
        self._reserved = reserved
        self._actor = actor

    async def add(self, name: str, source: str, weights: str | None, progress: Progress) -> AddedModel:
        """Add the model at `source`: a directory, a GGUF file, or org/name[@revision] of the hub.

        Raises Invalid for a bad name, source or model, Denied when offline, NotFound and Failed from the hub.
        """
        await self._check_name(name)
        path, origin = await self._locate(source, progress)
        await self._prepare(path, weights, progress)
        added = AddedModel(name, str(path), origin, weights, int(time.time()))
        details = {"source": origin, "weights": weights}
        await self._store.put(added, Deed("model.added", name, self._actor, added.added_at, details))
        return added

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

        True when downloaded files were deleted. Raises NotFound.
        """
        model = await self.show(name)
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
