"""`haiga upstream` and the routes file: what is kept, what is told, what is refused."""

from pathlib import Path

import orjson
import pytest

from haiga.cli.routes import read_routes
from haiga.core.errors import Invalid
from haiga.core.routes import Route
from tests.far_server import Answer, Asked, far_server, whole
from tests.unit.test_cli import data, haiga, one_line
from tests.wire.upstreams.recorded import MESSAGE

__all__ = ["data"]
LIST = {"data": [{"type": "model", "id": "claude-far", "display_name": "Far", "max_input_tokens": 9, "max_tokens": 5}]}


def script(asked: Asked) -> Answer:
    if asked.headers.get("x-api-key") != "sk-secret":
        return whole({"error": {"type": "authentication_error", "message": "no"}}, 401)
    return whole(LIST if asked.method == "GET" else {**MESSAGE, "content": [{"type": "text", "text": "Hello."}]})


def test_an_upstream_is_added_asked_listed_and_removed_and_its_key_is_never_kept(data: str) -> None:
    with far_server(script) as far:
        named = ("anthropic", "--key-env", "FAR_KEY", "--url", far.url, "--data-dir", data)
        assert "added anthropic (1 models)" in haiga("upstream", "add", *named, FAR_KEY="sk-secret").stderr
        listed = haiga("upstream", "list", "--data-dir", data, FAR_KEY="sk-secret").stdout
        assert {"anthropic", far.url, "claude-*", "1", "FAR_KEY"} <= set(listed.split())
        assert b"sk-secret" not in b"".join(path.read_bytes() for path in Path(data).iterdir() if path.is_file())
        test = ("upstream", "test", "anthropic", "--data-dir", data)
        assert "claude-far\n" == haiga(*test, FAR_KEY="sk-secret").stdout
        assert "Hello.\n" == haiga(*test, "--model", "claude-far", FAR_KEY="sk-secret").stdout
        assert orjson.loads(far.asked[-1].data)["model"] == "claude-far"
        assert "does not serve this server's key" in one_line(haiga(*test, FAR_KEY="sk-wrong"))
        assert "the environment variable FAR_KEY, its key, is not set" in one_line(haiga(*test))
        offline = one_line(haiga(*test, "--offline"))
    assert "haiga: the upstream anthropic is not asked: this server is offline" == offline
    assert "removed anthropic" in haiga("upstream", "remove", "anthropic", "--data-dir", data).stderr
    assert "there is no upstream" in one_line(haiga("upstream", "remove", "anthropic", "--data-dir", data))
    told = [orjson.loads(line) for line in haiga("audit", "export", "--data-dir", data).stdout.splitlines()]
    assert [("upstream.added", "anthropic"), ("upstream.removed", "anthropic")] == [
        (line["action"], line["subject"]) for line in told
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lab",), "--url: where is lab?"),
        (("lab", "--url", "nowhere"), "--url: expected an address"),
        (("a b",), "name: 'a b'"),
        (("haiga",), "not haiga"),
        (("openai", "--kind", "soap"), "--kind: expected one of anthropic, openai, openrouter"),
        (("openai", "--model", "a*=b"), "--model: 'a*=b'"),
        (("openai", "--timeout", "soon"), "--timeout: expected a time"),
    ],
)
def test_what_is_wrong_is_named(data: str, arguments: tuple[str, ...], said: str) -> None:
    assert said in one_line(haiga("upstream", "add", *arguments, "--offline", "--data-dir", data))


def test_routes_are_read_with_their_weights_reasons_and_patience(tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text('[routes.smart]\nto = ["a", { b = 3, c = 1 }]\non = ["error"]\ntimeout = "2s"\n')
    expected = Route("smart", ((("a", 1.0),), (("b", 3.0), ("c", 1.0))), frozenset(["error"]), 2.0)
    assert (expected,) == read_routes(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[routes.x]\nto = []\n", "routes.x.to"),
        ("[routes.x]\nto = ['a']\non = ['whim']\n", "routes.x.on.0"),
        ("[routes.x]\nto = [{a = 0}]\n", "routes.x.to.0: expected weights above 0"),
        ("[routes.x]\nto = ['a']\ntimeout = 'soon'\n", "routes.x.timeout: expected a time"),
        ("nonsense", "--routes"),
    ],
)
def test_a_wrong_route_is_named_by_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(text)
    with pytest.raises(Invalid) as refused:
        read_routes(file)
    assert said in str(refused.value)
