"""The engine host between a simulated engine and the real API: everything arrives, whoever is away or restarted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from nunatak.api.app import create_app
from nunatak.client.connection import Connection
from nunatak.client.engine import EngineClient
from nunatak.core.address import parse
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, Reason, Series, TaskSpec
from nunatak.datasets.tables import datasets
from nunatak.engines.behaviour import Behaviour
from nunatak.engines.keys import key_of, specs_of
from nunatak.engines.protocol import ALL_FINE, Changes, Handle, LogPart, Nodes, Script
from nunatak.engines.simulated import SimulatedEngine
from nunatak.engines.world import SimulatedAttempt, World
from nunatak.loops import engine_logs
from nunatak.loops.engine import EngineHost
from nunatak.loops.maintenance import Loop, Reaper, Runner
from nunatak.tasks.tables import attempts, tasks
from tests.edge.conftest import Api, services_at

RECIPE = """\
name: chain
jobs: 5
tasks:
  first: {run: "true"}
  second: {run: "true", after: first}
"""


class Wire(httpx2.BaseTransport):
    """The way to the server; it can be cut, and it can lose answers after the server did what was asked."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner
        self.cut = False
        self.lose = self.late = ""
        self.waiting: httpx2.Request | None = None
        self.asked: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.cut:
            raise httpx2.ConnectError("the wire is cut")
        verb = request.url.path.rsplit("/", 1)[-1]
        self.asked.append(verb)
        if verb == self.late:
            self.late, self.waiting = "", request
            raise httpx2.ReadError("the answer was not waited for")
        response = self.inner.handle_request(request)
        if verb == self.lose:
            self.lose = ""
            raise httpx2.ReadError("the answer was lost")
        return response

    def arrive(self) -> None:
        """Let the server do now what nobody waited for."""
        assert self.waiting is not None
        self.inner.handle_request(self.waiting)


class Site:
    """A server, a simulated world and the host between them, all by one clock."""

    def __init__(self, api: Api, **behaviour: Any) -> None:
        self.api = api
        self.clock = api.clock
        assert isinstance(self.clock, ManualClock)
        self.world = World(SimulatedEngine(clock=self.clock).world.slots.total, behaviour=Behaviour(**behaviour))
        self.wire = Wire(api.http._transport)
        self.token = api.token("engine")["Authorization"].removeprefix("Bearer ")
        self.start()

    def start(self, change: Callable[[SimulatedEngine], Any] = lambda engine: engine) -> None:
        """Start a host anew, as after a kill -9: nothing but the world and the server remember."""
        self.engine = change(SimulatedEngine(clock=self.clock, world=self.world))
        connection = Connection("http://testserver", self.token, patience=0.0, transport=self.wire)
        server = EngineClient(connection, "sim", "session-1")
        self.host = EngineHost(
            self.engine, server, kind="simulated", site="here", clock=self.clock, monotonic=self.clock
        )

    def until(self, done: Callable[[], bool], seconds: float = 1.0, most: int = 200) -> None:
        """Tick and let time pass until something is so."""
        for _ in range(most):
            if done():
                return
            self.host.tick()
            self.clock.advance(seconds)
        raise AssertionError("it did not come about")

    def status(self, number: int = 1) -> dict[str, Any]:
        return dict(self.api.get(f"/datasets/{number}"))

    def is_done(self) -> bool:
        return self.status()["state"] == "done"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    services = services_at(tmp_path)
    with TestClient(create_app(services), raise_server_exceptions=True) as client:
        yield Api(services, client)
    services.database.close()


@pytest.fixture
def site(api: Api) -> Site:
    return Site(api, duration=10.0)


def test_a_dataset_is_carried_to_its_end(site: Site) -> None:
    site.api.submit(RECIPE)
    site.until(site.is_done)
    assert site.status()["tasks"]["done"] == 10
    assert site.api.faults() == []
    site.until(lambda: not site.world.attempts)  # every end was acknowledged


def test_logs_are_whole_before_an_end_is_forgotten(site: Site) -> None:
    number = site.api.submit(RECIPE)
    site.until(lambda: bool(site.is_done() and not site.world.attempts))
    log = site.api.get(f"/logs/{number}/0/first")
    assert log["complete"]
    assert log["total"] == len(log["text"].encode()) > 0


def test_logs_of_running_attempts_are_there_already(api: Api) -> None:
    site = Site(api, duration=1000.0)
    number = api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.until(lambda: api.get(f"/logs/{number}/0/first")["total"] > 0)
    assert not api.get(f"/logs/{number}/0/first")["complete"]


class Asked(SimulatedEngine):
    """An engine that remembers whose logs it was asked for, and of whose it was told that somebody reads them."""

    def look(self, keys: Sequence[tuple[str, str]]) -> None:
        self.__dict__.setdefault("looks", []).append([address for address, _ in keys])

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        self.__dict__.setdefault("asked", set()).update(address for address, _, _ in offsets)
        return super().logs(offsets)


def test_logs_are_looked_for_of_what_runs_and_what_waits_takes_no_turn_from_it(api: Api) -> None:
    site = Site(api, duration=1000.0)
    world = World(replace(site.world.slots.total, cpu=2), behaviour=Behaviour(duration=1000.0))
    site.world = world
    engine = Asked(clock=site.clock, world=world)
    site.start(lambda _: engine)
    api.submit(RECIPE.replace("jobs: 5", "jobs: 20"))
    site.until(lambda: len(world.attempts) > 2 and site.status()["tasks"]["running"] == 2)
    site.until(lambda: all(api.get(f"/logs/1/{job}/first")["total"] > 0 for job in range(2)))
    assert engine.__dict__["asked"] == {"1/0/first#1", "1/1/first#1"}


def test_what_somebody_reads_is_carried_in_each_round_and_the_engine_knows_as_long_as_it_lasts(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_logs, "MOST_FOLLOWED", 1)
    site = Site(api, duration=1000.0)
    engine = Asked(clock=site.clock, world=site.world)
    site.start(lambda _: engine)
    api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    looks = engine.__dict__.setdefault("looks", [])
    assert looks == []
    api.get("/logs/1/3/first")
    site.until(lambda: bool(looks))
    assert looks == [["1/3/first#1"]]
    for _ in range(5):
        engine.__dict__["asked"].clear()
        site.until(lambda: bool(engine.__dict__["asked"]))
        assert "1/3/first#1" in engine.__dict__["asked"]
    site.until(lambda: len(looks) > 1)  # nobody reads it any more
    assert looks[1:] == [[]]


class Measuring(SimulatedEngine):
    """An engine that knows what its attempts used so far."""

    def using(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        self.__dict__.setdefault("measured", []).append([address for address, _ in keys])
        plain = {
            "wall": self._clock() - 1_800_000_000,
            "cpu": 30.5,
            "memory": 2_500_000_000,
            "started": 1,
            "disk": None,
        }
        return {key: json.dumps(plain).encode() for key in keys}


def test_what_a_running_attempt_uses_is_told_while_somebody_looks_and_never_beside_what_it_used_in_the_end(
    api: Api,
) -> None:
    site = Site(api, duration=100.0)
    engine = Measuring(clock=site.clock, world=site.world)
    site.start(lambda _: engine)
    api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.until(lambda: "claim" in site.wire.asked[-3:], most=20)
    assert "measured" not in engine.__dict__

    def used(job: int = 3) -> dict[str, Any]:
        return dict(api.get(f"/status/1/{job}/first")["attempts"][0])

    assert used()["wall"] is None  # but that was a look
    site.until(lambda: used()["wall"] is not None)
    first = used()
    assert (first["cpu"], first["memory"], first["disk"]) == (30.5, 2_500_000_000, None)
    assert api.get("/status/1/3/first%231")["memory"] == 2_500_000_000
    site.until(lambda: used()["wall"] > first["wall"])
    assert {tuple(keys) for keys in engine.__dict__["measured"]} == {("1/3/first#1",)}
    site.until(site.is_done)
    ended = used()
    assert ended["verdict"] == "ok"
    assert (ended["wall"], ended["cpu"]) != (first["wall"], first["cpu"])
    assert ended["memory"] != 2_500_000_000
    api.clock.advance(100.0)
    assert api.services.logs.using(parse("1/3/first#1")) is None


class Showing(SimulatedEngine):
    """An engine that shows what it submitted, once it has."""

    shown = True

    def scripts(self, handles: Sequence[Handle]) -> list[Script]:
        return [Script("#!/bin/sh\n", tuple(handles))] if self.shown else []


def test_what_was_submitted_can_be_read_at_the_server(site: Site) -> None:
    def showing(engine: SimulatedEngine) -> SimulatedEngine:
        engine.__class__ = Showing
        return engine

    site.start(showing)
    Showing.shown = False
    number = site.api.submit(RECIPE)
    script = f"/logs/{number}/0/first?stream=script"
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    assert site.api.get(script)["total"] == 0
    site.start(showing)  # another engine knows
    Showing.shown = True
    site.until(site.is_done)
    for job in range(5):
        assert site.api.get(f"/logs/{number}/{job}/first?stream=script")["text"] == "#!/bin/sh\n"


class Noting(SimulatedEngine):
    """An engine that notes whose tasks it gets."""

    def submit(self, batch: Sequence[TaskSpec | Series], nodes: Nodes = ALL_FINE) -> list[Handle]:
        whose: set[tuple[str, str]] = self.__dict__.setdefault("whose", set())
        whose |= {(spec.owner, spec.group) for item in batch for spec in specs_of(item)}
        return super().submit(batch, nodes)


def test_an_engine_is_told_whose_a_dataset_is(site: Site) -> None:
    engines = []

    def noting(engine: SimulatedEngine) -> SimulatedEngine:
        engine.__class__ = Noting
        engines.append(engine)
        return engine

    site.start(noting)
    site.api.submit(RECIPE)
    site.until(site.is_done)
    with site.api.services.database.read() as tx:
        (row,) = tx.execute(select(datasets.c.owner, datasets.c.team)).all()
    assert engines[0].__dict__["whose"] == {tuple(row)}
    assert row.owner == site.status()["owner"]


def test_nothing_is_lost_while_the_server_is_away(site: Site) -> None:
    site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.wire.cut = True
    for _ in range(50):
        site.host.tick()
        site.clock.advance(1.0)
    assert all(attempt.end for attempt in site.world.attempts.values())  # the engine went on
    site.wire.cut = False
    site.until(site.is_done)
    assert site.status()["tasks"]["done"] == 10
    assert all(len(site.api.get(f"/status/1/{job}/first")["attempts"]) == 1 for job in range(5))


def test_after_a_long_silence_leases_are_renewed_before_anything_else_is_told(site: Site) -> None:
    site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.wire.cut = True
    for _ in range(200):
        site.host.tick()
        site.clock.advance(1.0)
    site.wire.cut, site.wire.asked = False, []
    site.until(lambda: "report" in site.wire.asked)
    assert site.wire.asked[0] == "heartbeat"
    site.until(site.is_done)
    assert all(len(site.api.get(f"/status/1/{job}/first")["attempts"]) == 1 for job in range(5))


@pytest.mark.parametrize("lease", [6.0, 12.0, 19.0])
@pytest.mark.parametrize("away", ["the way", "the database"])
def test_ten_seconds_without_the_server_cost_no_lease_however_short_it_is(
    tmp_path: Path, migrated_url: str, monkeypatch: pytest.MonkeyPatch, lease: float, away: str
) -> None:
    services = services_at(tmp_path, migrated_url, lease=lease, heartbeat=lease / 5)
    with TestClient(create_app(services), raise_server_exceptions=True) as client:
        site = Site(Api(services, client), duration=60.0)
        reaper = Reaper(services.database, services.contexts, services.logs, site.clock, lease)
        runner = Runner(Loop("reap", lease / 20, reaper.tick), services.database, site.clock, "this")

        def go_on(seconds: float) -> None:
            for _ in range(round(4 * seconds)):
                site.host.tick()
                runner.step()
                site.clock.advance(0.25)

        site.api.submit(RECIPE)
        go_on(30.0)
        assert site.status()["tasks"]["running"] == 5
        with monkeypatch.context() as patched:
            if away == "the way":
                site.wire.cut = True
            else:
                patched.setattr(services.database, "run", _gone)
                patched.setattr(services.database, "read", _gone)
            go_on(10.0)
        site.wire.cut = False
        go_on(2 * lease)
        site.until(site.is_done)
        assert all(len(site.api.get(f"/status/1/{job}/first")["attempts"]) == 1 for job in range(5))
        assert site.api.faults() == []
    services.database.close()


def _gone(*_: object) -> None:
    raise Unavailable("the database does not answer", code="database-away")


@pytest.mark.parametrize("verb", ["claim", "report", "logs", "heartbeat", "register", "leases"])
def test_an_answer_that_gets_lost_costs_nothing(site: Site, verb: str) -> None:
    site.api.submit(RECIPE)
    site.wire.lose = verb
    site.until(site.is_done)
    assert site.wire.lose == ""
    assert site.status()["tasks"]["done"] == 10
    assert site.api.faults() == []


def attempts_at(site: Site) -> dict[str, list[tuple[int, str | None]]]:
    """Return the number and the verdict of each attempt of the tasks `first`."""
    texts = [f"1/{job}/first" for job in range(5)]
    found = {text: site.api.get(f"/status/{text}")["attempts"] for text in texts}
    return {text: [(item["number"], item["verdict"]) for item in items] for text, items in found.items()}


@pytest.mark.parametrize("again", [False, True])
def test_what_a_lost_claim_leased_is_told_again_and_begins_as_it_was(site: Site, again: bool) -> None:
    site.api.submit(RECIPE)
    site.wire.lose = "claim"
    if again:
        site.until(lambda: site.wire.lose == "")
        site.wire.lose = "unheard"
    site.until(lambda: site.status()["tasks"]["running"] == 5, seconds=0.1, most=40)
    assert site.wire.lose == ""
    assert site.wire.asked.count("unheard") == 1 + again
    assert "return" not in site.wire.asked
    assert attempts_at(site) == {f"1/{job}/first": [(1, None)] for job in range(5)}
    site.until(site.is_done)
    assert attempts_at(site) == {f"1/{job}/first": [(1, "ok")] for job in range(5)}
    assert site.api.faults() == []


def test_what_a_lost_claim_leased_too_late_to_be_missed_is_told_again_all_the_same(site: Site) -> None:
    """The host asks what it has before the transaction of its lost claim is through; it finds it at a later look."""
    site.world.slots.__init__(replace(site.world.slots.total, cpu=2))  # type: ignore[misc]
    site.engine.queue = 0
    site.api.submit(RECIPE)
    site.wire.late = "claim"
    site.until(lambda: site.status()["tasks"]["running"] == 2, seconds=0.1)
    site.wire.arrive()
    assert site.status()["tasks"]["queued"] == 2
    site.until(site.is_done, most=400)
    assert attempts_at(site) == {f"1/{job}/first": [(1, "ok")] for job in range(5)}
    assert site.api.faults() == []


@pytest.mark.parametrize("verdict", ["unbegun", "cancelled"])
def test_what_is_not_to_begin_any_more_is_given_back_when_it_is_asked_for_again(site: Site, verdict: str) -> None:
    site.api.submit(RECIPE)
    site.wire.lose = "claim"
    site.until(lambda: site.wire.lose == "", seconds=0.1)
    if verdict == "cancelled":
        site.api.post("/actions", {"verb": "cancel", "addresses": ["1"]})
    else:  # by a recipe that is another one by now it would do what nobody wants any more
        body = {"text": RECIPE.replace('"true"', '"false"', 1)}
        site.api.call("PUT", "/api/v1/datasets/1/recipe", json=body, headers={"If-Match": "*"})
    site.until(lambda: "return" in site.wire.asked, seconds=0.1)
    assert {items[0] for items in attempts_at(site).values()} == {(1, verdict)}
    site.until(lambda: site.status()["state"] == ("failed" if verdict == "cancelled" else "done"))
    assert site.api.faults() == []


def test_a_host_that_was_killed_goes_on_where_it_was(site: Site) -> None:
    site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.start()
    site.until(site.is_done)
    assert all(len(site.api.get(f"/status/1/{job}/first")["attempts"]) == 1 for job in range(5))
    assert site.api.faults() == []


def test_attempts_the_engine_lost_are_given_back(site: Site) -> None:
    number = site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.world.attempts.clear()
    site.start()
    site.until(site.is_done)
    attempts = site.api.get(f"/status/{number}/0/first")["attempts"]
    assert len(attempts) == 2
    assert site.api.faults() == []


def test_attempts_the_server_does_not_know_are_cancelled(site: Site) -> None:
    number = site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.wire.cut = True
    site.api.post("/actions", {"verb": "cancel", "addresses": [str(number)]})
    site.wire.cut = False
    site.start()
    site.until(lambda: not site.world.attempts)
    assert site.status()["tasks"]["done"] == 0


def test_a_hold_ends_running_attempts(api: Api) -> None:
    site = Site(api, duration=10_000.0)
    number = api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    api.post("/actions", {"verb": "hold", "addresses": [f"{number}/0/first"]})
    site.until(lambda: len(site.world.attempts) == 4)
    assert api.get(f"/status/{number}/0/first")["state"] == "held"
    assert site.status()["tasks"]["running"] == 4


def test_a_task_that_cannot_be_worked_out_is_reported_as_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(self: EngineClient, digest: str) -> dict[str, Any]:
        found = dict(self._to.get(f"/api/v1/recipes/{digest}")["plan"])
        found["tasks"][0]["commands"][0]["words"] = ["echo", "{nothing}"]
        return found

    monkeypatch.setattr(EngineClient, "recipe", plan)
    number = site.api.submit(RECIPE)
    site.until(lambda: bool(site.api.get(f"/status/{number}/0/first")["attempts"]))
    site.until(lambda: site.api.get(f"/status/{number}/0/first")["attempts"][0]["state"] == "ended")
    attempt = site.api.get(f"/status/{number}/0/first")["attempts"][0]
    assert attempt["reason"] == "submit"
    assert "nothing" in attempt["message"]
    assert not site.world.attempts


def test_an_engine_that_carries_files_opens_none_of_its_own_for_a_task(api: Api, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o600)
    site = Site(api, duration=10.0)
    site.start(lambda engine: _with(engine, carries=("/cvmfs",)))
    steal = f"{{run: cat token, inputs: ['file://{tmp_path}/token'], retry: {{tries: 9}}}}"
    plant = f"{{run: touch keys, outputs: ['keys -> file://{tmp_path}/keys'], retry: {{tries: 9}}}}"
    api.submit(f"name: thief\njobs: 1\ntasks:\n  steal: {steal}\n  plant: {plant}\n  honest: {{run: 'true'}}\n")
    site.until(lambda: site.status()["tasks"]["done"] == 1)
    said = {name: api.get(f"/status/1/0/{name}") for name in ("steal", "plant")}
    assert "which not everybody may read on the engine's machine" in said["steal"]["reason"]
    assert "which is not below the store" in said["plant"]["reason"]
    assert all(attempt["reason"] == "submit" for of in said.values() for attempt in of["attempts"])
    assert [address for address, _ in site.world.attempts] == ["1/0/honest#1"]
    site.start(lambda engine: _with(engine, carries=(str(tmp_path),)))  # the operator opens the directory
    site.until(site.is_done, seconds=60.0)


def _with(engine: SimulatedEngine, *, carries: tuple[str, ...]) -> SimulatedEngine:
    engine.carries = carries  # type: ignore[attr-defined]
    return engine


class Garbled(SimulatedEngine):
    """An engine whose worker says something that is no outcome for one attempt."""

    def poll(self, cursor: str) -> Changes:
        found = super().poll(cursor)
        return Changes(found.cursor, tuple(replace(item, outcome=self.spoil(item.outcome)) for item in found.changes))

    @staticmethod
    def spoil(outcome: Outcome | None) -> Outcome | None:
        if outcome is None or outcome.address != "1/2/first#1":
            return outcome
        return replace(outcome, exit=10**9, detail={"x": float("nan")})


def test_an_outcome_the_server_does_not_take_does_not_keep_back_the_others(site: Site) -> None:
    site.start(lambda engine: Garbled(clock=site.clock, world=site.world))
    number = site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["done"] >= 8)
    attempt = site.api.get(f"/status/{number}/2/first")["attempts"][0]
    assert attempt["state"] == "ended"
    assert attempt["reason"] == "invalid"


class Full(SimulatedEngine):
    """An engine that takes nothing, for now."""

    full = True

    def submit(self, batch: Sequence[Any], nodes: Nodes = ALL_FINE) -> list[Handle]:
        if self.full:
            raise Unavailable("the disk is full", code="engine-directory")
        return super().submit(batch, nodes)


def test_what_the_engine_does_not_take_is_given_back(site: Site) -> None:
    engine = Full(clock=site.clock, world=site.world)
    site.start(lambda _: engine)
    site.api.submit(RECIPE)
    site.until(lambda: "return" in site.wire.asked)
    assert site.status()["tasks"]["ready"] == 5
    engine.full = False
    site.until(site.is_done, most=400)
    assert site.api.faults() == []


class Chatty(SimulatedEngine):
    """An engine whose attempts write far more than goes into one request."""

    size = 7_000_000

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        text = b"x" * self.size
        return [
            LogPart(Handle(address, lease), stream, offset, text[offset : offset + 100_000])
            for (address, lease, stream), offset in offsets.items()
            if stream == "stdout" and offset < self.size and (address, lease) in self.world.attempts
        ]


def test_large_logs_go_in_parts_and_arrive_whole(tmp_path: Path) -> None:
    services = services_at(tmp_path)
    services = replace(services, limits=replace(services.limits, body=8_000_000))
    with TestClient(create_app(services)) as client:
        site = Site(Api(services, client), duration=1.0)
        site.start(lambda _: Chatty(clock=site.clock, world=site.world))
        number = site.api.submit("name: one\ntasks: {only: {run: 'true'}}\n")
        site.until(lambda: bool(site.is_done() and not site.world.attempts))
        log = site.api.get(f"/logs/{number}/0/only", params={"tail": 10})
        assert log["total"] == Chatty.size
        assert log["complete"]
    services.database.close()


def test_an_engine_of_the_same_name_elsewhere_is_waited_for(site: Site) -> None:
    site.api.engine("sim", "another-session")
    site.api.submit(RECIPE)
    site.host.tick()
    assert not site.host.registered
    site.until(site.is_done, seconds=5.0)


def test_stopping_with_its_tasks_reports_their_ends(api: Api) -> None:
    site = Site(api, duration=10_000.0)
    api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.host.end_all(seconds=5.0)
    assert site.status()["tasks"]["running"] == 0


def test_an_engine_whose_name_was_taken_while_it_was_cut_off_ends_what_it_has_and_takes_the_name_back(
    api: Api,
) -> None:
    site = Site(api, duration=10_000.0)
    api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.wire.cut = True
    site.clock.advance(api.services.limits.lease + 1)
    site.host.tick()
    assert not any(attempt.end for attempt in site.world.attempts.values())  # nobody told it yet
    api.engine("sim", "second")
    theirs = api.post("/engines/sim/leases", {"session": "second"})["leases"]
    api.post("/engines/sim/return", {"session": "second", "tasks": [{k: t[k] for k in KEY} for t in theirs]})
    second = api.claim(name="sim", session="second")
    site.wire.cut = False
    site.until(lambda: all(attempt.end for attempt in site.world.attempts.values()))
    assert not site.host.registered
    for task in second:
        body = {"address": task["address"], "lease": task["lease"], "reason": "ok"}
        assert api.report("sim", "second", ended=[body]) == {"taken": 1, "stale": []}
    assert api.post("/engines/sim/leave", {"session": "second"}) == {"free": True}
    site.until(lambda: site.host.registered, seconds=5.0)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    assert site.status()["tasks"]["done"] == 5
    assert api.faults() == []


KEY = ("address", "lease")


def test_an_engine_that_ends_with_nothing_left_frees_its_name(site: Site) -> None:
    site.api.submit(RECIPE)
    site.until(lambda: site.status()["tasks"]["running"] == 5)
    site.host.leave()
    assert "leave" not in site.wire.asked  # what runs goes on, and is this engine's
    site.until(site.is_done)
    site.host.leave()
    assert site.wire.asked[-1] == "leave"
    site.api.engine("sim", "another-session")


SHORT = "name: short\njobs: {jobs}\nneeds: {{cpu: 1, memory: 1 GB, time: 10 min}}\ntasks:\n  a: {{run: 'true'}}\n"


@pytest.mark.parametrize("cores", [100, 2000])
def test_a_pool_is_filled_to_its_last_place_while_there_is_work(api: Api, cores: int) -> None:
    site = Site(api, duration=1e6)
    site.world.slots.__init__(replace(site.world.slots.total, cpu=cores))  # type: ignore[misc]
    site.engine.queue = 10
    site.api.submit(SHORT.format(jobs=3000) + "learn: off\n")
    site.until(lambda: site.status()["tasks"]["running"] == cores, most=40)
    site.until(lambda: not site.engine.capacity().queue, most=5)
    assert len(site.world.line) == 10


def test_short_tasks_go_in_series_once_it_is_known_how_long_they_take(api: Api) -> None:
    site = Site(api, duration=5.0, overhead=60.0)
    site.world.slots.__init__(replace(site.world.slots.total, cpu=10))  # type: ignore[misc]
    site.engine.queue = 0
    site.api.submit(SHORT.format(jobs=400))
    site.until(lambda: len(site.world.runs) < 10, seconds=5.0)
    site.until(lambda: any(len(run.left) > 1 for run in site.world.runs.values()), seconds=5.0)
    (sizes,) = ({len(run.left) for run in site.world.runs.values() if len(run.left) > 1},)
    assert max(sizes) <= 20  # half of an even share
    site.until(site.is_done, seconds=5.0)
    assert site.status()["tasks"]["done"] == 400
    began = site.clock()
    assert began < 1_800_000_000 + 400 / 10 * 65 / 2  # alone they would take more than twice as long
    assert api.faults() == []


def test_short_tasks_of_a_lost_claim_share_places_and_what_has_none_is_given_back(api: Api) -> None:
    site = Site(api, duration=5.0, overhead=60.0)
    site.world.slots.__init__(replace(site.world.slots.total, cpu=10))  # type: ignore[misc]
    site.engine.queue = 0
    api.submit(SHORT.format(jobs=400))
    site.until(lambda: any(len(run.left) > 1 for run in site.world.runs.values()), seconds=5.0)
    site.wire.lose = "claim"
    site.until(lambda: "unheard" in site.wire.asked, seconds=5.0)
    assert any(len(run.left) > 1 for run in site.world.runs.values())
    site.until(lambda: site.status()["tasks"]["queued"] + site.status()["tasks"]["running"] > 20, seconds=5.0)
    site.until(site.is_done, seconds=5.0)
    assert site.status()["tasks"]["done"] == 400
    with api.services.database.read() as tx:
        assert {row.verdict for row in tx.execute(select(attempts)).all()} == {"ok"}
    assert api.faults() == []


def test_what_never_began_is_given_back_free_of_charge_and_at_once(api: Api) -> None:
    site = Site(api, duration=5.0)
    site.api.submit(SHORT.format(jobs=600))
    site.world.slots.__init__(replace(site.world.slots.total, cpu=4))  # type: ignore[misc]
    site.engine.queue = 0
    site.until(lambda: _ahead_of_others(site) is not None, seconds=5.0)
    running = _ahead_of_others(site)
    assert running is not None
    waiting = [attempt.handle for attempt in running.run.left]
    now = site.clock()
    told = replace(_evicted(running), started=now, ended=now)
    site.engine._tell(site.world._release(running, told, now))
    site.host.tick()
    with api.services.database.read() as tx:
        rows = {(row.job, row.attempt): row for row in tx.execute(select(attempts)).all()}
        states = {row.job: row for row in tx.execute(select(tasks)).all()}
    jobs = [int(handle.address.split("/")[1]) for handle in waiting]
    assert {rows[job, 1].verdict for job in jobs} == {"unbegun"}
    assert {(states[job].tries, states[job].free) for job in jobs} == {(0, 0)}
    assert {states[job].not_before for job in jobs} <= {0.0, None}
    evicted = rows[int(running.handle.address.split("/")[1]), 1]
    assert evicted.verdict == "evicted"
    site.until(site.is_done, seconds=5.0, most=2000)
    assert site.status()["tasks"]["done"] == 600
    assert api.faults() == []


def _ahead_of_others(site: Site) -> SimulatedAttempt | None:
    """Return an attempt that runs, with more than three of its series behind it."""
    running = (a for a in site.world.attempts.values() if a.begun and not a.end)
    return next((a for a in running if len(a.run.left) > 3), None)


def _evicted(running: SimulatedAttempt) -> Outcome:
    return Outcome(*key_of(running.spec), Reason.TERMINATED, "it was evicted")


def test_an_engine_that_wants_none_gets_no_series(api: Api) -> None:
    site = Site(api, duration=5.0)
    site.start(lambda engine: engine)
    site.engine.grouping = replace(site.engine.grouping, target=0.0)
    site.api.submit(SHORT.format(jobs=50))
    site.until(site.is_done, seconds=5.0)
    assert all(not run.left for run in site.world.runs.values())
