"""The library: what is added was loaded once; what is downloaded is what the hub announced."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from haiga.core.errors import Denied, Failed, HaigaError, Invalid, NotFound
from haiga.core.library import AddedModel
from haiga.services.library import Hub, Library, Progress
from haiga.stores.connect import connect
from haiga.stores.models import DatabaseModels
from tests.unit.stand_in_hub import COMMIT, StandIn

WEIGHTS = bytes(range(256)) * 40
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b'{"a": "a tokenizer larger than the large-file limit of the stand-in hub"}',
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "README.md": b"# tiny",
    "onnx/config.json": b"{}",
    "../escape.json": b"{}",
}


class Shelf:
    """Models in memory: a second implementation of the seam."""

    def __init__(self) -> None:
        self.kept: dict[str, AddedModel] = {}

    async def put(self, model: AddedModel, deed: object = None) -> None:
        self.kept[model.name] = model

    async def all(self) -> list[AddedModel]:
        return list(self.kept.values())

    async def remove(self, name: str, deed: object = None) -> bool:
        return self.kept.pop(name, None) is not None


class Preparations:
    """Notes what was prepared; refuses directories without a config.json."""

    def __init__(self) -> None:
        self.seen: list[tuple[Path, str | None]] = []
        self.forgotten: list[Path] = []

    async def __call__(self, path: Path, weights: str | None, progress: Progress) -> None:
        if "config.json" not in names_in(path):
            raise Invalid(f"{path / 'config.json'}: there is no such file")
        progress("packing", 1, 1)
        self.seen.append((path, weights))

    def forget(self, path: Path) -> None:
        self.forgotten.append(path)


class Tale:
    """Progress as it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))


def library(tmp_path: Path, hub: Hub | None = None, prepare: Preparations | None = None) -> Library:
    prepare = prepare or Preparations()
    return Library(Shelf(), tmp_path / "downloads", hub, prepare, prepare.forget, reserved=("starter",))


def hub_of(stand_in: StandIn, token: str | None = None, attempts: int = 1) -> Hub:
    return Hub(stand_in.url, token, attempts=attempts, pause=0)


def names_in(directory: Path) -> list[str]:
    return sorted(str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file())


def weights_of(model: AddedModel) -> bytes:
    return Path(model.path, "model.safetensors").read_bytes()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(FILES).running() as hub:
        yield hub


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A model directory of the user's own."""
    directory = tmp_path / "own"
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    return directory


async def test_a_directory_is_read_where_it_lies_and_never_deleted(tmp_path: Path, own: Path) -> None:
    async with connect(tmp_path / "db") as database:
        prepare = Preparations()
        models = Library(DatabaseModels(database), tmp_path / "downloads", None, prepare, prepare.forget)
        added = await models.add("mine", str(own), "int8", Tale())
        assert (str(own), str(own), "int8") == (added.path, added.source, added.weights)
        assert [(own, "int8")] == prepare.seen
        assert [added] == await models.list()
        assert not await models.remove("mine")
        assert [own] == prepare.forgotten
    assert ["config.json"] == names_in(own)


async def test_a_model_that_cannot_be_loaded_is_not_added(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    models = library(tmp_path)
    with pytest.raises(Invalid, match=r"config\.json: there is no such file"):
        await models.add("mine", str(tmp_path / "empty"), None, Tale())
    assert [] == await models.list()


@pytest.mark.parametrize("name", ["", "-x", "a b", "ü/..\n", "x" * 201])
async def test_a_bad_name_is_refused(tmp_path: Path, own: Path, name: str) -> None:
    with pytest.raises(Invalid, match="name: "):
        await library(tmp_path).add(name, str(own), None, Tale())


async def test_a_taken_name_is_refused(tmp_path: Path, own: Path) -> None:
    models = library(tmp_path)
    await models.add("mine", str(own), None, Tale())
    for name in ("mine", "starter"):
        with pytest.raises(Invalid, match=f"there is a model {name} already"):
            await models.add(name, str(own), None, Tale())


async def test_a_source_that_is_neither_directory_nor_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="source: /no/such/place: there is no such directory"):
        await library(tmp_path).add("mine", "/no/such/place", None, Tale())


async def test_only_the_files_a_model_needs_are_downloaded_under_their_commit(
    tmp_path: Path, stand_in: StandIn
) -> None:
    tale = Tale()
    added = await library(tmp_path, hub_of(stand_in)).add("tiny", "tiny/llama", None, tale)
    assert f"tiny/llama@{COMMIT}" == added.source
    assert ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"] == names_in(Path(added.path))
    assert WEIGHTS == weights_of(added)
    assert ("model.safetensors", len(WEIGHTS), len(WEIGHTS)) in tale.told
    assert "packing" == tale.told[-1][0]


async def test_a_download_that_broke_off_is_resumed_by_the_next_add(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.cut = {"model.safetensors": 1000}
    models = library(tmp_path, hub_of(stand_in))
    with pytest.raises(Failed, match=r"model\.safetensors: the download broke off at 1000 of 10240 bytes"):
        await models.add("tiny", "tiny/llama", None, Tale())
    assert [] == await models.list()
    stand_in.seen.clear()
    added = await models.add("tiny", "tiny/llama", None, Tale())
    assert [("model.safetensors", "bytes=1000-")] == stand_in.seen
    assert WEIGHTS == weights_of(added)


async def test_a_transfer_that_breaks_is_tried_again_at_once_from_where_it_broke(
    tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in.cut = {"model.safetensors": 1000}
    await library(tmp_path, hub_of(stand_in, attempts=2)).add("tiny", "tiny/llama", None, Tale())
    assert [("model.safetensors", None), ("model.safetensors", "bytes=1000-")] == stand_in.seen[-2:]


async def test_a_hub_without_ranges_sends_the_file_from_its_start(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.cut, stand_in.ranges = {"model.safetensors": 1000}, False
    added = await library(tmp_path, hub_of(stand_in, attempts=2)).add("tiny", "tiny/llama", None, Tale())
    assert WEIGHTS == weights_of(added)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
async def test_a_corrupted_file_is_refused_by_its_hash_and_deleted(
    tmp_path: Path, stand_in: StandIn, name: str
) -> None:
    stand_in.corrupt = {name}
    models = library(tmp_path, hub_of(stand_in))
    with pytest.raises(Failed, match=f"{name}: .*its hash differs"):
        await models.add("tiny", "tiny/llama", None, Tale())
    assert not [file for file in names_in(tmp_path) if name in file]
    stand_in.corrupt = set()
    await models.add("tiny", "tiny/llama", None, Tale())


async def test_shards_are_those_the_index_names(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1-of-2.safetensors": WEIGHTS,
        "model-2-of-2.safetensors": b"b",
        "consolidated.safetensors": WEIGHTS,
    }
    with StandIn(files).running() as hub:
        added = await library(tmp_path, hub_of(hub)).add("tiny", "tiny/llama", None, Tale())
    assert "consolidated.safetensors" not in names_in(Path(added.path))
    assert 4 == len(names_in(Path(added.path)))


async def test_a_repository_without_safetensors_is_refused(tmp_path: Path) -> None:
    with (
        StandIn({"config.json": b"{}", "pytorch_model.bin": b"pickle"}).running() as hub,
        pytest.raises(Invalid, match=r"tiny/llama: the repository has no model\.safetensors"),
    ):
        await library(tmp_path, hub_of(hub)).add("tiny", "tiny/llama", None, Tale())


async def test_a_repository_of_parts_in_folders_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with (
        StandIn({"model_index.json": b"{}", "vae/config.json": b"{}"}).running() as hub,
        pytest.raises(Invalid, match="makes pictures; its parts are in folders"),
    ):
        await library(tmp_path, hub_of(hub)).add("tiny", "tiny/llama", None, Tale())
    assert [] == list(tmp_path.rglob("*.json"))


async def test_a_restricted_repository_needs_the_token(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in.token = "hf_secret"
    with pytest.raises(Denied, match=r"tiny/llama@main: .*HF_TOKEN"):
        await library(tmp_path, hub_of(stand_in)).add("tiny", "tiny/llama", None, Tale())
    await library(tmp_path, hub_of(stand_in, "hf_secret")).add("tiny", "tiny/llama", None, Tale())


async def test_an_unknown_repository_or_revision_is_named(tmp_path: Path, stand_in: StandIn) -> None:
    for source in ("tiny/nobody", "tiny/llama@v9"):
        with pytest.raises(NotFound, match=source):
            await library(tmp_path, hub_of(stand_in)).add("tiny", source, None, Tale())


async def test_a_hub_that_is_not_there_is_named(tmp_path: Path) -> None:
    with StandIn({}).running() as gone:
        pass
    with pytest.raises(Failed, match=f"{gone.url} cannot be reached"):
        await library(tmp_path, hub_of(gone)).add("tiny", "tiny/llama", None, Tale())


async def test_offline_nothing_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(Denied, match=r"--offline"):
        await library(tmp_path).add("tiny", "tiny/llama", None, Tale())


async def test_removing_the_last_model_of_a_download_deletes_its_files(tmp_path: Path, stand_in: StandIn) -> None:
    prepare = Preparations()
    models = library(tmp_path, hub_of(stand_in), prepare)
    added = await models.add("one", "tiny/llama", None, Tale())
    stand_in.seen.clear()
    await models.add("two", f"tiny/llama@{COMMIT}", "int4", Tale())
    assert [] == stand_in.seen
    assert [False, True] == [await models.remove("one"), await models.remove("two")]
    assert [Path(added.path)] == prepare.forgotten
    assert not [file for file in names_in(tmp_path) if file.endswith("safetensors")]
    assert added not in await models.list()


async def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    for call in (library(tmp_path).show, library(tmp_path).remove):
        with pytest.raises(HaigaError, match="there is no model nobody"):
            await call("nobody")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    directory = tmp_path / "adapter"
    directory.mkdir()
    (directory / "adapter_config.json").write_text("{}")
    return directory


def shelf_for_adapters(tmp_path: Path, told: str, fitted: list[tuple[str, Path | None]]) -> Library:
    """A library in which every adapter says that it was trained on `told`."""

    async def fit(path: Path, name: str, base: Path | None) -> None:
        fitted.append((name, base))

    prepare = Preparations()
    downloads = tmp_path / "downloads"
    return Library(
        Shelf(),
        downloads,
        None,
        prepare,
        prepare.forget,
        ("starter",),
        trained_on=lambda path: told if (path / "adapter_config.json").exists() else None,
        fit=fit,
    )


@pytest.mark.parametrize("told", ["{own}", "base"])
async def test_an_adapter_is_added_over_the_base_that_it_names(
    tmp_path: Path, own: Path, adapter: Path, told: str
) -> None:
    fitted: list[tuple[str, Path | None]] = []
    models = shelf_for_adapters(tmp_path, told.format(own=own), fitted)
    with pytest.raises(Invalid, match="there is no such model here; add it first"):
        await models.add("red", str(adapter), None, Tale())
    await models.add("base", str(own), None, Tale())
    added = await models.add("red", str(adapter), None, Tale())
    assert ("base", [("base", own)]) == (added.base, fitted)
    with pytest.raises(Invalid, match="the adapter red stands on model base; remove that first"):
        await models.remove("base")
    assert not await models.remove("red")
    assert ["adapter_config.json"] == names_in(adapter)


async def test_a_base_can_be_named_for_an_adapter_and_for_nothing_else(
    tmp_path: Path, own: Path, adapter: Path
) -> None:
    fitted: list[tuple[str, Path | None]] = []
    models = shelf_for_adapters(tmp_path, "somebody/else", fitted)
    assert "starter" == (await models.add("red", str(adapter), None, Tale(), "starter")).base
    with pytest.raises(Invalid, match="no such model here"):
        await models.add("blue", str(adapter), None, Tale(), "red")
    with pytest.raises(Invalid, match="is a model, not an adapter"):
        await models.add("base", str(own), None, Tale(), "starter")
    assert [("starter", None)] == fitted


async def test_of_an_adapter_s_repository_the_adapter_is_downloaded(tmp_path: Path) -> None:
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": WEIGHTS, "README.md": b"# red"}
    with StandIn(files).running() as stand_in:
        hub = hub_of(stand_in)
        snapshot = await hub.find("tiny/llama")
        await hub.download(snapshot, tmp_path, Tale())
    assert ["adapter_config.json", "adapter_model.safetensors"] == names_in(tmp_path)
