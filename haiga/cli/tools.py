"""The tools file: which tools the server itself runs for models.

Rule: the file is read once, at the start, and whatever is wrong with it ends the start, named by its place in the file.
"""

import importlib
import ipaddress
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from haiga.config import parse_bytes, parse_seconds
from haiga.core.errors import Invalid
from haiga.services.fetch import Fetch, Hosts
from haiga.services.fetch.fetch import parse_url
from haiga.services.tools import OWN, HostedTool, Registered, Registry
from haiga.services.tools.functions import endpoint_call, function_call
from haiga.services.tools.hosted import LIMIT, TIMEOUT, Call
from haiga.services.tools.stage import ROUNDS

ENTRY_POINTS = "haiga.tools"


class _Entry(BaseModel):
    """One tool of the file."""

    model_config = ConfigDict(extra="forbid")

    function: str | None = None
    url: str | None = None
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    headers: dict[str, str] = {}
    timeout: str = f"{TIMEOUT:g}s"
    limit: str = str(LIMIT)
    always: bool = False
    keys: list[str] = []
    workspaces: list[str] = []

    @model_validator(mode="after")
    def _one_of_both(self) -> "_Entry":
        if (self.function is None) == (self.url is None):
            raise ValueError("a tool has either a `function` or a `url`")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rounds: int = Field(default=ROUNDS, ge=1, le=100)
    tools: dict[str, _Entry] = {}


@dataclass(frozen=True, slots=True)
class ToolsFile:
    """What the file says. `rounds`: how often one answer may go back to the model."""

    registry: Registry
    rounds: int = ROUNDS


def read_tools(path: Path | None, offline: bool) -> ToolsFile:
    """The tools of a TOML or JSON file; none without one. Raises Invalid naming the place of what is wrong."""
    if path is None:
        return ToolsFile(Registry())
    try:
        read = _File.model_validate(_parsed(path))
    except ValidationError as error:
        problem = error.errors()[0]
        raise Invalid(problem["msg"], field=f"{path}: {'.'.join(map(str, problem['loc']))}") from None
    tools = [_registered(f"{path}: tools.{name}", name, entry, offline) for name, entry in read.tools.items()]
    return ToolsFile(Registry(tools), read.rounds)


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}", field="--tools") from None
    except ValueError as error:
        raise Invalid(f"{path}: {error}", field="--tools") from None


def _registered(place: str, name: str, entry: _Entry, offline: bool) -> Registered:
    if not jsonschema_rs.meta.is_valid(entry.input_schema) or entry.input_schema.get("type") != "object":
        raise Invalid('expected a JSON schema of "type": "object"', field=f"{place}.input_schema")
    timeout = _told(f"{place}.timeout", parse_seconds, entry.timeout)
    limit = _told(f"{place}.limit", parse_bytes, entry.limit)
    if entry.url is not None:
        fetch = _fetch_of(f"{place}.url", entry.url, offline)
        call: Call = endpoint_call(entry.url, fetch, entry.headers, timeout, limit)
        described = ""
    else:
        function = _function(f"{place}.function", entry.function or "")
        call, described = function_call(function), function.__doc__ or ""
    tool = HostedTool(OWN, name, call, entry.description or described.strip(), entry.input_schema, timeout, limit)
    return Registered(tool, entry.always, frozenset(entry.keys), frozenset(entry.workspaces))


def _told(place: str, parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise Invalid(f"{error}, not {text!r}", field=place) from None


def _fetch_of(place: str, url: str, offline: bool) -> Fetch:
    """The way to an endpoint of the operator's own choice: to its host, wherever that is, and to no other."""
    try:
        host = parse_url(url).host
    except Invalid as error:
        raise Invalid(error.message, field=place) from None
    if offline and not _is_here(host):
        raise Invalid(f"{host} is not on this machine, and the server is offline", field=place)
    return Fetch(Hosts((host,)))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _function(place: str, named: str) -> Callable[..., Any]:
    """`module:function`, or the name of an entry point of the group `haiga.tools`."""
    found = list(entry_points(group=ENTRY_POINTS, name=named))
    try:
        if found:
            function = found[0].load()
        else:
            module, _, attribute = named.partition(":")
            function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module of the operator's may fail in any way while it is imported
        raise Invalid(f"cannot be imported: {error}", field=place) from None
    if not callable(function):
        raise Invalid(f"{named} is no function", field=place)
    called: Callable[..., Any] = function
    return called
