"""Metrics and log lines: bounded labels, buffered writing, no words of exceptions."""

import asyncio
import json
import re

import pytest

from schema.server.logs import Log
from schema.server.metrics import FLUSH_SECONDS, Metrics
from schema.transport.operations import RequestRecord

HELLO = RequestRecord("req-1", "amy", "Hello", "query", "ok", 200, 0.0123456, None, client="192.0.2.1")
COUNTED = re.compile(r'home_visits_requests_total\{operation="(.+)",outcome="(.+)",type="(.+)"\} (.+)')


USED = re.compile(r'home_visits_deprecated_uses_total\{application="(.+)",part="(.+)"\} (.+)')


def uses(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Return the count of uses by deprecated part and application."""
    exported = metrics.export().decode().splitlines()
    return {(match[2], match[1]): float(match[3]) for line in exported if (match := USED.fullmatch(line))}


def counts(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the count of requests by operation, outcome and type."""
    exported = metrics.export().decode().splitlines()
    return {match.groups()[:3]: float(match[4]) for line in exported if (match := COUNTED.fullmatch(line))}


async def test_200_names_of_operations_are_counted_apart_and_all_others_together() -> None:
    metrics = Metrics(Log("json"))

    for number in [*range(250), *range(250)]:
        metrics.record(HELLO._replace(operation_name=f"Made{number}Up"))

    assert counts(metrics) == {(f"Made{number}Up", "ok", "query"): 2 for number in range(200)} | {("other", "ok", "query"): 100}


async def test_uses_of_deprecated_parts_are_counted_by_application_and_logged_with_the_caller(
    capfd: pytest.CaptureFixture[str],
) -> None:
    metrics = Metrics(Log("json"))
    old = HELLO._replace(application="booking-app", deprecated=("HomeVisit.host", "VisitHost.OTHER"))

    for record in (HELLO, old, old, old._replace(application=None, deprecated=("HomeVisit.host",))):
        metrics.record(record)

    assert uses(metrics) == {
        ("HomeVisit.host", "booking-app"): 2,
        ("VisitHost.OTHER", "booking-app"): 2,
        ("HomeVisit.host", "none"): 1,
    }
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(line["caller"], line.get("deprecated")) for line in lines] == [
        ("amy", None),
        ("amy", "HomeVisit.host VisitHost.OTHER"),
        ("amy", "HomeVisit.host VisitHost.OTHER"),
        ("amy", "HomeVisit.host"),
    ]


async def test_so_many_applications_are_counted_apart_and_all_others_together() -> None:
    metrics = Metrics(Log("json"))

    for number in [*range(250), *range(250)]:
        metrics.record(HELLO._replace(application=f"app {number}", deprecated=("HomeVisit.host",)))

    apart = {("HomeVisit.host", f"app {number}"): 2 for number in range(200)}
    assert uses(metrics) == apart | {("HomeVisit.host", "other"): 100}


def test_what_only_grows_is_a_counter_of_all_that_was_counted() -> None:
    metrics, sent = Metrics(Log("json")), [3]
    metrics.counter("events_sent", "Events that subscribers were sent.", lambda: sent[0])

    first = metrics.export().decode()
    sent[0] = 5
    second = metrics.export().decode()

    assert "# TYPE home_visits_events_sent_total counter\nhome_visits_events_sent_total 3.0\n" in first
    assert "\nhome_visits_events_sent_total 5.0\n" in second


async def test_long_names_of_operations_share_the_label_of_others_and_leave_nothing_behind() -> None:
    metrics = Metrics(Log("json"))

    for name in ("x" * 100, *(f"x{number:0100}" for number in range(1_000))):
        metrics.record(HELLO._replace(operation_name=name))

    assert counts(metrics) == {("x" * 100, "ok", "query"): 1, ("other", "ok", "query"): 1_000}


async def test_what_has_no_name_or_no_operation_takes_none_of_the_names() -> None:
    metrics = Metrics(Log("json"))

    metrics.record(HELLO._replace(operation_name=None))
    for number in range(300):
        metrics.record(HELLO._replace(operation_name=f"Broken{number}", operation_type=None, outcome="BAD_REQUEST"))
    metrics.record(HELLO)

    assert counts(metrics) == {("anonymous", "ok", "query"): 1, ("none", "BAD_REQUEST", "none"): 300, ("Hello", "ok", "query"): 1}


async def test_records_are_flushed_together_within_moments(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("json")
    metrics = Metrics(log)

    for number in range(3):
        metrics.record(HELLO._replace(request_id=f"req-{number}"))
    at_once = capfd.readouterr().out
    await asyncio.sleep(2 * FLUSH_SECONDS)
    log.flush()

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert at_once == ""
    assert [line["request_id"] for line in lines] == ["req-0", "req-1", "req-2"]
    assert len({line.pop("timestamp") for line in lines}) == 1
    assert lines[0] == {
        "level": "info",
        "event": "request",
        "request_id": "req-0",
        "operation": "Hello",
        "type": "query",
        "caller": "amy",
        "client": "192.0.2.1",
        "outcome": "ok",
        "status": 200,
        "milliseconds": 12.34,
    }


async def test_gauges_are_refreshed_and_the_last_records_flushed(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log("json")
    metrics, queued = Metrics(log), [3.0]
    metrics.gauge("queued", "How many are queued.", lambda: queued[0])

    task = asyncio.create_task(metrics.keep_fresh())
    await asyncio.sleep(0)
    metrics.record(HELLO)
    task.cancel()
    await asyncio.wait([task])
    log.flush()

    assert json.loads(capfd.readouterr().out)["request_id"] == "req-1"
    assert "home_visits_queued 3.0" in metrics.export().decode().splitlines()
