"""URLs that somebody else chose, against a real server on loopback."""

import asyncio
import gzip
import ssl
from collections.abc import Sequence

import pytest

from haiga.core.errors import HaigaError, Invalid, TooLarge, Unsupported
from haiga.services.fetch import Bounds, Fetch, Hosts
from tests.unit.fetch.listener import SECURE, http, listening

INSIDE = Fetch(Hosts(("127.0.0.1", "named.test", "other.test", "secure.test"), lambda *_: loopback()))
SMALL = Bounds(size=1000)


async def loopback() -> Sequence[str]:
    return ("127.0.0.1",)


def believing() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(SECURE))


async def refusal(fetch: Fetch, url: str, bounds: Bounds = SMALL, **wanted: tuple[str, ...]) -> HaigaError:
    with pytest.raises(HaigaError) as error:
        await fetch.get(url, bounds=bounds, **wanted)
    return error.value


async def test_what_is_there_comes_back_whole() -> None:
    async with listening(lambda *_: http(b"an image", content_type="Image/PNG; q=1")) as server:
        got = await INSIDE.get(f"{server.url}/a.png", types=["image/*"])
    assert (200, b"an image", "image/png") == (got.status, got.body, got.content_type)
    assert f"{server.url}/a.png" == got.url


async def test_the_name_is_sent_while_the_connection_goes_to_the_address_that_was_judged() -> None:
    asked = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)  # a second answer would lead nowhere
        return ("127.0.0.1",) if len(asked) == 1 else ("192.0.2.1",)

    async with listening(lambda *_: http()) as server:
        await Fetch(Hosts(("named.test",), resolve)).get(f"http://named.test:{server.port}/x?y=1#z")
    assert ["named.test"] == asked
    assert "GET /x?y=1 HTTP/1.1" == server.heads[0].splitlines()[0]
    assert f"host: named.test:{server.port}" in server.heads[0].lower()


async def test_loopback_is_refused_unless_it_is_named_and_nothing_is_asked_there() -> None:
    async with listening(lambda *_: http()) as server:
        for url in (server.url, f"http://localhost:{server.port}", f"http://[::ffff:127.0.0.1]:{server.port}"):
            error = await refusal(Fetch(), url)
            assert ("url_refused", "has no public address") == (error.code, error.message.partition(": ")[2])
    assert [] == server.heads


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ("::1", "127.0.0.1")

    async with listening(lambda *_: http(b"here")) as server:
        got = await Fetch(Hosts(("named.test",), resolve)).get(f"http://named.test:{server.port}/")
    assert b"here" == got.body


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://example.com/a", "file:///etc/passwd", "http://", "http:///x", "http://a:0/", "http://a:99999/",
     "gopher://a/", "data:text/plain,hi", "http://\x00/", "http://" + "a" * 9000, "http://[::1", "//example.com/x"],
)  # fmt: skip
async def test_what_is_no_http_url_is_refused(url: str) -> None:
    assert "url_refused" == (await refusal(INSIDE, url)).code
    with pytest.raises(Invalid):
        INSIDE.check(url)


async def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    error = await refusal(INSIDE, "http://user:secret@example.com/")
    assert "example.com: the URL carries credentials" == str(error)


def test_a_private_address_is_refused_before_anyone_is_asked() -> None:
    Fetch().check("https://example.com/hook")
    with pytest.raises(Invalid, match="no public address"):
        Fetch().check("https://10.0.0.1/hook")


async def test_an_offline_server_fetches_nothing_not_even_what_is_named() -> None:
    offline = Fetch(Hosts(("127.0.0.1",)), offline=True)
    async with listening(lambda *_: http()) as server:
        assert isinstance(await refusal(offline, server.url), Unsupported)
        with pytest.raises(Unsupported):
            await offline.post(server.url, b"")
    assert [] == server.heads


async def test_redirects_are_followed_to_the_end() -> None:
    def answer(path: str, head: str) -> bytes:
        return http(b"end") if path == "/5" else http(status="302 Found", location=f"/{int(path[1:]) + 1}")

    async with listening(answer) as server:
        assert b"end" == (await INSIDE.get(f"{server.url}/0")).body
        error = await refusal(INSIDE, f"{server.url}/-1")
    assert "127.0.0.1: redirected more than 5 times" == str(error)


@pytest.mark.parametrize("location", ["http://inside.test/", "http://169.254.169.254/latest", "http://[::1]/"])
async def test_a_redirect_is_judged_like_a_first_request(location: str) -> None:
    async with listening(lambda *_: http(status="307 Temporary Redirect", location=location)) as server:
        assert "url_refused" == (await refusal(INSIDE, server.url)).code


@pytest.mark.parametrize("location", ["ftp://example.com/", "http://u:p@example.com/", "http://[", "javascript:1"])
async def test_a_redirect_to_what_is_no_url_is_refused(location: str) -> None:
    async with listening(lambda *_: http(status="301 Moved", location=location)) as server:
        assert "url_refused" == (await refusal(INSIDE, server.url)).code


async def test_headers_meant_for_one_origin_are_not_told_to_another() -> None:
    async with listening(lambda *_: http()) as second:
        there = f"http://other.test:{second.port}/"
        async with listening(lambda *_: http(status="302 Found", location=there, set_cookie="a=b")) as first:
            await INSIDE.get(first.url, headers={"Authorization": "Bearer secret", "Accept": "text/html"})
    assert "authorization: bearer secret" in first.heads[0].lower()
    assert "secret" not in second.heads[0] and "cookie" not in second.heads[0].lower()
    assert "accept: text/html" in second.heads[0].lower()


async def test_tls_is_verified_for_the_name_and_never_left_for_plain_http() -> None:
    hosts = Hosts(("secure.test", "other.test"), lambda *_: loopback())
    secure = Fetch(hosts, tls=believing)
    async with listening(lambda *_: http(status="302 Found", location="http://secure.test/"), tls=True) as server:
        error = await refusal(secure, f"https://secure.test:{server.port}/")
        assert "secure.test: https leads on to http" == str(error)
        for fetch, name in ((secure, "other.test"), (Fetch(hosts), "secure.test")):
            assert f"{name}: cannot be reached" == str(await refusal(fetch, f"https://{name}:{server.port}/"))
    assert 1 == len(server.heads)


async def test_the_answers_size_is_bounded_whether_it_is_told_or_not() -> None:
    told, untold = http(b"x" * 1001), b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001
    for answer in (told, untold, http(content_length="5000")):
        async with listening(lambda *_, answer=answer: answer) as server:
            assert isinstance(await refusal(INSIDE, server.url), TooLarge)
    async with listening(lambda *_: http(b"x" * 1000)) as server:
        assert 1000 == len((await INSIDE.get(server.url, bounds=SMALL)).body)


async def test_a_compressed_answer_is_refused_unread() -> None:
    async with listening(lambda *_: http(gzip.compress(b"0" * 100_000), content_encoding="gzip")) as server:
        assert "answered with a compressed body" in str(await refusal(INSIDE, server.url))
    assert "accept-encoding: identity" in server.heads[0].lower()


async def test_a_pause_and_the_whole_time_are_bounded() -> None:
    head, drip = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", [b"x"] * 100
    bounds = {"pause": Bounds(pause=0.1), "total": Bounds(total=0.5, pause=5)}
    for bound in bounds.values():
        async with listening(lambda *_: [head, *drip]) as server:
            assert "127.0.0.1: did not answer in time" == str(await refusal(INSIDE, server.url, bound))


async def test_a_slow_resolver_counts_as_time() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(10)
        return ()

    error = await refusal(Fetch(Hosts((), resolve)), "http://slow.test/", Bounds(total=0.05))
    assert "slow.test: did not answer in time" == str(error)


async def test_an_answer_of_another_type_is_refused() -> None:
    async with listening(lambda *_: http(b"<html>", content_type="text/html")) as server:
        error = await refusal(INSIDE, server.url, types=("image/png", "image/gif"))
    assert ("127.0.0.1: is none of image/gif, image/png", "url_type") == (str(error), error.code)


async def test_what_an_error_answer_says_is_not_passed_on() -> None:
    async with listening(lambda *_: http(b"internal secret", status="500 internal secret")) as server:
        assert "127.0.0.1: answered 500" == str(await refusal(INSIDE, server.url))


@pytest.mark.parametrize("answer", [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"])
async def test_a_broken_answer_is_an_error_of_ours(answer: bytes) -> None:
    async with listening(lambda *_: answer) as server:
        assert "127.0.0.1: cannot be reached" == str(await refusal(INSIDE, server.url))


async def test_nobody_listening_is_an_error_of_ours() -> None:
    async with listening(lambda *_: http()) as server:
        pass
    assert "127.0.0.1: cannot be reached" == str(await refusal(INSIDE, server.url))


async def test_the_environments_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(lambda *_: http(b"proxy")) as proxy, listening(lambda *_: http(b"direct")) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert b"direct" == (await INSIDE.get(server.url)).body
    assert [] == proxy.heads


async def test_a_post_sends_its_body_and_gives_back_any_status_following_nothing() -> None:
    async with listening(lambda *_: http(b"no", status="302 Found", location="/x")) as server:
        got = await INSIDE.post(server.url, b'{"a":1}', headers={"content-type": "application/json"})
    assert (302, b"no") == (got.status, got.body)
    assert [b'{"a":1}'] == server.bodies
    assert "content-type: application/json" in server.heads[0].lower()


async def test_an_opened_answer_is_read_as_it_comes_and_left_at_will() -> None:
    async with listening(lambda *_: [b"HTTP/1.1 200 OK\r\n\r\n", b"one", b"two"]) as server:
        async with INSIDE.open("GET", server.url) as answer:
            async for piece in answer.pieces:
                assert b"one" == piece
                break
        with pytest.raises(KeyError):  # what fails in the block is the block's own
            async with INSIDE.open("GET", server.url):
                raise KeyError
