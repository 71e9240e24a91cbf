"""What the program has by name, the documents have by name, and nothing else: both ways."""

import re
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.routing import Route

from haiga.batching.sequence import Breakpoint, Request, bill
from haiga.cli.http import build_server
from haiga.config import TABLE, read_settings
from haiga.core import errors
from haiga.core.errors import Denied, Flagged, HaigaError, Invalid, Limited
from haiga.core.messages import Tool
from haiga.core.ports import Capabilities
from haiga.models.fields import Fields
from haiga.models.load import CacheType
from haiga.models.pooling import Mode
from haiga.models.registry import DECODERS, ENCODERS, HEADLESS
from haiga.models.rope import read_rope
from haiga.models.weights import PACKINGS
from haiga.services.access import Access
from haiga.services.models import Models
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from haiga.text.formats import FORMATS
from haiga.text.known_tools import known
from haiga.web.app import create_app
from haiga.web.routes import router
from haiga.wire import openai_errors
from haiga.wire.anthropic import errors as anthropic_errors
from haiga.wire.anthropic.shapes import CountBody, MessageBody
from haiga.wire.anthropic.tool_shapes import DefinedTool
from haiga.wire.openai_chat.shapes import ChatBody
from haiga.wire.openai_completions import CompletionBody
from haiga.wire.openai_embeddings import EmbeddingBody
from haiga.wire.openai_moderations.shapes import ModerationBody
from haiga.wire.openai_responses.shapes import ResponseBody
from haiga.wire.openrouter import errors as openrouter_errors
from haiga.wire.openrouter.shapes import RouterBody
from tests.docs import dialects
from tests.docs.commands import PAGE, helps, page
from tests.docs.docstrings import docstring
from tests.docs.pages import DOCUMENTS, ROOT, blocks, headings, read, sections, spans, table
from tests.docs.server import services

API, ENGINE, IMAGES, MODELS = "docs/api.md", "docs/engine.md", "docs/images.md", "docs/models.md"
OPENAI = "docs/openai.md"
ENGINE_FOLDERS = ("batching", "engines/native")
BLOCK = 32
TREE = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, HaigaError)]


def named(name: str, section: str, head: str, column: int = 0) -> list[str]:
    """What a column of a section's table names between backticks."""
    return [span for row in table(sections(name)[section], head) for span in spans(row[column])]


# --- settings, commands ---


def test_every_setting_has_a_heading() -> None:
    assert list(TABLE) == headings("docs/settings.md", 2)


def test_every_command_has_a_heading_and_its_help_text() -> None:
    assert list(helps()) == headings(PAGE, 2)
    assert [*helps().values()] == [block.text for block in blocks(PAGE, "text")]


def test_help_texts_written_anew_change_nothing() -> None:
    assert read(PAGE) == page(read(PAGE))


# --- routes ---


async def test_every_route_is_in_the_list(tmp_path: Path) -> None:
    async with services(tmp_path) as served:
        described = [route for route in create_app(served).routes if isinstance(route, Route)]
        routes = [*described, *(route for route in router(served).routes if isinstance(route, Route))]
    served_here = {f"{method} {path(route)}" for route in routes for method in route.methods or ()}
    of_a1111 = {route for route in served_here if " /sdapi/v1/" in route or " /internal/" in route}
    assert served_here == set(named(API, "Routes", "route"))
    assert of_a1111 == set(named(IMAGES, "A1111's API", "route"))


async def test_what_is_documented_is_what_haiga_serve_serves(tmp_path: Path) -> None:
    settings = read_settings({"data_dir": str(tmp_path)}, {})
    async with services(tmp_path) as documented, connect(tmp_path / "haiga.db") as database:
        app: Any = build_server(settings, Access(DatabaseKeys(database)), Models({}), database, True).config.app
        assert create_app(documented).openapi()["paths"].keys() == app.openapi()["paths"].keys()


def path(route: Route) -> str:
    return route.path.replace(":path}", "}")


@pytest.mark.parametrize("name", [API, OPENAI])
def test_a_section_about_a_route_is_about_one_there_is(name: str) -> None:
    about = {title for title in headings(name, 2) if re.match("(GET|POST|DELETE|HEAD) /", title)}
    assert about <= set(named(API, "Routes", "route"))


@pytest.mark.parametrize(
    ("name", "section", "taken"),
    [
        (API, "POST /v1/messages", MessageBody.model_fields),
        (OPENAI, "POST /v1/chat/completions", ChatBody.model_fields),
        (OPENAI, "POST /v1/completions", CompletionBody.model_fields),
        (OPENAI, "POST /v1/embeddings", EmbeddingBody.model_fields),
        (OPENAI, "POST /v1/moderations", ModerationBody.model_fields),
        (OPENAI, "POST /v1/responses", ResponseBody.model_fields),
        (
            OPENAI,
            "POST /api/v1/chat/completions",
            RouterBody.model_fields.keys() - ChatBody.model_fields.keys() | {"model"},
        ),
    ],
)
def test_every_field_of_a_body_is_in_its_table(name: str, section: str, taken: Any) -> None:
    assert set(taken) == set(named(name, section, "field"))


def test_what_is_counted_is_what_the_count_takes() -> None:
    rows = table(sections(API)["POST /v1/messages"], "field")
    assert set(CountBody.model_fields) == {spans(field)[0] for field, counted, _ in rows if counted == "yes"}


def test_every_tool_of_the_api_is_in_the_list_and_known_as_it_says() -> None:
    rows = {told: spans(types) for types, told in table(sections(API)["Tools"], "type")}
    types = get_args(DefinedTool.model_fields["type"].annotation)
    told = [name for name in types if known(Tool("t", kind=name)).schema]
    assert told == rows["its purpose and arguments"]
    assert [name for name in types if name not in told] == rows["nothing: refused by name"]


# --- errors ---


def test_every_error_has_a_heading() -> None:
    assert [cls.__name__ for cls in TREE] == headings("docs/errors.md", 2)


def test_the_table_of_errors_is_what_each_family_says() -> None:
    rows = {tuple(row[0].replace("`", "").split(", ")): row[1:] for row in table(sections(API)["Errors"], "class")}
    assert {(cls.__name__,) for cls in TREE if cls is not HaigaError} | {("Denied", "unauthenticated")} == set(rows)
    assert {name: told(*name) for name in rows} == {
        name: [spans(cell) for cell in cells] for name, cells in rows.items()
    }


def told(name: str, how: str = "") -> list[list[str]]:
    error = an_error(getattr(errors, name), bool(how))
    families = (anthropic_errors.kind(error), openai_errors.kind(error), (openrouter_errors.status(error),))
    return [[str(said) for said in family if said is not None] for family in families]


def an_error(cls: type[HaigaError], unauthenticated: bool) -> HaigaError:
    if cls is Denied:
        return Denied("why", unauthenticated=unauthenticated)
    if cls is Flagged:
        return Flagged("why", reasons=(), excerpt="", model="echo")
    return Limited("why", retry_after=1) if cls is Limited else cls("why")


# --- the prompt cache ---


def test_the_table_of_usage_is_what_is_billed() -> None:
    rows = [
        [cell.replace("-", "0") for cell in row] for row in table(sections(API)["Usage and the prompt cache"], "prompt")
    ]
    assert rows
    for prompt, hour, short, cached, *expected in (map(int, row) for row in rows):
        marks = tuple(Breakpoint(offset, ttl) for offset, ttl in ((hour, 3600), (short, 300)) if offset)
        request = Request("a", tuple(range(prompt)), 1, breakpoints=marks)
        used = bill(request, min(cached, (prompt - 1) // BLOCK * BLOCK), cached, BLOCK)
        assert expected == [used.input, used.creation_1h, used.creation_5m, used.cache_read]


# --- limits ---

UNITS = {"": 1, "MiB": 1 << 20, "s": 1, "h": 3600, "d": 24 * 3600}


def test_the_table_of_limits_is_what_the_code_says() -> None:
    rows = table(sections(API)["Limits"], "what")
    assert {where: amount(limit) for _, limit, where in rows} == {where: value(spans(where)[0]) for *_, where in rows}


def amount(limit: str) -> float:
    number, _, unit = limit.partition(" ")
    return float(number.replace(",", "")) * UNITS[unit]


def value(where: str) -> float:
    """The constant, or the default of the dataclass's field, at this path."""
    path = where.split(".")
    if path[-2][0].isupper():
        owner = getattr(import_module(f"haiga.{'.'.join(path[:-2])}"), path[-2])
        defaults: dict[str, Any] = {field.name: field.default for field in fields(owner)}
        return float(defaults[path[-1]])
    return float(getattr(import_module(f"haiga.{'.'.join(path[:-1])}"), path[-1]))


# --- models ---


def test_every_architecture_is_in_the_list() -> None:
    assert list(DECODERS) == named(MODELS, "Architectures", "`architectures`")
    assert [*ENCODERS, *HEADLESS] == named(MODELS, "Embeddings", "encoder or headless decoder")


def test_every_pooling_is_in_the_list() -> None:
    assert list(get_args(Mode)) == named(MODELS, "Embeddings", "pooling")


def test_every_rope_scaling_is_in_the_list() -> None:
    config = Fields("config.json", {"rope_scaling": {"rope_type": "other"}})
    with pytest.raises(Invalid) as refusal:
        read_rope(config, 64, 2048)
    assert refusal.value.message.rpartition("supported: ")[2].split(", ") == named(
        MODELS, "Rope scalings", "`rope_type`"
    )


def test_every_precision_is_in_the_list() -> None:
    assert list(PACKINGS) == named(MODELS, "Weights", "weights")
    assert list(get_args(CacheType)) == named(MODELS, "Keys and values", "cache")


def test_every_capability_is_in_the_list() -> None:
    assert list(Capabilities.__dataclass_fields__) == named(MODELS, "What a model can do", "capability")


def test_every_dialect_is_in_the_list_with_its_models() -> None:
    assert dialects.page(read(MODELS)) == read(MODELS)
    assert [each.name for each in FORMATS] == named(MODELS, "Tool calls", "dialect")


# --- design ---


def test_every_file_of_the_engine_has_its_rules_told() -> None:
    files = {
        f"{folder}/{file.name}" for folder in ENGINE_FOLDERS for file in (ROOT / "haiga" / folder).glob("[a-z]*.py")
    }
    assert set() == files - set(headings(ENGINE, 2))


def test_the_engines_rules_are_its_files_own() -> None:
    assert [docstring(file) for file in headings(ENGINE, 2)] == [block.text for block in blocks(ENGINE, "text")]


def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def test_the_layers_drawn_are_the_layers_held() -> None:
    contract, _ = project()["tool"]["importlinter"]["contracts"]
    drawing = next(block.text for block in blocks("docs/design.md") if block.section.startswith("Layers"))
    drawn = [re.match(r"(?: top| bottom)? +((?:\w+ \| )*\w+)", line) for line in drawing.splitlines()]
    assert contract["layers"] == [line[1] for line in drawn if line]


def test_every_dependency_is_explained() -> None:
    extras = project()["project"]["optional-dependencies"]
    served = [*project()["project"]["dependencies"], *extras["postgres"], *extras["otel"]]
    listed = {re.split(r"[\[=]", package)[0] for package in served}
    rows = table(sections("docs/decisions.md")["Dependencies"], "package")
    assert listed == {name for row in rows for name in row[0].split(", ")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_named_is_there(name: str) -> None:
    files = {
        span for span in spans(read(name)) if re.fullmatch(r"[\w./-]+(\.py|\.toml|\.md|\.lark|/)", span) and "/" in span
    }
    outside = {file for file in files if file.startswith("/")}
    assert [] == [file for file in sorted(files - outside) if not exists(file)]


def exists(file: str) -> bool:
    return any((folder / file).exists() for folder in (ROOT, ROOT / "haiga", ROOT / "docs"))


def test_every_place_of_the_package_has_a_responsibility() -> None:
    rows = table(sections("docs/design.md")["Layers: imports run downward only"], "place")
    told = {span.split("/")[0] for row in rows for span in spans(row[0])}
    assert {
        part.name for part in (ROOT / "haiga").iterdir() if part.suffix in ("", ".py") and part.name[0] != "_"
    } == told
