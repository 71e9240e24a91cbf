"""Webhook endpoints and deliveries in the database."""

from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from haiga.core.webhooks import Delivery, WebhookEndpoint, WebhookEvent
from haiga.stores.webhooks import DatabaseWebhooks, tell

ENDPOINT = WebhookEndpoint(
    "wh_a", "w", "mine", "https://a.example/", ("batch.failed", "batch.completed"), 1, 2, "…abcd"
)
DONE = WebhookEvent("batch.completed", "batch_1", "w", 100)
NOTED = Delivery("wh_a", DONE, next_at=100)


@pytest.fixture
def webhooks(database: AsyncEngine) -> DatabaseWebhooks:
    return DatabaseWebhooks(database)


async def note(database: AsyncEngine, *events: WebhookEvent) -> None:
    async with database.begin() as connection:
        for event in events:
            await tell(connection, event)


async def test_an_endpoint_comes_back_to_its_workspace_alone_until_it_is_removed(webhooks: DatabaseWebhooks) -> None:
    assert await webhooks.add(ENDPOINT, 9)
    changed = replace(ENDPOINT, url="https://b.example/", old_until=7, failing_since=3)
    await webhooks.replace(changed)
    assert [changed, None] == [await webhooks.get(workspace, "wh_a") for workspace in ("w", "x")]
    assert [False, True, False] == [await webhooks.remove(workspace, "wh_a") for workspace in ("x", "w", "w")]


async def test_a_workspace_has_no_more_endpoints_than_its_limit(webhooks: DatabaseWebhooks) -> None:
    added = [await webhooks.add(replace(ENDPOINT, id=f"wh_{i}", workspace=w), 2) for w in "wx" for i in (w, w * 2, 3)]
    assert [True, True, False] * 2 == added
    assert ["wh_ww", "wh_w"] == [endpoint.id for endpoint in await webhooks.page("w", 9, None)]
    assert [["wh_ww"], ["wh_w"], []] == [
        [endpoint.id for endpoint in await webhooks.page("w", 1, after)] for after in (None, "wh_ww", "wh_w")
    ]


async def test_an_event_is_noted_once_for_each_enabled_endpoint_that_wants_it(
    webhooks: DatabaseWebhooks, database: AsyncEngine
) -> None:
    others = {
        "wh_b": replace(ENDPOINT, id="wh_b", types=("batch.completed",)),
        "wh_type": replace(ENDPOINT, id="wh_type", types=("batch.failed", "batch.completed.not")),
        "wh_workspace": replace(ENDPOINT, id="wh_workspace", workspace="x"),
        "wh_disabled": replace(ENDPOINT, id="wh_disabled", disabled="by hand"),
    }
    for endpoint in (ENDPOINT, *others.values()):
        await webhooks.add(endpoint, 9)
    await note(database, DONE, DONE, replace(DONE, at=200))
    assert [NOTED] == await webhooks.log("wh_a", 9, None)
    assert [1, 0, 0, 0] == [len(await webhooks.log(id, 9, None)) for id in others]


async def test_an_event_is_not_noted_when_what_it_tells_of_is_rolled_back(
    webhooks: DatabaseWebhooks, database: AsyncEngine
) -> None:
    await webhooks.add(ENDPOINT, 9)
    with pytest.raises(KeyError):
        async with database.begin() as connection:
            await tell(connection, DONE)
            raise KeyError
    assert [] == await webhooks.log("wh_a", 9, None)


async def test_a_delivery_is_claimed_by_one_and_due_again_when_that_one_is_gone(
    webhooks: DatabaseWebhooks, database: AsyncEngine
) -> None:
    await webhooks.add(ENDPOINT, 9)
    await note(database, DONE)
    assert [] == await webhooks.claim(99, 130, 9, 9, {})
    assert [(replace(NOTED, attempts=1, next_at=130), ENDPOINT)] == await webhooks.claim(100, 130, 9, 9, {})
    assert [] == await webhooks.claim(129, 159, 9, 9, {})
    assert [(replace(NOTED, attempts=2, next_at=160), ENDPOINT)] == await webhooks.claim(130, 160, 9, 9, {})


async def test_one_endpoint_takes_no_more_than_its_share(webhooks: DatabaseWebhooks, database: AsyncEngine) -> None:
    for id in ("wh_a", "wh_b"):
        await webhooks.add(replace(ENDPOINT, id=id, types=("batch.completed", f"only.{id}")), 9)
    await note(database, *(WebhookEvent("only.wh_a", f"batch_{i}", "w", i) for i in range(10)), DONE)
    assert {"wh_a": 2, "wh_b": 1} == counted(await webhooks.claim(100, 130, 9, 2, {}))
    assert {"wh_a": 1} == counted(await webhooks.claim(100, 130, 9, 2, {"wh_a": 1}))
    assert {} == counted(await webhooks.claim(100, 130, 9, 2, {"wh_a": 2}))
    assert {"wh_a": 1} == counted(await webhooks.claim(100, 130, 1, 2, {}))


def counted(claimed: list[tuple[Delivery, WebhookEndpoint]]) -> dict[str, int]:
    ids = [delivery.endpoint for delivery, _ in claimed]
    return {id: ids.count(id) for id in sorted(ids)}


async def test_what_came_of_a_try_is_kept_unless_it_was_overtaken(
    webhooks: DatabaseWebhooks, database: AsyncEngine
) -> None:
    await webhooks.add(ENDPOINT, 9)
    await note(database, DONE)
    ((first, endpoint),) = await webhooks.claim(100, 130, 9, 9, {})
    late = replace(first, state="failed", status=500, last_at=101, next_at=None)
    ((second, _),) = await webhooks.claim(130, 160, 9, 9, {})
    done = replace(second, state="delivered", status=204, last_at=131, next_at=None)
    await webhooks.record(done, replace(endpoint, failing_since=None))
    await webhooks.record(late, endpoint)
    assert done == await webhooks.delivery("wh_a", DONE.id)


async def test_what_waits_for_an_endpoint_that_is_disabled_has_failed_and_can_be_sent_again(
    webhooks: DatabaseWebhooks, database: AsyncEngine
) -> None:
    await webhooks.add(ENDPOINT, 9)
    await note(database, DONE, replace(DONE, subject="batch_2"))
    ((first, _),) = await webhooks.claim(100, 130, 1, 9, {})
    await webhooks.record(
        replace(first, status=410, state="failed", next_at=None), replace(ENDPOINT, disabled="gone", failing_since=100)
    )
    assert ["failed"] * 2 == [delivery.state for delivery in await webhooks.log("wh_a", 9, None)]
    kept = await webhooks.get("w", "wh_a")
    assert kept == replace(ENDPOINT, disabled="gone", failing_since=100)
    await webhooks.replace(ENDPOINT)
    await webhooks.send_again("wh_a", DONE.id, 500)
    assert [DONE.id] == [delivery.event.id for delivery, _ in await webhooks.claim(500, 530, 9, 9, {})]


async def test_the_log_is_paged_newest_first_and_forgotten_in_time(
    webhooks: DatabaseWebhooks, database: AsyncEngine
) -> None:
    await webhooks.add(ENDPOINT, 9)
    await note(database, *(replace(DONE, subject=f"batch_{at}", at=at) for at in (1, 2, 3)))
    newest = await webhooks.log("wh_a", 2, None)
    assert ["batch_3", "batch_2"] == [delivery.event.subject for delivery in newest]
    assert ["batch_1"] == [each.event.subject for each in await webhooks.log("wh_a", 2, newest[-1].event.id)]
    ((first, _),) = await webhooks.claim(1, 30, 1, 1, {})
    await webhooks.record(replace(first, state="delivered", next_at=None), ENDPOINT)
    await webhooks.forget(3)  # the second still waits
    assert ["batch_3", "batch_2"] == [delivery.event.subject for delivery in await webhooks.log("wh_a", 9, None)]
