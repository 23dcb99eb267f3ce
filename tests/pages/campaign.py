"""A small campaign for pages: datasets in every state, made through the API as people and an engine would, over some days.

The clock is moved while it is made, and goes on with the time of day after that: pages say how long ago things were.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nunatak import assembly
from nunatak.accounts import tokens
from nunatak.client.client import Client
from nunatak.client.connection import Connection
from nunatak.core.settings import Settings
from nunatak.core.work import Shape
from nunatak.tasks import curve, use_by_day
from nunatak.tasks.scoreboard import Scoreboard
from tests.pages.chain import recipe
from tests.services import databases

DAY = 86_400.0
WHOLE = Shape(cpu=64, gpu=8, memory=10**12, disk=10**13, time=10**7, platform="linux/x86_64").to_plain()
CAPACITY = {"total": WHOLE, "free": WHOLE, "queue": 1000}
TRACE = """\
Traceback (most recent call last):
  File "propagate.py", line 214, in <module>
    table = load_tables(args.ice)
  File "propagate.py", line 61, in load_tables
    raise KeyError(model)
KeyError: 'spice_ftp_v3'
"""


class MovingClock:
    """The time of day, some time ago."""

    def __init__(self) -> None:
        self.behind = 0.0

    def __call__(self) -> float:
        return time.time() - self.behind


@dataclass
class House:
    """A server with its services; `clock` may be moved."""

    url: str
    token: str
    services: assembly.Services
    clock: MovingClock

    def client(self, token: str = "") -> Client:
        return Client(self.url, token or self.token)

    def connection(self, token: str = "") -> Connection:
        return Connection(self.url, token or self.token)

    def make_token(self, *scopes: str, who: str = "alice") -> str:
        text = tokens.new_text()
        self.services.database.run(
            lambda tx: tokens.issue(
                tx, text=text, name="test", principal=who, scopes=scopes, days=30.0, now=self.services.clock()
            )
        )
        return text


@contextmanager
def house(directory: Path) -> Iterator[House]:
    """Start a server on loopback, and end it."""
    database = databases.migrated_file(directory / "nunatak.db")
    settings, clock = Settings(data=directory, database=database, port=0), MovingClock()
    keys = itertools.count(1000).__next__
    services = assembly.build(settings, clock=clock, keys=keys, chance=random.Random(1).random)
    services = replace(services, limits=replace(services.limits, events=0.05, demand=0.0))
    token = assembly.local_token(services, directory / "token", "root")
    server = assembly.ApiServer(services, assembly.listen(settings))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield House(server.url, token, services, clock)
    finally:
        server.stop()
        serving.join(10)
        services.database.close()


class Campaign:
    """Fills a house: submits as people do, and runs tasks as an engine reports them."""

    def __init__(self, of: House) -> None:
        self.house, self.chance = of, random.Random(7)
        self._people: dict[str, Connection] = {}
        self._engine = of.connection(of.make_token("engine", who="engine"))
        self._engine.post(
            "/api/v1/engines/icecube/register", self._said(kind="simulated", site="madison", capacity=CAPACITY)
        )

    def _said(self, **more: Any) -> dict[str, Any]:
        return {"session": "s1", **more}

    def close(self) -> None:
        """Close what was opened."""
        for connection in (self._engine, *self._people.values()):
            connection.close()

    def person(self, name: str) -> Connection:
        """Return a connection of somebody who may read and submit."""
        if name not in self._people:
            self._people[name] = self.house.connection(self.house.make_token("read", "submit", who=name))
        return self._people[name]

    def submit(self, who: str, text: str, team: str = "", **more: Any) -> int:
        body = {"text": text, "filename": "recipe.yaml", "team": team, **more}
        return int(self.person(who).post("/api/v1/datasets", body)["dataset"])

    def act(self, who: str, verb: str, *addresses: str, reason: str = "") -> None:
        self.person(who).post("/api/v1/actions", {"verb": verb, "addresses": list(addresses), "reason": reason})

    def claim(self, limit: int, *features: str) -> list[dict[str, Any]]:
        """Lease tasks; those that ask for features are leased where they are named alone."""
        asked = self._said(offer={**WHOLE, "features": list(features)}, limit=limit)
        return list(self._engine.post("/api/v1/engines/icecube/claim", asked)["tasks"])

    def tell(self, **reports: Any) -> None:
        self._engine.post("/api/v1/engines/icecube/report", self._said(**reports))

    def run(
        self, limit: int, *, fail: float = 0.0, kind: str = "exit", leave: int = 0, bad: Collection[str] = ()
    ) -> int:
        """Claim up to `limit` tasks, start them, end all but the last `leave`; a part of `fail` fails, and
        all tasks whose addresses (without the attempt) are in `bad`. Returns how many.
        """
        tasks = self.claim(limit)
        now = self.house.clock()
        self.tell(
            started=[{**_key(task), "at": now - 400, "host": f"node{n % 12:02d}"} for n, task in enumerate(tasks)]
        )
        ended = tasks[: len(tasks) - leave] if leave else tasks
        self.tell(
            ended=[
                self._end(task, self.chance.random() < fail or task["address"].partition("#")[0] in bad, kind)
                for task in ended
            ]
        )
        self.house.services.database.run(lambda tx: curve.keep(tx, self.house.clock()))
        use_by_day.tick(self.house.services.database, self.house.clock())
        return len(tasks)

    def end(self, tasks: list[dict[str, Any]], *, failed: bool) -> None:
        """Let some tasks begin and end."""
        self.tell(started=[{**_key(task), "at": self.house.clock() - 400, "host": "node01"} for task in tasks])
        self.tell(ended=[self._end(task, failed, "exit") for task in tasks])

    def _end(self, task: dict[str, Any], failed: bool, kind: str) -> dict[str, Any]:
        wall = self.chance.lognormvariate(5.6, 0.35)
        usage = {"wall": wall, "cpu": wall * 0.93, "memory": int(self.chance.gauss(1.1e9, 1.5e8)), "disk": 200_000_000}
        if not failed:
            told = {"speed": round(0.9 + int(task["address"].split("/")[1]) % 12 * 0.04, 2)}
            return {**_key(task), "reason": "ok", "usage": usage, "detail": told}
        if kind == "memory":
            return {
                **_key(task),
                "reason": "memory",
                "message": "used 2.0 GB of 2 GB",
                "usage": {**usage, "memory": 2_000_000_000},
            }
        return {
            **_key(task), "reason": "exit", "exit": 1, "message": "exit code 1",
            "usage": {**usage, "wall": wall / 20, "cpu": wall / 25}, "stderr": TRACE,
        }  # fmt: skip

    def see_nodes(self) -> None:
        """Let the loop that keeps the scores of nodes read what was reported."""
        services = self.house.services
        board = Scoreboard(services.database, services.contexts, self.house.clock, random.Random(1).random, "test")
        while board.tick():
            pass

    def day(self, days: float) -> None:
        """Go to a time so many days ago."""
        self.house.clock.behind = days * DAY
        self.beat(CAPACITY)

    def beat(self, capacity: dict[str, Any]) -> None:
        """Let the engine say what it has, and what of it is free."""
        self._engine.post("/api/v1/engines/icecube/heartbeat", self._said(capacity=capacity))


def _key(task: dict[str, Any]) -> dict[str, Any]:
    return {"address": task["address"], "lease": task["lease"]}


def fill(of: House) -> Campaign:
    """Make datasets that are done, running, failed, held, waiting and of others."""
    made = Campaign(of)
    made.day(6.0)
    made.submit("alice", recipe("atmospheric muons, calibration", 40), "icecube")
    for _ in range(3):
        made.run(100)
    made.day(3.2)
    failing = made.submit("alice", recipe("neutrinos, new ice model", 60), "icecube")
    made.run(40)
    for _ in range(6):
        made.run(25, fail=0.6)
        made.house.clock.behind -= 3600
    made.day(2.0)
    made.act("alice", "hold", str(failing), reason="wait for the new ice tables")
    held = made.submit("bob", recipe("cascades for the energy paper", 500), "icecube")
    made.run(60)
    made.act("bob", "hold", str(held))
    failing = made.submit("alice", recipe("atmospheric muons, old tables", 40), "icecube")
    bad = {f"{failing}/{job}/propagate" for job in (7, 19, 31)}
    for days in (1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3, 1.2):
        made.day(days)
        made.run(300, bad=bad)
    made.day(0.4)
    made.submit("alice", recipe("atmospheric muons, season 2026", 300), "icecube")
    for days in (0.35, 0.3, 0.2, 0.1):
        made.day(days)
        made.run(120, fail=0.03, kind="memory")
    made.submit(
        "alice", recipe("detector noise, a name that is quite a bit longer than names of datasets usually are", 25)
    )
    made.day(0.004)
    made.run(90, leave=90)
    made.day(0.0)
    made.submit("alice", recipe("systematics: hole ice", 120), "gen2")
    made.run(5, leave=5)
    made.see_nodes()
    return made
