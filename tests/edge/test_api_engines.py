"""Engine hosts over HTTP: register, claim, report, logs, leases, return."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.edge.conftest import CAPACITY, WHOLE, Api

KEY = ("address", "lease")


def key(task: dict[str, Any]) -> dict[str, Any]:
    return {name: task[name] for name in KEY}


def part(task: dict[str, Any], data: bytes, offset: int = 0, stream: str = "stdout") -> dict[str, Any]:
    return {**key(task), "stream": stream, "offset": offset, "data": base64.b64encode(data).decode()}


def test_an_engine_is_told_where_things_are(api: Api) -> None:
    found = api.engine()
    assert found["store"] == api.services.store
    assert found["blobs"].startswith("file:///")
    assert found["lease_until"].endswith("Z")
    assert found["log_limit"] == 10_000_000
    engines = api.get("/engines")["items"]
    assert [(item["name"], item["alive"], item["capacity"]["total"]["cpu"]) for item in engines] == [
        ("local", True, 64)
    ]


def test_a_second_process_of_the_same_name_is_refused(api: Api) -> None:
    api.engine()
    body = {"kind": "local", "site": "x", "session": "other", "capacity": CAPACITY}
    assert api.post("/engines/local/register", body, 409)["code"] == "engine-running"
    assert (
        api.post("/engines/local/claim", {"session": "other", "offer": WHOLE, "limit": 1}, 409)["code"]
        == "engine-session"
    )


def test_a_second_process_takes_over_when_the_lease_of_the_first_is_over_and_the_first_is_refused_then(
    api: Api,
) -> None:
    api.submit()
    api.engine(session="first")
    task, *_ = api.claim(1, session="first")
    body = {"kind": "local", "site": "x", "session": "second", "capacity": CAPACITY}
    api.clock.advance(api.services.limits.lease - 1)
    refused = api.post("/engines/local/register", body, 409)
    assert "in 1 s" in refused["hint"]
    api.clock.advance(2)
    api.post("/engines/local/register", body)
    key = {"address": task["address"], "lease": task["lease"]}
    end = {"session": "first", "ended": [{**key, "reason": "ok"}]}
    assert api.post("/engines/local/report", end, 409)["code"] == "engine-session"
    again = {**body, "session": "first"}
    assert api.post("/engines/local/register", again, 409)["code"] == "engine-running"
    assert api.get("/datasets/1")["tasks"]["done"] == 0


def test_an_engine_that_leaves_with_nothing_frees_its_name_and_one_with_attempts_keeps_it(api: Api) -> None:
    api.submit()
    api.engine(session="first")
    tasks = api.claim(session="first")
    assert api.post("/engines/local/leave", {"session": "first"}) == {"free": False}
    body = {"kind": "local", "site": "x", "session": "second", "capacity": CAPACITY}
    api.post("/engines/local/register", body, 409)
    for task in tasks:
        api.report(session="first", ended=[{"address": task["address"], "lease": task["lease"], "reason": "exit"}])
    assert api.post("/engines/local/leave", {"session": "first"}) == {"free": True}
    assert [item["alive"] for item in api.get("/engines")["items"]] == [False]
    api.post("/engines/local/register", body)
    assert api.post("/engines/local/leave", {"session": "first"}, 409)["code"] == "engine-session"
    assert api.faults() == []


@pytest.mark.parametrize("call", ["heartbeat", "claim", "report", "logs", "leases", "return", "leave"])
def test_an_engine_that_is_not_registered_is_told_so(api: Api, call: str) -> None:
    body: dict[str, Any] = {"session": "s1"}
    more = {"heartbeat": {"capacity": CAPACITY}, "claim": {"offer": WHOLE, "limit": 1}, "return": {"tasks": []}}
    assert api.post(f"/engines/ghost/{call}", {**body, **more.get(call, {})}, 409)["code"] == "engine-session"


def test_a_dataset_runs_to_its_end(api: Api) -> None:
    api.submit()
    api.engine()
    for task in api.claim():
        assert api.finish(task, data=b"hello") == {"taken": 2, "stale": []}
    seconds = api.claim()
    assert [task["inputs"][0]["name"] for task in seconds] == ["a.txt"] * 3
    assert len({task["recipe"] for task in seconds}) == 1
    assert api.get(f"/recipes/{seconds[0]['recipe']}")["plan"]["name"] == "chain"
    for task in seconds:
        api.finish(task, usage={"wall": 1.5, "cpu": 1.0, "memory": 10**7})
    status = api.get("/datasets/1")
    assert (status["state"], status["jobs"]["done"], status["tasks"]["done"]) == ("done", 3, 6)
    assert api.get("/status/1/0/second%231")["wall"] == 1.5
    assert api.faults() == []


def test_a_report_sent_again_changes_nothing(api: Api) -> None:
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    assert api.finish(task) == {"taken": 2, "stale": []}
    assert api.finish(task) == {"taken": 2, "stale": []}
    assert api.get("/datasets/1")["tasks"]["done"] == 1
    assert api.faults() == []


def test_reports_with_another_key_are_stale(api: Api) -> None:
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    strange = [
        {**task, "lease": "1"},
        {**task, "lease": "f" * 16},
        {**task, "address": "1/0/first#2"},
        {**task, "address": "9/0/first#1"},
        {**task, "address": "1/0/none#1"},
        {**task, "address": "nonsense"},
        {**task, "address": "1/0"},
    ]
    found = api.report(ended=[{**key(item), "reason": "ok"} for item in strange])
    assert found["taken"] == 0
    assert sorted(item["address"] for item in found["stale"]) == sorted(item["address"] for item in strange)
    assert api.get("/status/1/0/first")["state"] == "queued"
    assert api.faults() == []


@pytest.mark.parametrize(
    "garbage",
    [
        {"usage": {"memory": "lots"}},
        {"usage": {"wall": float("nan")}},
        {"exit": 99999},
        {"started": -5},
        {"outputs": [{"name": "x"}]},
        {"outputs": "none"},
        {"reason": "because"},
        {"host": "h" * 300},
        {"detail": []},
        {"inputs": None},
    ],
)
def test_an_outcome_that_is_garbage_fails_its_attempt_and_no_other(api: Api, garbage: dict[str, Any]) -> None:
    import json

    api.submit()
    api.engine()
    bad, good = api.claim(2)
    ended = [{**key(bad), "reason": "ok", **garbage}, {**key(good), "reason": "ok"}]
    body = json.dumps({"session": "s1", "ended": ended})
    headers = {"Content-Type": "application/json"}
    assert api.call("POST", "/api/v1/engines/local/report", content=body, headers=headers) == {"taken": 2, "stale": []}
    assert api.get(f"/status/{good['address'].split('#')[0]}")["state"] == "done"
    found = api.get(f"/status/{bad['address'].replace('#', '%23')}")
    assert found["reason"] == "invalid"
    assert api.faults() == []


def test_zero_bytes_and_long_texts_in_outcomes_are_made_harmless(api: Api) -> None:
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    api.finish(task, "exit", exit=1, message="a\x00b" + "x" * 10_000)
    found = api.get("/status/1/0/first%231")["message"]
    assert "\x00" not in found
    assert 500 < len(found) < 5000


def test_an_outcome_without_a_key_is_refused(api: Api) -> None:
    api.engine()
    assert (
        api.post("/engines/local/report", {"session": "s1", "ended": [{"reason": "ok"}]}, 422)["code"]
        == "invalid-request"
    )
    assert api.post("/engines/local/report", {"session": "s1", "ended": ["x"]}, 422)["code"] == "invalid-request"


def test_stops_are_told_until_the_end_is_reported(api: Api) -> None:
    api.submit()
    api.engine()
    tasks = api.claim()
    api.post("/actions", {"verb": "hold", "addresses": ["1"]})
    beat = {"session": "s1", "capacity": CAPACITY}
    for _ in range(2):
        assert len(api.post("/engines/local/heartbeat", beat)["stops"]) == 3
    ended = [{**key(task), "reason": "terminated"} for task in tasks]
    assert api.report(ended=ended)["taken"] == 3 - len(api.report(ended=ended)["stale"])
    assert api.post("/engines/local/heartbeat", beat)["stops"] == []
    assert api.faults() == []


def test_leases_are_listed_and_given_back(api: Api) -> None:
    api.submit()
    api.engine()
    tasks = api.claim()
    leases = api.post("/engines/local/leases", {"session": "s1"})
    assert [key(item) for item in leases["leases"]] == [key(task) for task in tasks]
    assert {item["state"] for item in leases["leases"]} == {"queued"}
    assert leases["next"] is None
    assert api.post("/engines/local/leases", {"session": "s1", "after": "1"})["leases"] == []
    assert api.post("/engines/local/leases", {"session": "s1", "after": "-1"}, 422)["code"] == "bad-page"
    given = {"session": "s1", "tasks": [key(task) for task in tasks[:2]], "reason": "full"}
    assert api.post("/engines/local/return", given) == {"taken": 2}
    assert api.get("/datasets/1")["tasks"]["ready"] == 2
    assert api.get("/status/1/0/first")["tries"] == 0
    assert api.faults() == []


def test_a_task_that_gathers_gets_the_outputs_of_all_jobs(api: Api) -> None:
    api.submit(
        "name: g\njobs: 2\ntasks:\n  a: {run: x, outputs: [a.txt]}\n"
        "  sum: {once: true, inputs: [a/a.txt], run: 'cat {inputs}'}\n"
    )
    api.engine()
    for task in api.claim():
        api.finish(task, data=task["address"].encode())
    task = api.claim()[0]
    assert task["address"] == "1/sum#1"
    assert task["jobs"] == 2
    assert [(item["task"], item["job"]) for item in task["inputs"]] == [("a", 0), ("a", 1)]


def test_logs_are_kept_read_and_followed(api: Api) -> None:
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    send = {"session": "s1", "parts": [part(task, b"one\n"), part(task, b"two\n", 4), part(task, b"oops", 0, "stderr")]}
    for _ in range(2):
        assert api.post("/engines/local/logs", send) == {"taken": 3}
    found = api.get("/logs/1/0/first")
    assert (found["text"], found["next"], found["total"], found["complete"]) == ("one\ntwo\n", 8, 8, False)
    assert found["address"] == "1/0/first#1"
    assert api.get("/logs/1/0/first%231?offset=4")["text"] == "two\n"
    assert api.get("/logs/1/0/first?tail=4")["text"] == "two\n"
    assert api.get("/logs/1/0/first?stream=stderr")["text"] == "oops"
    assert api.get("/logs/1/0/first?offset=2&limit=3")["text"] == "e\nt"
    plain = api.http.get("/api/v1/logs/1/0/first", headers={**api.headers, "Accept": "text/plain"})
    assert (plain.text, plain.headers["content-type"]) == ("one\ntwo\n", "text/plain; charset=utf-8")
    api.post("/engines/local/logs", {"session": "s1", "finished": [task["address"]]})
    assert api.get("/logs/1/0/first")["complete"] is True
    assert api.get("/logs/1/0/first?stream=stdin", 422)["code"] == "invalid-request"
    assert api.get("/logs/1/0", 422)["code"] == "bad-level"
    assert api.get("/logs/1/0/none", 404)["code"] == "no-task"


def test_an_engine_is_told_which_logs_of_its_own_that_grow_somebody_reads(api: Api) -> None:
    api.submit()
    api.engine()
    one, two, three = api.claim(3)
    api.post("/engines/local/logs", {"session": "s1", "parts": [part(two, b"x")], "finished": [two["address"]]})
    beat = {"session": "s1", "capacity": CAPACITY}
    assert "looked" not in api.post("/engines/local/heartbeat", beat)
    for task in (one, two):  # of which one is over
        api.get(f"/logs/{task['address'].replace('#', '%23')}")
    api.get(f"/logs/{three['address'].replace('#', '%23')}?stream=script", 200)
    api.clock.advance(1)
    assert api.post("/engines/local/heartbeat", beat)["looked"] == [key(one)]
    api.engine("other", session="s2")
    assert api.post("/engines/other/heartbeat", {**beat, "session": "s2"})["looked"] == []
    api.clock.advance(60)
    assert "looked" not in api.post("/engines/local/heartbeat", beat)


def test_what_was_submitted_is_shown_and_only_by_whose_it_is(api: Api) -> None:
    api.submit()
    api.engine()
    one, two = api.claim(2)
    strange = {**key(two), "lease": "f00"}
    send = {"session": "s1", "scripts": [{"text": "#!/bin/sh\n", "tasks": [key(one), strange]}]}
    assert api.post("/engines/local/scripts", send) == {"taken": 1}
    found = api.get(f"/logs/{one['address'].replace('#', '%23')}?stream=script")
    assert (found["text"], found["complete"]) == ("#!/bin/sh\n", True)
    assert api.get(f"/logs/{two['address'].replace('#', '%23')}?stream=script")["text"] == ""
    api.post("/engines/local/scripts", {**send, "session": "other"}, 409)


def test_a_letter_cut_by_a_part_comes_whole_with_the_next(api: Api) -> None:
    api.submit()
    api.engine()
    task = api.claim(1)[0]
    api.post("/engines/local/logs", {"session": "s1", "parts": [part(task, "aé…z".encode())]})
    text, offset = "", 0
    for _ in range(20):
        found = api.get(f"/logs/1/0/first?offset={offset}&limit=4")
        text, offset = text + found["text"], found["next"]
        if offset >= found["total"]:
            break
    assert text == "aé…z"


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "1/0/first"},
        {"address": "../../x#1"},
        {"stream": "stdlog"},
        {"offset": -1},
        {"data": "not base64!"},
        {"lease": "xyz"},
    ],
)
def test_log_parts_that_cannot_be_are_refused(api: Api, wrong: dict[str, Any]) -> None:
    api.submit()
    api.engine()
    send = {"session": "s1", "parts": [{**part(api.claim(1)[0], b"x"), **wrong}]}
    assert api.post("/engines/local/logs", send, 422)["status"] == 422


@pytest.mark.parametrize(
    "body",
    [
        {"session": "s1", "offer": WHOLE, "limit": 0},
        {"session": "s1", "offer": WHOLE, "limit": 10_001},
        {"session": "s1", "offer": {"cpu": -1}, "limit": 1},
        {"session": "", "offer": WHOLE, "limit": 1},
        {"session": "s1", "limit": 1},
        {"session": "s1", "offer": WHOLE, "limit": 1, "more": 1},
    ],
)
def test_claims_that_cannot_be_are_refused(api: Api, body: dict[str, Any]) -> None:
    api.engine()
    assert api.post("/engines/local/claim", body, 422)["code"] == "invalid-request"


def test_a_claim_that_an_old_list_left_short_looks_again(api: Api) -> None:
    from dataclasses import replace

    from fastapi.testclient import TestClient

    from nunatak.api.app import create_app

    slow = replace(api.services, limits=replace(api.services.limits, demand=60.0))
    with TestClient(create_app(slow)) as client:
        other = Api(slow, client)
        other.engine()
        assert other.claim() == []
        other.submit()
        assert len(other.claim(2)) == 2
        assert len(other.claim(5)) == 1
