"""Servers, loops and engines as processes of their own on PostgreSQL: any may be killed, one leads, another takes over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from nunatak.core.errors import NunatakError
from tests.services import databases
from tests.services.postgres import Postgres
from tests.story.installation import Installation, until
from tests.story.parts import Parts, parts
from tests.story.test_kills import FIVE, assert_outputs

pytestmark = pytest.mark.slow

ALL = ("api-1", "api-2", "loops-1", "loops-2", "node-1", "node-2")
OFTEN = ("reap", "stops", "withdraw", "health")
"""Loops that come round every second or so."""


@contextmanager
def whole(tmp_path: Path, postgres: Postgres) -> Iterator[Parts]:
    """Two servers, two times the loops, two engines."""
    with parts(tmp_path / "data", database=databases.migrated(postgres)) as made:
        made.api("api-1", "api-2")
        made.loops("loops-1")
        until(lambda: len(made.leaders(*OFTEN)) == len(OFTEN), "the first loops to lead")
        made.loops("loops-2")
        made.engine("node-1")
        made.engine("node-2")
        yield made


@pytest.mark.timeout(600)
def test_every_process_is_killed_at_random_and_what_led_is_followed_within_its_lease(
    tmp_path: Path, postgres: Postgres
) -> None:
    random = Random(20261128)
    with whole(tmp_path, postgres) as made:
        house = made.house
        first = made.leaders(*OFTEN)
        assert len(set(first.values())) == 1  # the second leads none
        house.submit(FIVE.format(jobs=40))
        made.kill("loops-1")  # it stays away until the other leads
        for number, name in enumerate(random.sample([n for n in ALL if n != "loops-1"] * 2, 10), 1):
            house.until_done(14 * number)
            if name != "loops-2" or not followed(made, first):
                made.kill(name)
                made.start(name)
        house.until_state("done")
        until(lambda: followed(made, first), "other loops to lead", 90)
        house.until_no_work()
        house.assert_each_done_once(200)
        assert_outputs(house, 40, tmp_path / "out")
        found = house.doctor_command()
        assert (found["sound"], found["faults"], found["datasets"]) == (True, [], 1)
        second = made.leaders(*OFTEN)
        made.start("loops-1")
        assert made.end("loops-2") == 0  # it says that it ends: nobody waits for its lease
        until(
            lambda: not set(made.leaders(*OFTEN).values()) & set(second.values()), "the first loops to lead again", 25
        )


def followed(made: Parts, first: dict[str, str]) -> bool:
    now = made.leaders(*OFTEN)
    return len(now) == len(OFTEN) and not set(first.values()) & set(now.values())


class Caller(threading.Thread):
    """Somebody who asks and submits all the time."""

    def __init__(self, house: Installation, recipe: Path) -> None:
        super().__init__(daemon=True)
        self.house, self.recipe = house, recipe
        self.stop, self.asked = threading.Event(), 0
        self.submitted: list[int] = []
        self.errors: list[NunatakError] = []

    def run(self) -> None:
        with self.house.client(patience=30.0) as client:
            while not self.stop.wait(0.02):
                try:
                    self.submitted.append(client.submit(self.recipe).dataset)
                    client.dataset(self.submitted[-1])
                    client.cancel(self.submitted[-1])
                except NunatakError as error:
                    self.errors.append(error)
                self.asked += 3


def test_servers_are_started_anew_one_after_the_other_and_no_caller_notices(tmp_path: Path, postgres: Postgres) -> None:
    with parts(tmp_path / "data", database=databases.migrated(postgres)) as made:
        made.api("api-1", "api-2")
        made.loops("loops-1")
        made.engine("node-1")
        house = made.house
        house.submit(FIVE.format(jobs=16))
        little = tmp_path / "little.yaml"
        little.write_text(
            "name: little\nneeds: {memory: 900 GB}\ntasks: {one: {run: 'true'}}\n"
        )  # no node ends it first
        caller = Caller(house, little)
        caller.start()
        for number, name in enumerate(("api-1", "api-2", "api-1", "api-2"), 1):
            until(lambda asked=caller.asked + 6: caller.asked >= asked, "the caller")  # type: ignore[misc]
            house.until_done(12 * number)
            assert made.end(name) == 0
            until(lambda asked=caller.asked + 6: caller.asked >= asked, "the caller, with one server")  # type: ignore[misc]
            made.start(name)
        caller.stop.set()
        caller.join(60)
        assert caller.errors == []
        assert len(set(caller.submitted)) == len(caller.submitted)
        with house.client() as client:
            house.until_state("done")
            known = [item.address for item in client.datasets()]
        assert len(known) == len(caller.submitted) + 1  # none was made twice
        assert set(house.ledger().values()) == {1}
        assert house.status().tasks.done == 80
        assert house.doctor().faults == []


WAITS = """\
name: tasks that wait for a sign
jobs: 3
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
tasks:
  one: {{shell: true, run: "echo {{job}} >> {place}/begun; until [ -e {place}/go ]; do sleep 0.05; done"}}
"""


def test_an_engine_whose_token_is_revoked_says_so_keeps_its_tasks_and_goes_on_with_another(
    tmp_path: Path, postgres: Postgres
) -> None:
    with parts(tmp_path / "data", database=databases.migrated(postgres)) as made:
        made.api("api-1")
        made.engine("node-1")
        house = made.house
        house.submit(WAITS.format(place=tmp_path))
        until(lambda: house.status().tasks.running == 2, "two tasks to run")
        with house.client() as client:
            for token in [token for token in client.tokens() if token.name == "engines"]:
                client.revoke_token(token.id)
        until(lambda: "this token was revoked" in made.talk("node-1"), "the engine to say so")
        assert "put a new token into the file" in made.talk("node-1")
        (tmp_path / "go").touch()
        house.until_no_work()  # they end meanwhile; the third was not begun, or ends as well
        assert house.status().tasks.done == 0
        made.give_token()
        house.until_state("done")
        assert made.running["node-1"].poll() is None
        assert house.endings() == {("ok", "ok"): 3}
        assert sorted((tmp_path / "begun").read_text().split()) == ["0", "1", "2"]
        house.assert_each_done_once(3)
