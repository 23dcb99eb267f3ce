"""The clock of the server is set back by an hour: nothing stands still, nothing is lost, nothing shows negative times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from nunatak.api.app import create_app
from nunatak.core.clock import ManualClock
from nunatak.loops.maintenance import loops_of
from tests.edge.conftest import CAPACITY, Api, services_at

HOUR = 3600.0
RECIPE = """\
name: two steps
jobs: 3
retry: {tries: 3, delay: 10 s}
tasks:
  first: {run: echo, outputs: [a.txt]}
  second: {run: cat a.txt, inputs: [first/a.txt]}
"""


class Server(Api):
    """A server whose clock the test sets, with its loops run by the test."""

    clock: ManualClock

    def keep_house(self) -> None:
        """Run every loop once, from the same process as before."""
        for loop in self.loops:
            loop.tick()

    def restart_loops(self) -> None:
        """Begin the loops as a new process does, which has not seen the clock before."""
        it = self.services
        self.loops = loops_of(
            it.database,
            it.contexts,
            it.storage,
            it.logs,
            it.clock,
            store=it.store,
            interval=0.5,
            lease=it.limits.lease,
        )

    def set_back(self) -> None:
        self.clock.advance(-HOUR)

    def pass_time(self, seconds: float) -> None:
        """Let time pass with the loops running."""
        for _ in range(round(seconds / 5)):
            self.clock.advance(5)
            self.keep_house()


@pytest.fixture
def server(tmp_path: Path, migrated_url: str) -> Iterator[Server]:
    services = services_at(tmp_path, migrated_url)
    with TestClient(create_app(services), raise_server_exceptions=True) as client:
        made = Server(services, client)
        made.restart_loops()
        made.keep_house()
        yield made
        assert made.faults() == []
        for path in ("/status/1", "/history/1", "/errors/1", "/why/1", "/engines", "/datasets/1/tasks", "/datasets"):
            assert negative(made.get(path)) == [], path
        for task in made.get("/datasets/1/tasks")["items"]:
            assert negative(made.get(f"/status/{task['address']}")) == []
            assert negative(made.get(f"/why/{task['address']}")) == []
        metrics = made.http.get("/metrics", headers=made.headers).text
        assert [line for line in metrics.splitlines() if re.search(r" -\d", line)] == []
    services.database.close()


def negative(plain: Any) -> list[Any]:
    """Return the numbers below zero in an answer, in its sentences too."""
    if isinstance(plain, dict):
        return [found for value in plain.values() for found in negative(value)]
    if isinstance(plain, list):
        return [found for value in plain for found in negative(value)]
    if isinstance(plain, str):
        return [plain] if re.search(r"(?<![\w-])-\d", plain) else []
    return [plain] if isinstance(plain, int | float) and plain < 0 else []


def test_tasks_that_are_out_are_reported_and_their_children_follow(server: Server) -> None:
    server.submit(RECIPE)
    server.engine()
    tasks = server.claim()
    start = [{"address": task["address"], "lease": task["lease"], "at": server.clock(), "host": "n"} for task in tasks]
    server.report(started=start[:2])
    server.set_back()
    server.keep_house()
    body = {"session": "s1", "capacity": {}}
    assert server.post("/engines/local/heartbeat", body)["stops"] == []
    assert [item["alive"] for item in server.get("/engines")["items"]] == [True]
    for task in tasks:
        assert server.finish(task, data=b"x", usage={"wall": 5.0})["stale"] == []
    for task in server.claim():
        server.finish(task)
    assert server.get("/datasets/1")["state"] == "done"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_task_that_waits_for_its_next_try_waits_no_longer_than_its_delay(server: Server, restarted: bool) -> None:
    server.submit(RECIPE)
    server.engine()
    for task in server.claim():
        server.finish(task, "exit", exit=1)
    assert server.claim() == []
    server.set_back()
    if restarted:
        server.restart_loops()
    server.keep_house()
    assert server.claim() == []  # the delay holds
    server.pass_time(15)
    assert len(server.claim()) == 3


@pytest.mark.parametrize("restarted", [False, True])
def test_tasks_of_an_engine_that_died_are_given_to_others_after_one_lease(server: Server, restarted: bool) -> None:
    server.submit(RECIPE)
    server.engine("dead")
    tasks = server.claim(name="dead")
    server.set_back()
    if restarted:
        server.restart_loops()
    server.keep_house()
    server.engine("alive")
    assert server.claim(name="alive") == []
    for _ in range(round(server.services.limits.lease / 10) + 1):
        server.pass_time(10)
        server.post("/engines/alive/heartbeat", {"session": "s1", "capacity": CAPACITY})
    assert [item["alive"] for item in server.get("/engines")["items"]] == [True, False]
    again = server.claim(name="alive")
    assert {task["address"].replace("#2", "#1") for task in again} == {task["address"] for task in tasks}


def test_an_engine_that_took_the_place_of_a_dead_one_is_let_in_after_one_lease(server: Server) -> None:
    server.submit(RECIPE)
    server.engine("twin", "first")
    server.set_back()
    server.keep_house()
    body = {"kind": "simulated", "site": "here", "session": "second", "capacity": {}}
    refused = server.post("/engines/twin/register", body, 409)
    assert negative(refused) == []
    server.pass_time(server.services.limits.lease + 5)
    server.post("/engines/twin/register", body)


def test_leases_renewed_before_the_step_hold_for_an_engine_that_is_alive(server: Server) -> None:
    server.submit(RECIPE)
    server.engine()
    tasks = server.claim()
    server.set_back()
    for _ in range(20):
        server.pass_time(30)
        server.post("/engines/local/heartbeat", {"session": "s1", "capacity": {}})
    for task in tasks:
        assert server.finish(task, data=b"x")["stale"] == []
    assert server.get("/datasets/1")["tasks"]["done"] == 3


def test_when_the_clock_jumps_ahead_by_more_than_a_lease_engines_that_are_alive_keep_their_tasks(
    server: Server,
) -> None:
    server.submit(RECIPE)
    server.engine()
    server.engine("dead")
    tasks, lost = server.claim(2), server.claim(name="dead")
    server.clock.advance(HOUR)
    server.keep_house()
    for _ in range(20):
        server.post("/engines/local/heartbeat", {"session": "s1", "capacity": {}})
        server.pass_time(5)
    for task in tasks:
        assert server.finish(task, data=b"x")["stale"] == []
    again = server.claim()
    assert {task["address"].partition("#")[0] for task in lost} <= {task["address"].partition("#")[0] for task in again}


def test_tokens_and_idempotency_keys_go_on_being_good(server: Server) -> None:
    server.headers["Idempotency-Key"] = "k" * 8
    assert server.submit(RECIPE) == 1
    del server.headers["Idempotency-Key"]
    before = server.token("read", days=1)
    server.get("/whoami", headers=before)
    server.set_back()
    server.get("/whoami", headers=before)
    after = server.token("read", days=1)
    assert server.get("/whoami", headers=after)["scopes"] == ["read"]
    again = {"Idempotency-Key": "k" * 8}
    assert server.submit(RECIPE, headers=again) == 1
    server.post("/datasets", {"text": RECIPE + " ", "filename": "chain.yaml"}, 409, headers=again)
    server.clock.advance(HOUR)
    server.get("/whoami", headers=after)
    server.clock.advance(25 * HOUR)
    assert server.get("/whoami", 401, headers=after)["code"] == "expired-token"
    server.headers = server.token("admin", "root")
