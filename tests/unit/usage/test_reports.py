"""The Admin API's reports: every bucket there, paged, priced in cents."""

import json
from typing import Any

import pytest

from haiga.core.access import Workspace
from haiga.core.errors import HaigaError
from haiga.core.generation import Usage
from haiga.core.records import Cost, Question, Total
from haiga.wire.anthropic.reports import (
    read_cost_report,
    read_usage_report,
    write_cost_report,
    write_usage_report,
)

NOON = 1_800_014_400 + 12 * 3600  # 2027-01-15 12:00 UTC, a whole day and a half after its Monday
DAY = 86400
TEAM = Workspace("team", "wrkspc_1", 0)
USAGE, COST = Usage(1, 2, 3, 4, 5), Cost(10_000_000, 20, 30, 40, 5_000_000)


def usage(*query: tuple[str, str]) -> Any:
    return read_usage_report([("starting_at", "2027-01-14T05:00:00Z"), *query], [TEAM], NOON)


def written(report: Any, totals: list[Total]) -> Any:
    return json.loads(write_usage_report(report, totals, [TEAM]))


def test_a_span_is_whole_days_up_to_the_present_one_unless_it_says_otherwise() -> None:
    report = usage()
    assert Question(1_799_884_800, NOON // DAY * DAY + DAY, DAY) == report.question
    hours = usage(("bucket_width", "1h"), ("ending_at", "2027-01-14T08:30:00+00:00"))
    assert (3600, 3 * 3600) == (hours.width, hours.question.until - hours.question.since)


def test_groups_and_filters_are_read_with_brackets_and_without() -> None:
    report = usage(
        ("group_by[]", "model"), ("group_by", "workspace_id"), ("workspace_ids[]", "wrkspc_1"), ("models", "m")
    )
    assert ("model", "workspace") == report.question.by
    assert {"workspace": ("team",), "model": ("m",)} == report.question.only


def test_pages_join_to_the_whole() -> None:
    starts, page = [], ()
    while True:
        report = usage(("bucket_width", "1h"), ("limit", "7"), *page)
        body = written(report, [])
        starts += [bucket["starting_at"] for bucket in body["data"]]
        if not body["has_more"]:
            break
        page = (("page", body["next_page"]),)
    assert starts == [
        bucket["starting_at"] for bucket in written(usage(("bucket_width", "1h"), ("limit", "168")), [])["data"]
    ]
    assert len(starts) == len(set(starts))


def test_a_bucket_has_its_rows_and_an_empty_one_none() -> None:
    report = usage(("group_by[]", "workspace_id"), ("group_by[]", "api_key_id"))
    start = report.question.since + DAY
    rows = [Total(start, (name, "key_1"), 3, USAGE, COST) for name in ("team", "default")]
    body = written(report, rows)
    assert [0, 2, *[0] * (len(body["data"]) - 2)] == [len(bucket["results"]) for bucket in body["data"]]
    row, default = body["data"][1]["results"]
    assert ("wrkspc_1", "key_1", None, None) == tuple(
        row[name] for name in ("workspace_id", "api_key_id", "model", "service_tier")
    )
    assert None is default["workspace_id"]
    assert (1, 4, 5, {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}) == tuple(
        row[name] for name in ("uncached_input_tokens", "cache_read_input_tokens", "output_tokens", "cache_creation")
    )


def test_costs_are_cents_together_or_by_kind_of_token() -> None:
    query = [("starting_at", "2027-01-14T00:00:00Z")]
    report = read_cost_report(query, NOON)
    body = json.loads(write_cost_report(report, [Total(report.question.since, (), 1, USAGE, COST)], [TEAM]))
    (row,) = body["data"][0]["results"]
    assert ("1.500009", "USD", None) == (row["amount"].rstrip("0"), row["currency"], row["description"])
    told = read_cost_report([*query, ("group_by[]", "description")], NOON)
    total = Total(told.question.since, ("m", "batch"), 1, USAGE, Cost(input=10_000_000, output=5_000_000))
    rows = json.loads(write_cost_report(told, [total], [TEAM]))["data"][0]["results"]
    assert [1.0, 0.5] == [float(row["amount"]) for row in rows]


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ([], "starting_at: Field required"),
        ([("starting_at", "soon")], "starting_at: Input should be a valid datetime"),
        ([("starting_at", "0001-01-01T00:00:00+23:59")], "starting_at"),
        ([("starting_at", "2027-01-14T00:00:00Z"), ("ending_at", "2027-01-14T00:00:00Z")], "ending_at: must be after"),
        ([("starting_at", "2027-01-14T00:00:00Z"), ("bucket_width", "1y")], "bucket_width"),
        (
            [("starting_at", "2027-01-14T00:00:00Z"), ("limit", "32")],
            "limit: Input should be a whole number from 1 to 31",
        ),
        ([("starting_at", "2027-01-14T00:00:00Z"), ("limit", "٣")], "limit"),
        ([("starting_at", "2027-01-14T00:00:00Z"), ("group_by[]", "mood")], "group_by"),
        ([("starting_at", "2027-01-14T00:00:00Z"), ("account_ids[]", "a")], "account_ids: this server keeps no record"),
        ([("page", "page_!")], "page: is no page"),
        ([("page", "page_OTk5OTk5OTk5OTk5OTk5OTk5")], "page: is no page"),
    ],
)
def test_a_query_that_is_wrong_names_its_parameter(query: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(HaigaError) as wrong:
        read_usage_report(query, [], NOON)
    assert problem in str(wrong.value)
