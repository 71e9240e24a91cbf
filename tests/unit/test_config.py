"""Settings: who wins, what is understood, what is refused."""

from pathlib import Path
from typing import Any

import pytest

from haiga.config import TABLE, Settings, parse_bytes, parse_count, parse_seconds, read_settings, settings_page
from haiga.core.errors import Invalid


def test_a_flag_beats_the_environment_which_beats_the_default() -> None:
    assert 8000 == read_settings({}, {}).port
    assert 1 == read_settings({}, {"HAIGA_PORT": "1"}).port
    assert 2 == read_settings({"port": "2"}, {"HAIGA_PORT": "1"}).port


def test_the_server_that_commands_talk_to_is_the_one_named_or_where_one_listens_by_default() -> None:
    assert "http://127.0.0.1:8000" == read_settings({}, {"HAIGA_PORT": "1"}).server
    assert "http://far:9" == read_settings({}, {"HAIGA_URL": "http://far:9/"}).server


def test_an_empty_variable_says_nothing() -> None:
    assert "127.0.0.1" == read_settings({}, {"HAIGA_HOST": ""}).host


def test_every_field_has_a_row_and_every_row_a_heading() -> None:
    assert list(Settings.__dataclass_fields__) == list(TABLE)
    assert [f"## {name}" for name in TABLE] == [line for line in settings_page().splitlines() if line[:2] == "##"]


def test_the_page_in_docs_is_the_table() -> None:
    assert settings_page() == Path(__file__).parents[2].joinpath("docs", "settings.md").read_text()


def test_several_values_are_separated_by_commas() -> None:
    settings = read_settings({"models": "a=/x,b=/y = z"}, {"HAIGA_CORS": "https://a.example, *"})
    assert (("a", "/x"), ("b", "/y = z")) == settings.models
    assert ("https://a.example", "*") == settings.cors


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("512", 512), ("4GB", 4 << 30), ("1.5 GiB", 3 << 29), ("2k", 2048), ("3M", 3 << 20)]
)
def test_sizes(text: str, size: int) -> None:
    assert size == parse_bytes(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("15m", 900), ("12h", 43200), ("1d", 86400)])
def test_times(text: str, seconds: float) -> None:
    assert seconds == parse_seconds(text)


def test_counts() -> None:
    assert [32768, 8192] == [parse_count("32k"), parse_count("8192")]


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        ({"port": "99999"}, {}, "--port: expected a port"),
        ({"port": "²"}, {}, "--port: expected a port"),
        ({}, {"HAIGA_PORT": "x"}, "HAIGA_PORT: expected a port"),
        ({"kv_memory": "-1"}, {}, "--kv-memory: expected a size"),
        ({"context": "0"}, {}, "--context: expected a number"),
        ({"models": "nameless"}, {}, "--model: expected NAME=VALUE"),
        ({"aliases": "a=,b=c"}, {}, "--alias: expected NAME=VALUE"),
        ({"weights": "fp8"}, {}, "--weights: expected one of bf16, int8, int4, not 'fp8'"),
        ({"url": "127.0.0.1:8000"}, {}, "--url: expected an address such as"),
        ({"url": "http://127.0.0.1:99999"}, {}, "--url: "),
        ({}, {"HF_ENDPOINT": "ftp://x"}, "HF_ENDPOINT: expected an address"),
        ({"drain": "soon"}, {}, "--drain: expected a time"),
        ({}, {"HAIGA_OFFLINE": "maybe"}, "HAIGA_OFFLINE: expected yes or no"),
    ],
)
def test_what_does_not_fit_is_named(flags: Any, environment: dict[str, str], named: str) -> None:
    with pytest.raises(Invalid, match=named):
        read_settings(flags, environment)
