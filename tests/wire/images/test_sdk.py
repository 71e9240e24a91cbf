"""Pictures by the official SDK, and jobs by plain HTTP, SSE and WebSocket, over an engine without a model."""

import base64
import io
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as websocket

from haiga.engines.fake_painter import FakePainter
from tests.wire.images.asking import PNG, asking, begun, ended, freed, held, picture, png, watching
from tests.wire.limited_server import Running, running


@pytest.fixture
def client(served: Running) -> openai.OpenAI:
    made = openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key(), max_retries=0)
    served.clients.append(made)
    return made


# --- the official SDK ---


def test_pictures_come_as_base64_in_the_size_and_format_asked_for(client: openai.OpenAI) -> None:
    made = client.images.generate(prompt="a boat", model="brush", n=2, size="40x24", output_format="webp")
    assert made.data is not None and made.size == "40x24"
    assert [("WEBP", (40, 24))] * 2 == [(each.format, each.size) for each in (picture(d.b64_json) for d in made.data)]


def test_without_a_model_the_first_one_that_makes_pictures_is_asked(client: openai.OpenAI) -> None:
    made = client.images.generate(prompt="a boat", extra_body={"seed": 5})
    again = client.images.generate(prompt="a boat", model="brush", extra_body={"seed": 5})
    assert made.data == again.data


def test_a_picture_s_file_says_what_made_it(client: openai.OpenAI) -> None:
    made = client.images.generate(prompt="a boat", extra_body={"seed": 5, "steps": 3})
    assert made.data is not None
    assert "a boat\nSteps: 3, Seed: 5, Model: brush" == picture(made.data[0].b64_json).info["parameters"]


def test_an_address_leads_to_the_picture(client: openai.OpenAI, http: httpx.Client) -> None:
    made = client.images.generate(prompt="a boat", response_format="url")
    assert made.data is not None and made.data[0].url is not None
    found = http.get(made.data[0].url)
    assert (200, "image/png") == (found.status_code, found.headers["content-type"])
    assert 401 == httpx.get(made.data[0].url).status_code


def test_a_stream_shows_partial_pictures_and_then_each_whole_one(client: openai.OpenAI) -> None:
    events = list(client.images.generate(prompt="a boat", stream=True, partial_images=2, extra_body={"steps": 9}))
    kinds = [event.type for event in events]
    assert [*["image_generation.partial_image"] * 2, "image_generation.completed"] == kinds
    assert [0, 1] == [event.partial_image_index for event in events[:2]]  # type: ignore[union-attr]
    assert (16, 16) == picture(events[-1].b64_json).size


def test_an_edit_takes_a_picture_and_a_mask(client: openai.OpenAI) -> None:
    made = client.images.edit(image=("a.png", png()), mask=("m.png", png("RGBA")), prompt="a boat", n=1)
    assert made.data is not None and 1 == len(made.data)
    streamed = list(client.images.edit(image=("a.png", png()), prompt="a boat", stream=True))
    assert ["image_edit.completed"] == [event.type for event in streamed]


@pytest.mark.parametrize(
    ("image", "mask", "changes"),
    [
        ("opaque", "half clear", "the clear half"),
        ("half clear", None, "the clear half"),
        ("half clear", "half white", "the white half"),
        ("opaque", None, None),
    ],
)
def test_what_is_transparent_is_to_change(
    client: openai.OpenAI, painter: FakePainter, image: str, mask: str | None, changes: str | None
) -> None:
    halves = {"opaque": png(), "half clear": half("RGBA", (9, 9, 9, 255), (9, 9, 9, 0))}
    halves["half white"] = half("RGB", (0, 0, 0), (255, 255, 255))
    more: Any = {"mask": ("m.png", halves[mask])} if mask else {}
    client.images.edit(image=("a.png", halves[image]), prompt="a boat", **more)
    (asked,) = painter.asked
    assert (asked.inpaint is None) == (changes is None)
    if asked.inpaint is not None:
        seen = Image.frombytes("RGB", (32, 24), asked.inpaint.mask.rgb).convert("L")
        assert ((0, 255), False) == ((seen.getpixel((4, 4)), seen.getpixel((28, 4))), asked.inpaint.inverted)


def half(mode: str, left: tuple[int, ...], right: tuple[int, ...]) -> bytes:
    """A picture whose right half has another colour."""
    whole, file = Image.new(mode, (32, 24), left), io.BytesIO()
    whole.paste(right, (16, 0, 32, 24))
    whole.save(file, "PNG")
    return file.getvalue()


def test_a_variation_takes_a_picture(client: openai.OpenAI) -> None:
    made = client.images.create_variation(image=("a.png", png()), n=2, response_format="b64_json")
    assert made.data is not None and 2 == len(made.data)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"size": "big"}, "size"),
        ({"n": 11}, "n"),
        ({"background": "transparent"}, "background"),
        ({"output_format": "svg"}, "output_format"),
        ({"model": "fake"}, "model"),
        ({"model": "nobody"}, None),
        ({"prompt": "ugly"}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"extra_body": {"steps": 0}}, "steps"),
        ({"extra_body": {"frame_count": 3}}, "frame_count"),
        ({"extra_body": {"sampler": "Eulr"}}, "sampler"),
    ],
)
def test_what_cannot_be_is_refused_by_name(client: openai.OpenAI, asked: dict[str, Any], param: str | None) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.images.generate(**{"prompt": "a boat", **asked})
    assert refused.value.status_code in (400, 404)
    assert param == refused.value.param


def test_a_text_model_and_an_image_model_each_say_what_they_are_not(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="makes no pictures"):
        client.images.generate(prompt="a boat", model="fake")
    with pytest.raises(openai.BadRequestError, match="makes pictures only, it writes no text"):
        client.chat.completions.create(model="brush", messages=[{"role": "user", "content": "hi"}])
    assert {"fake", "brush"} <= {model.id for model in client.models.list()}


@pytest.mark.parametrize(
    ("files", "param"),
    [
        ({}, "image"),
        ({"image": ("a.png", b"no picture")}, "image"),
        ({"image": ("a.png", png()), "mask": ("m.png", b"none")}, "mask"),
        ([("image[]", ("a.png", png())), ("image[]", ("b.png", png()))], "image[1]"),
    ],
)
def test_a_form_s_pictures_are_refused_by_name(http: httpx.Client, files: Any, param: str) -> None:
    data = {"prompt": "a boat"}
    answer = http.post("/v1/images/edits", data=data, files=files or {"other": ("x", b"x")})
    assert (400, param) == (answer.status_code, answer.json()["error"]["param"])


def test_a_client_that_goes_away_takes_its_job_with_it(
    served: Running, painter: FakePainter, http: httpx.Client
) -> None:
    held(served, painter)
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as raw:
        body = b'{"prompt": "a boat"}'
        head = f"host: localhost\r\nx-api-key: {http.headers['x-api-key']}\r\ncontent-length: {len(body)}\r\n\r\n"
        raw.sendall(b"POST /v1/images/generations HTTP/1.1\r\n" + head.encode() + body)
        while not (jobs := http.get("/v1/jobs").json()["data"]):
            pass
    (job,) = jobs
    assert "cancelled" == ended(http, job["id"])["status"]
    freed(served, painter)


# --- jobs ---


def test_a_job_is_taken_at_once_and_done_later(http: httpx.Client) -> None:
    taken = http.post("/v1/jobs", json={"prompt": "a boat", "n": 2, "seed": 3, "id": "mine.1"})
    assert (202, "/v1/jobs/mine.1") == (taken.status_code, taken.headers["location"])
    assert ("queued", 0) == (taken.json()["status"], taken.json()["position"])
    job = ended(http, "mine.1")
    assert ("done", [3, 4]) == (job["status"], [each["seed"] for each in job["pictures"]])
    files = [http.get(each["url"]).content for each in job["pictures"]]
    assert [each["size"] for each in job["pictures"]] == [len(file) for file in files]
    assert 404 == http.get("/v1/jobs/mine.1/pictures/2").status_code
    assert job == http.get("/v1/jobs/mine.1").json()


def test_a_job_asked_for_again_is_the_same_and_another_of_its_id_is_refused(http: httpx.Client) -> None:
    first = http.post("/v1/jobs", json={"prompt": "a boat", "id": "a"}).json()
    ended(http, "a")
    again = http.post("/v1/jobs", json={"prompt": "a boat", "id": "a"})
    assert (202, first["created_at"]) == (again.status_code, again.json()["created_at"])
    other = http.post("/v1/jobs", json={"prompt": "a cat", "id": "a"})
    assert (400, "job_exists") == (other.status_code, other.json()["error"]["code"])


def test_jobs_wait_in_turns_and_are_listed_and_cancelled(
    served: Running, painter: FakePainter, http: httpx.Client
) -> None:
    held(served, painter)
    for name in "abcd":
        http.post("/v1/jobs", json={"prompt": name, "id": name})
    with watching(served, http) as watched:
        begun(watched)
    assert [0, 1, 2] == [http.get(f"/v1/jobs/{name}").json()["position"] for name in "bcd"]
    assert ["cancelled"] * 2 == [http.post(f"/v1/jobs/{name}/cancel").json()["status"] for name in "ba"]
    freed(served, painter)
    assert ["done", "done"] == [ended(http, name)["status"] for name in "cd"]
    page = http.get("/v1/jobs", params={"limit": 2}).json()
    assert (["d", "c"], True) == ([job["id"] for job in page["data"]], page["has_more"])
    rest = http.get("/v1/jobs", params={"after": "c", "status": "cancelled"}).json()
    assert (["b", "a"], False) == ([job["id"] for job in rest["data"]], rest["has_more"])
    assert ["paint a", "paint c", "paint d"] == [line for line in painter.log if line.startswith("paint")]


def test_a_watcher_sees_steps_previews_and_the_end(served: Running, http: httpx.Client) -> None:
    body = {"prompt": "a boat", "id": "a", "previews": True, "steps": 5, "deadline": 60, "lifetime": 3600}
    http.post("/v1/jobs", json=body)
    with watching(served, http) as watched:
        events = [json.loads(text) for text in watched]
    assert "done" == events[-1]["job"]["status"]
    assert 1 == len(events[-1]["job"]["pictures"])
    steps = [event["job"]["progress"]["step"] for event in events if event["job"]["progress"]]
    assert steps == sorted(steps)


def test_a_watcher_can_end_a_job(served: Running, painter: FakePainter, http: httpx.Client) -> None:
    held(served, painter)
    http.post("/v1/jobs", json={"prompt": "a boat", "id": "a"})
    with watching(served, http) as watched:
        watched.send("junk")
        watched.send('{"type": "cancel"}')
        events = [json.loads(text) for text in watched]
    assert "error" in [event["type"] for event in events]
    assert "cancelled" == events[-1]["job"]["status"]
    freed(served, painter)


def test_nobody_sees_the_jobs_of_another_workspace(served: Running, http: httpx.Client) -> None:
    http.post("/v1/jobs", json={"prompt": "a boat", "id": "a"})
    ended(http, "a")
    stranger = {"x-api-key": served.key("s", "elsewhere")}
    for method, path in (
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/pictures/0"),
        ("POST", "/cancel"),
        ("POST", "/skip"),
        ("DELETE", ""),
    ):
        assert 404 == http.request(method, f"/v1/jobs/a{path}", headers=stranger).status_code
    assert [] == http.get("/v1/jobs", headers=stranger).json()["data"]
    with pytest.raises(InvalidStatus) as refused:
        websocket(f"{served.url.replace('http', 'ws')}/v1/jobs/a/events", additional_headers=stranger)
    assert 404 == refused.value.response.status_code
    with pytest.raises(InvalidStatus) as refused:
        websocket(f"{served.url.replace('http', 'ws')}/v1/jobs/a/events")
    assert 401 == refused.value.response.status_code


def test_a_job_that_is_deleted_leaves_no_bytes(tmp_path: Path, http: httpx.Client) -> None:
    data = base64.b64encode(png()).decode()
    http.post("/v1/jobs", json={"prompt": "a boat", "id": "a", "image": data, "inpaint": {"mask": data}})
    assert "done" == ended(http, "a")["status"]
    assert 2 == len(list(tmp_path.glob("blobs/??/*")))  # the picture brought, which is its own mask, and the one made
    assert http.delete("/v1/jobs/a").json()["deleted"]
    assert 404 == http.get("/v1/jobs/a").status_code
    assert [] == list(tmp_path.glob("blobs/??/*"))


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prompt": 3}, "prompt"),
        ({}, "prompt"),
        ({"id": "a/b"}, "id"),
        ({"priority": 3}, "priority"),
        ({"image": "AAAA"}, "image"),
        ({"controls": [{"model": "canny", "image": "AAAA"}]}, "controls[0].image"),
        ({"stepz": 3}, "stepz"),
        ({"inpaint": {}}, "inpaint.mask"),
        ({"styles": ["film"]}, "styles"),
        ({"more_images": [PNG]}, "more_images"),
        ({"image": PNG, "more_images": [PNG]}, "more_images"),
        ({"sampler": "Eulr"}, "sampler"),
        ({"scheduler": "bent"}, "scheduler"),
        ({"hires": {"scheduler": "bent"}}, "hires.scheduler"),
    ],
)
def test_a_wrong_job_is_refused_by_name(http: httpx.Client, asked: dict[str, Any], param: str) -> None:
    body = {"prompt": "a boat", **asked} if asked else {}
    answer = http.post("/v1/jobs", json=body)
    assert answer.status_code in (400, 403)
    assert param == answer.json()["error"]["param"]
    assert [] == http.get("/v1/jobs").json()["data"]


def test_a_key_has_so_many_jobs_at_once_and_no_more(tmp_path: Path) -> None:
    painter = FakePainter()
    with running(tmp_path, painters=[painter], image_jobs="2") as served, asking(served, served.key()) as http:
        held(served, painter)
        answers = [http.post("/v1/jobs", json={"prompt": "a boat"}) for _ in range(3)]
        assert [202, 202, 429] == [answer.status_code for answer in answers]
        other = http.post("/v1/jobs", json={"prompt": "a boat"}, headers={"x-api-key": served.key("o")})
        assert 202 == other.status_code
        freed(served, painter)
        assert "done" == ended(http, other.json()["id"])["status"]


def test_a_job_that_waits_when_the_server_stops_is_done_after_the_next_start(tmp_path: Path) -> None:
    painter = FakePainter()
    with running(tmp_path, painters=[painter]) as served, asking(served, key := served.key()) as http:
        held(served, painter)
        for name in "ab":
            http.post("/v1/jobs", json={"prompt": name, "id": name})
        with watching(served, http) as seen:
            begun(seen)
        served.server.should_exit = True
        served.loop.call_soon_threadsafe(served.loop.call_later, 0.3, painter.gate.set)
    later = FakePainter()
    with running(tmp_path, painters=[later]) as served, asking(served, key) as http:
        assert ["done", "done"] == [ended(http, name)["status"] for name in "ab"]
    assert [["paint a"], ["paint b"]] == [[each for each in one.log if "paint" in each] for one in (painter, later)]
