"""The configuration file: what it can say, who beats it, and what is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from haiga.cli import app
from haiga.cli.configuration import read_file
from haiga.config import read_settings
from haiga.core.errors import Invalid

WHOLE = """
port = 9000
offline = true
starter = false
keep_usage = "30d"
cors = ["https://a.example", "https://b.example"]
database = "postgresql://me:hunter2@host/name"
[models]
small = "/models/small"
[aliases]
"claude-*" = "small"
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "haiga.toml"
    path.write_text(text)
    return path


def haiga(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env=environment)


def test_every_kind_of_value_is_read_as_a_flag_s_would_be(tmp_path: Path) -> None:
    settings = read_settings({}, {}, read_file(written(tmp_path, WHOLE)))
    assert (9000, True, False, 30 * 86400) == (settings.port, settings.offline, settings.starter, settings.keep_usage)
    assert ("https://a.example", "https://b.example") == settings.cors
    assert ((("small", "/models/small"),), (("claude-*", "small"),)) == (settings.models, settings.aliases)


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() -> None:
    file = {"port": "3"}
    assert 1 == read_settings({"port": "1"}, {"HAIGA_PORT": "2"}, file).port
    assert 2 == read_settings({}, {"HAIGA_PORT": "2"}, file).port
    assert 3 == read_settings({}, {}, file).port


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "haiga.toml: there is no setting 'prot', but 'port'"),
        ("zzz = 1", "haiga.toml: there is no setting 'zzz'"),
        ("port = ", "haiga.toml: Invalid value"),
        ('cors = ["a,b"]', "haiga.toml: cors: expected strings without commas"),
        ("cors = [1]", "haiga.toml: cors: expected strings without commas"),
        ("drain = 12:00:00", "haiga.toml: drain: expected a string, a number"),
    ],
)
def test_what_is_no_setting_is_refused_by_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_file(written(tmp_path, text))
    assert told in str(refused.value)


def test_a_file_that_is_not_there_is_told_in_one_line_and_exit_code_2(tmp_path: Path) -> None:
    said = haiga("serve", "--config", str(tmp_path / "none.toml"))
    assert (2, f"haiga: {tmp_path}/none.toml: No such file or directory\n") == (said.exit_code, said.stderr)


def test_check_tells_every_value_that_does_not_fit(tmp_path: Path) -> None:
    path = written(tmp_path, 'port = 99999\nhost = "::1"\nweights = "fp8"')
    said = haiga("config", "check", str(path))
    assert 1 == said.exit_code
    assert [f"haiga: {path}: port", f"haiga: {path}: weights"] == [
        line.rsplit(": expected", 1)[0] for line in said.stderr.splitlines()
    ]


def test_check_reads_the_files_that_are_named(tmp_path: Path) -> None:
    said = haiga("config", "check", str(written(tmp_path, f'prices = "{tmp_path}/none.toml"')))
    assert 1 == said.exit_code
    assert "none.toml" in said.stderr


def test_check_is_content_with_a_whole_file(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    assert f"{path}: well (settings: 8)\n" == haiga("config", "check", str(path)).stdout


def test_show_tells_where_each_setting_comes_from_and_no_secret(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    said = haiga("config", "show", HAIGA_CONFIG=str(path), HAIGA_PORT="1", HAIGA_API_KEY="hunter3").stdout
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines()}
    assert ["1", "HAIGA_PORT"] == rows["port"]
    assert ["127.0.0.1", "default"] == rows["host"]
    assert ["yes", f"{path}:", "offline"] == rows["offline"]
    assert ["********", f"{path}:", "database"] == rows["database"]
    assert ["********", "HAIGA_API_KEY"] == rows["api_key"]
    assert "hunter" not in said
