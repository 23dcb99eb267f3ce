"""An engine in a network of its own, whose cable to the server is cut: for less than a lease, for more, or just bad."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.netns import Cable
from tests.services.ports import free_port
from tests.services.relay import Relay
from tests.story.installation import NUNATAK, Installation, installation, until
from tests.story.parts import Parts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

GATED = """\
name: tasks that wait for a sign to their attempt
jobs: 2
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
tasks:
  one:
    shell: true
    run: "echo $NUNATAK_ADDRESS >> {place}/begun; until [ -e {place}/go-${{{{NUNATAK_ADDRESS#*#}}}} ]; do sleep 0.05; done"
  two: {{run: "true", after: one}}
"""


@pytest.fixture
def cable() -> Iterator[Cable]:
    laid = Cable.lay()
    yield laid
    laid.remove()


@contextmanager
def far_away(tmp_path: Path, cable: Cable, name: str, **settings: str) -> Iterator[tuple[Installation, Parts]]:
    """A server at this end, an engine at the other, with two tasks that run."""
    with installation(tmp_path / "data", start=False, host=cable.here, **settings) as house:
        house.port = free_port()
        house.addresses = f"http://{cable.here}:{house.port}"
        house.start_server()
        made = Parts(house)
        made.engine(name, place="far", start=False)
        made.start("far", command=(*cable.inside, *NUNATAK))
        house.submit(GATED.format(place=tmp_path))
        until(lambda: house.status().tasks.running == 2, "two tasks to run")
        yield house, made


def begun(tmp_path: Path) -> list[str]:
    return sorted((tmp_path / "begun").read_text().split())


def test_what_is_sent_is_lost_for_less_than_a_lease_and_all_is_reported_later(tmp_path: Path, cable: Cable) -> None:
    with far_away(tmp_path, cable, "far") as (house, _):
        cable.lose()
        (tmp_path / "go-1").touch()
        house.until_no_work()
        assert house.status().tasks.done == 0
        cable.mend()
        house.until_state("done")
        assert begun(tmp_path) == ["1/0/one#1", "1/1/one#1"]
        assert house.endings() == {("ok", "ok"): 4}
        house.assert_each_done_once(4)


@pytest.mark.parametrize("name", ["near", "far"])
def test_cut_for_more_than_a_lease_its_tasks_go_to_another_engine_and_what_it_has_is_ended(
    tmp_path: Path, cable: Cable, name: str
) -> None:
    with far_away(tmp_path, cable, "far", lease="6", heartbeat="1") as (house, made):
        cable.cut()
        made.engine(name, place="near")
        if name == "far":
            until(lambda: "engine far is already running" in made.talk("near"), "the second of the name to be refused")
        (tmp_path / "go-2").touch()
        house.until_state("done")
        assert len(house.of("worker")) == 2  # at the other end they go on: nobody could tell them
        cable.mend()
        house.until_no_work()
        if name == "far":
            until(lambda: "another process took the name" in made.talk("far"), "the first to be refused in turn")
        assert begun(tmp_path) == ["1/0/one#1", "1/0/one#2", "1/1/one#1", "1/1/one#2"]
        assert sum(n for (reason, _), n in house.endings().items() if reason == "ok") == 4
        house.assert_each_done_once(4)


STEPS = """\
name: tasks that leave a line
jobs: 12
needs: {{memory: 64 MB, disk: 64 MB, time: 10 min}}
tasks:
  one: {{shell: true, run: "echo {{job}} >> {place}/begun; echo {{job}} > a.txt; echo {{job}}", outputs: [a.txt]}}
  two: {{shell: true, run: "grep -qx {{job}} a.txt", inputs: [one/a.txt]}}
"""


@pytest.mark.parametrize("seed", [1])
def test_over_a_slow_way_that_breaks_off_all_is_done_and_nothing_twice(tmp_path: Path, seed: int) -> None:
    with installation(tmp_path / "data", start=False) as house:
        house.start_server()
        relay = Relay(house.port, seed=seed, delay=0.05, chance=0.2)
        made = Parts(house)
        made.engine("far", NUNATAK_URL=f"http://127.0.0.1:{relay.port}")
        house.submit(STEPS.format(place=tmp_path))
        house.until_state("done")
        house.until_no_work()
        assert relay.broken > 5
        house.assert_each_done_once(24)
        assert set(begun(tmp_path)) == {str(job) for job in range(12)}
        with house.client() as client:
            until(lambda: "".join(client.logs("1/11/one")) == "11\n", "the log of the last")
        relay.close()
