"""Fifty jobs of five keys at once, some cancelled, both painting processes killed under them: what becomes of each.

Rule: chance is seeded; what is compared is what the same requests gave before, undisturbed. Who is killed has begun.
"""

import asyncio
import base64
import json
import os
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from PIL import Image
from websockets.asyncio.client import connect as websocket

from haiga.services.access import Access
from haiga.stores.connect import connect
from haiga.stores.keys import DatabaseKeys
from tests.e2e.test_images import png
from tests.e2e.test_serve import Server, serving
from tests.pipelines import saved

KEYS = 5
JOBS = 50
LONG = 500  # steps of a job that is under way when something happens to it
GROWTH = 64 << 20  # bytes that the server may have more of than before
OVER = ("done", "failed", "cancelled")
SCENE = base64.b64encode(png(Image.linear_gradient("L").resize((64, 64)).convert("RGB"))).decode()
MASK = base64.b64encode(png(Image.linear_gradient("L").resize((64, 64)))).decode()
KINDS: tuple[dict[str, Any], ...] = (
    {"model": "sd15", "prompt": "a (red:1.2) boat", "negative_prompt": "rain"},
    {"model": "flux", "prompt": "a boat", "n": 2, "previews": True},
    {"model": "sd15", "prompt": "a boat", "n": 3, "together": 2, "sampler": "Euler a", "output_format": "webp"},
    {"model": "flux", "prompt": "a boat", "image": SCENE, "strength": 0.6},
    {"model": "sd15", "prompt": "a boat", "image": SCENE, "inpaint": {"mask": MASK}, "output_format": "jpeg"},
    {"model": "sd15", "prompt": "a boat", "hires": {"scale": 1.5, "strength": 0.5}},
)


def body_of(kind: int, **more: Any) -> dict[str, Any]:
    return {"width": 64, "height": 64, "steps": 4, "seed": 11, **KINDS[kind], **more}


@dataclass(slots=True)
class Fate:
    """What is known of a job: what its watcher saw, and what a cancel of it was answered."""

    kind: int
    told: list[str] = field(default_factory=list)
    cancelled: str | None = None
    last: dict[str, Any] = field(default_factory=dict)


class Person:
    """Somebody with a key of a workspace of their own."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.headers = {"x-api-key": key}
        self.http = httpx.AsyncClient(base_url=url, headers=self.headers, timeout=240)
        self.sdk = AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=240)
        self.fates: dict[str, Fate] = {}

    async def submit(self, id: str, kind: int, **more: Any) -> Fate:
        answer = await self.http.post("/v1/jobs", json=body_of(kind, id=id, **more))
        assert 202 == answer.status_code, answer.text
        self.fates[id] = Fate(kind)
        return self.fates[id]

    async def watch(self, id: str, begun: asyncio.Event | None = None) -> None:
        """Up to the job's end; `begun` is set when a step of it is done."""
        fate = self.fates[id]
        where = f"{self.url.replace('http', 'ws')}/v1/jobs/{id}/events"
        async with websocket(where, additional_headers=self.headers, max_size=None, open_timeout=60) as socket:
            async for text in socket:
                fate.last = json.loads(text)["job"]
                fate.told.append(fate.last["status"])
                if begun and fate.last["progress"]:
                    begun.set()

    async def cancel(self, id: str) -> None:
        self.fates[id].cancelled = (await self.http.post(f"/v1/jobs/{id}/cancel")).json()["status"]

    async def pictures(self, id: str) -> list[bytes]:
        made = (await self.http.get(f"/v1/jobs/{id}")).json()["pictures"]
        return [(await self.http.get(each["url"])).content for each in made]

    async def generate(self) -> bytes:
        """A picture of kind 0 by the SDK, which has no id that its caller knows."""
        asked = body_of(0)
        more = {name: asked[name] for name in ("steps", "seed", "negative_prompt")}
        made = await self.sdk.images.generate(
            model="sd15",
            prompt=asked["prompt"],
            size="64x64",
            extra_body=more,
        )
        assert made.data is not None
        return base64.b64decode(made.data[0].b64_json or "")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A data directory, and keys of so many workspaces."""
    data = tmp_path_factory.mktemp("data")

    async def make() -> list[str]:
        async with connect(data / "haiga.db") as database:
            access = Access(DatabaseKeys(database))
            return [(await access.create_key(f"k{at}", f"w{at}"))[1] for at in range(KEYS)]

    return data, asyncio.run(make())


@pytest.fixture(scope="module")
def server(secrets: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    flags = [flag for name in ("sd15", "flux") for flag in ("--model", f"{name}={saved(name, models / name)}")]
    with serving(secrets[0], "--no-starter", *flags, errors=models / "log") as server, server.client:
        yield server


@asynccontextmanager
async def people(server: Server, keys: list[str]) -> AsyncIterator[list[Person]]:
    made = [Person(server.url, key) for key in keys]
    try:
        yield made
    finally:
        await asyncio.gather(*(each.http.aclose() for each in made), *(each.sdk.close() for each in made))


def painting(server: Server, model: str) -> int:
    """The process id of who paints with a model."""
    (pid,) = [pid for pid in server.engines() if f'"name":"{model}"' in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid


def resident(server: Server) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) << 10


async def undisturbed(person: Person) -> dict[int, list[bytes]]:
    """What each kind of job makes, one after another."""
    made = {}
    for kind in range(len(KINDS)):
        await person.submit(f"before-{kind}", kind)
        await person.watch(f"before-{kind}")
        made[kind] = await person.pictures(f"before-{kind}")
    person.fates.clear()
    return made


async def lost(server: Server, person: Person, id: str, kind: int) -> None:
    """A job whose process is killed while it is under way."""
    begun = asyncio.Event()
    await person.submit(id, kind, steps=LONG)
    watched = asyncio.create_task(person.watch(id, begun))
    await begun.wait()
    os.kill(painting(server, KINDS[kind]["model"]), signal.SIGKILL)
    await watched


async def dropped(person: Person, id: str) -> None:
    """A job that is cancelled while it is under way."""
    begun = asyncio.Event()
    await person.submit(id, 0, steps=LONG)
    watched = asyncio.create_task(person.watch(id, begun))
    await begun.wait()
    await person.cancel(id)
    await watched


async def plain(person: Person, id: str, chance: random.Random) -> None:
    """A job that may be cancelled at any moment."""
    kind, late = chance.randrange(len(KINDS)), chance.choice((None, None, None, 0.0, chance.uniform(0, 8)))
    await person.submit(id, kind)
    watched = asyncio.create_task(person.watch(id))
    if late is not None:
        await asyncio.sleep(late)
        await person.cancel(id)
    await watched


async def left(person: Person) -> None:
    """A client of the SDK that goes away before its picture is there."""
    asked = person.sdk.images.generate(model="flux", prompt="a boat", size="64x64", extra_body={"steps": LONG})
    waiting = asyncio.create_task(asked)
    while LONG not in [job["request"]["steps"] for job in (await person.http.get("/v1/jobs?limit=100")).json()["data"]]:
        await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def storm(server: Server, persons: list[Person]) -> list[bytes]:
    """All jobs at once; what the SDK's callers were given."""
    chance = random.Random(7)
    special = [
        lost(server, persons[0], "lost-0", 0),
        lost(server, persons[1], "lost-1", 1),
        dropped(persons[2], "dropped"),
        left(persons[3]),
    ]
    sdk = [each.generate() for each in persons]
    rest = JOBS - len(special) - len(sdk)
    tasks = [*special, *(plain(persons[at % KEYS], f"job-{at}", chance) for at in range(rest))]
    made, _ = await asyncio.gather(asyncio.gather(*sdk), asyncio.gather(*tasks))
    return list(made)


@pytest.mark.timeout(900)
async def test_each_job_has_one_right_end_and_nothing_of_the_others_is_lost(
    server: Server, secrets: tuple[Path, list[str]]
) -> None:
    data, keys = secrets
    async with people(server, keys) as persons:
        expected = await undisturbed(persons[0])
        assert [1, 2, 3, 1, 1, 1] == [len(made) for made in expected.values()]
        before = resident(server)
        given = await storm(server, persons)
        assert [expected[0][0]] * KEYS == given
        for person in persons:
            await judge(person, expected)
        ends = Counter(fate.last["status"] for person in persons for fate in person.fates.values())
        assert 2 == ends["failed"]
        assert ends["cancelled"] > 3 and ends["done"] > 15
        assert JOBS + len(KINDS) == await listed(persons)
        assert consistent(data) == (JOBS + len(KINDS), True)
        assert 2 == len({painting(server, name) for name in ("sd15", "flux")})  # again, and once each
        await forgotten(persons)
        assert consistent(data) == (0, True)
        assert [] == [path for path in (data / "blobs").rglob("*") if path.is_file() and path.name != "lock"]
    assert resident(server) - before < GROWTH


async def judge(person: Person, expected: dict[int, list[bytes]]) -> None:
    """Each of a person's jobs went through its states in order to one end, which is the right one."""
    order = ["queued", "running"]
    for id, fate in person.fates.items():
        *through, end = fate.told
        assert end in OVER and set(through) <= set(order) and through == sorted(through), (id, fate.told)
        assert fate.last == (await person.http.get(f"/v1/jobs/{id}")).json()
        if id.startswith("lost"):
            assert ("failed", "dead") == (end, fate.last["error"]["code"])
        elif fate.cancelled in (None, "done"):
            assert ("done", None) == (end, fate.last["error"]), (id, fate.last)
            assert expected[fate.kind] == await person.pictures(id), id
        else:
            assert ("cancelled", "cancelled", "cancelled") == (fate.cancelled, end, fate.last["error"]["code"]), id
            made = await person.pictures(id)
            assert id == "dropped" or expected[fate.kind][: len(made)] == made


async def listed(persons: list[Person]) -> int:
    """How many jobs there are, all of them at an end; nobody sees another's."""
    ids: set[str] = set()
    for at, person in enumerate(persons):
        found = (await person.http.get("/v1/jobs", params={"limit": 100})).json()["data"]
        assert {each["status"] for each in found} <= set(OVER)
        assert not ids & {each["id"] for each in found}
        ids |= {each["id"] for each in found}
        assert person.fates.keys() <= {each["id"] for each in found}, at
    return len(ids)


async def forgotten(persons: list[Person]) -> None:
    for person in persons:
        for job in (await person.http.get("/v1/jobs", params={"limit": 100})).json()["data"]:
            assert (await person.http.delete(f"/v1/jobs/{job['id']}")).json()["deleted"]


def consistent(data: Path) -> tuple[int, bool]:
    """How many jobs the table has; whether its pictures are of jobs there are, and are just the blobs there are."""
    with closing(sqlite3.connect(data / "haiga.db")) as database:
        jobs = set(database.execute("SELECT workspace, id FROM image_jobs"))
        pictures = list(database.execute("SELECT workspace, job, digest FROM image_pictures"))
    blobs = {path.name for path in (data / "blobs").glob("??/*")}
    named = {digest for *_, digest in pictures}
    return len(jobs), {(workspace, job) for workspace, job, _ in pictures} <= jobs and named == blobs
