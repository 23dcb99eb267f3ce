"""What failures come to in the books: grouped, judged by what came before, and a dataset that only fails is held."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from nunatak.core.address import parse
from nunatak.core.work import Reason, Usage
from nunatak.datasets.plan import Growth, Plan, Retry
from nunatak.tasks.lessons import Lessons, of_dataset
from nunatak.tasks.looking.errors import errors
from tests.contract.world import World, chain, task


def groups(world: World, address: str = "1") -> list[dict]:
    with world.database.read() as tx:
        wanted = parse(address)
        return errors(tx, world.contexts.one(tx, wanted.dataset), wanted)


def one_task(jobs: int, **retry: object) -> Plan:
    return Plan("one", jobs, (task("a", retry=Retry(**{"delay": 0.0, **retry})),))


def fail(world: World, items: list, message: str, host: str) -> None:
    world.end(items, Reason.EXIT, message, exit=1, host=host)


def test_equal_failures_are_one_group_with_counts_places_and_an_example(world: World) -> None:
    world.submit(chain(6, 1))
    items = world.claim(6)
    for number, item in enumerate(items):
        fail(world, [item], f"channel {number} is saturated in /data/{number}.i3", f"node{number % 2}")
    (group,) = groups(world)
    assert (group["id"], group["kind"], group["whose"]) == ("NUN-FAILED", "command-failed", "yours")
    assert (group["count"], group["tasks"]) == (6, 6)
    assert group["nodes"]["counts"] == {"node0": 3, "node1": 3}
    assert group["sites"]["counts"] == {"here": 6}
    assert group["example"].startswith("1/")
    (own,) = groups(world, "1/0/t0")
    assert (own["signature"], own["count"], own["tasks"]) == (group["signature"], 1, 1)


def test_the_same_error_on_two_nodes_is_final_though_tries_are_left(world: World) -> None:
    world.submit(one_task(1, tries=3))
    for host in ("node1", "node2"):
        fail(world, world.claim(), "ValueError: bad", host)
    plain = world.status("1/0/a")
    assert (plain["state"], plain["tries"]) == ("failed", 2)
    assert plain["attempts"][-1]["verdict"] == "user-error"


def test_a_recipe_that_insists_on_its_tries_gets_them(world: World) -> None:
    world.submit(one_task(1, tries=4, insist=True))
    for number in range(4):
        assert world.status("1/0/a")["state"] == "ready"
        fail(world, world.claim(), "ValueError: bad", f"node{number}")
    assert world.status("1/0/a")["state"] == "failed"


def test_the_first_cause_is_told_when_a_later_failure_ends_it(world: World) -> None:
    world.submit(one_task(1, tries=2))
    fail(world, world.claim(), "ValueError: bad detector", "node1")
    world.end(world.claim(), Reason.STAGE_OUT, "cannot store out.npz: no answer", host="node2")
    last = world.status("1/0/a")["attempts"][-1]
    assert "ValueError: bad detector" in last["message"]


def test_memory_is_raised_to_what_was_seen_and_the_task_is_held_where_no_site_has_more(world: World) -> None:
    world.submit(one_task(1, tries=20))
    shapes = []
    for _ in range(20):
        (item,) = world.claim()
        with world.database.read() as tx:
            shape = world.contexts.book.shapes(tx, [item.shape])[item.shape]
        shapes.append(shape.memory)
        world.end([item], Reason.MEMORY, usage=Usage(memory=shape.memory + 1))
        if world.status("1/0/a")["state"] != "ready":
            break
    plain = world.status("1/0/a")
    assert all(after >= 2 * before for before, after in pairwise(shapes[:-1]))
    assert plain["state"] == "held"
    assert "the largest that any site offers" in plain["reason"]


def test_memory_is_not_raised_if_the_recipe_says_never(world: World) -> None:
    world.submit(one_task(1, tries=2, memory=Growth(factor=1.0)))
    sizes = []
    for _ in range(2):
        (item,) = world.claim()
        sizes.append(item.shape)
        world.end([item], Reason.MEMORY, usage=Usage(memory=10**12))
    assert len(set(sizes)) == 1
    assert world.status("1/0/a")["state"] == "failed"


def typo(world: World, n: int) -> None:
    for number in range(n):
        items = world.claim(1)
        if items:
            world.start(items)
            fail(world, items, "NameError: name 'nmupy' is not defined", f"node{number % 3}")


def test_a_typo_costs_twenty_tasks_and_retry_lets_all_go_on(world: World) -> None:
    world.submit(one_task(100_000, delay=600.0))
    typo(world, 40)
    plain = world.status("1")
    assert plain["held"]
    assert "20 of 20 tasks that ended failed the same way" in plain["reason"]
    assert "NameError" in plain["reason"]
    assert plain["tasks"]["ready"] == 100_000
    assert world.claim() == []
    (group,) = groups(world)
    assert (group["count"], group["tasks"]) == (20, 20)
    world.act("retry", "1")
    assert groups(world)[0]["tasks"] == 0
    world.clock.advance(1)
    items = world.claim(30)
    assert max(item.attempt for item in items) == 2, "what waited for its next try need not wait"
    world.end(items)
    assert not world.status("1")["held"]


def test_a_dataset_that_mostly_works_is_not_held(world: World) -> None:
    world.submit(one_task(1000, delay=600.0))
    world.end(world.claim(400))
    typo(world, 30)
    assert not world.status("1")["held"]
    assert groups(world)[0]["tasks"] == 30


def test_failures_on_a_single_node_of_several_hold_no_dataset(world: World) -> None:
    world.submit(one_task(1000, delay=600.0))
    for _ in range(30):
        fail(world, world.claim(1), "NameError: name 'nmupy' is not defined", "blackhole")
    assert not world.status("1")["held"]


def test_evictions_hold_no_dataset(world: World) -> None:
    world.submit(one_task(100))
    for number in range(40):
        world.end(world.claim(1), Reason.TERMINATED, "preempted", host=f"node{number}")
    plain = world.status("1")
    assert (plain["held"], plain["tasks"]["failed"]) == (False, 0)


def test_tasks_that_are_tried_again_with_more_memory_hold_no_dataset(world: World) -> None:
    world.submit(one_task(40))
    items = world.claim(30)
    for number, item in enumerate(items):
        world.end([item], Reason.MEMORY, usage=Usage(memory=2 * 10**9), host=f"node{number % 3}")
    plain = world.status("1")
    assert (plain["held"], plain["tasks"]["ready"]) == (False, 40)
    assert groups(world)[0]["tasks"] == 30


def test_a_dataset_whose_tasks_may_not_ask_for_more_memory_is_held(world: World) -> None:
    world.submit(one_task(1000, memory=Growth(factor=1.0)))
    for number in range(40):
        world.end(world.claim(1), Reason.MEMORY, usage=Usage(memory=10**12), host=f"node{number % 3}")
    plain = world.status("1")
    assert plain["held"]
    assert "20 of 20 tasks that ended failed the same way" in plain["reason"]
    assert "out-of-memory" in plain["reason"]


def test_what_runs_of_a_dataset_held_by_itself_may_end(world: World) -> None:
    world.submit(one_task(100, delay=600.0))
    running, waiting = world.claim(2), world.claim(2)
    world.start(running)
    typo(world, 20)
    assert world.status("1")["held"]
    world.enforce()
    states = world.status("1")["tasks"]
    assert (states["running"], states["queued"]) == (2, 0)
    assert world.end(running).stale == ()
    assert world.end(waiting).stale != ()


def test_many_different_errors_are_kept_in_bounded_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nunatak.tasks.failures.MOST", 3)
    world.submit(one_task(200))
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    for word in words:
        fail(world, world.claim(5), f"{word} is wrong", "node1")
    found = groups(world)
    assert len(found) == 4
    assert sum(group["count"] for group in found) == 5 * len(words)
    assert any(group["pattern"] == "many different errors" for group in found)


def test_what_tasks_used_is_kept_and_told_beside_what_they_asked(world: World) -> None:
    world.submit(chain(30, 1))
    items = world.claim(30)
    for number, item in enumerate(items[:20]):
        world.end([item], usage=Usage(wall=60.0 + number, cpu=50.0, memory=400_000_000 + number, disk=10**6))
    world.end(items[20:25], Reason.TERMINATED, usage=Usage(wall=5.0, memory=10**9))
    lines = {line["name"]: line for line in world.status("1")["used"]["t0"]}
    assert lines["memory"]["asked"] >= lines["memory"]["usual"]
    assert lines["memory"]["usual"] == pytest.approx(4e8, rel=0.03)
    assert lines["memory"]["most"] == 10**9, "what was stopped needed as much, too"
    assert lines["time"]["middle"] == pytest.approx(70, rel=0.05)
    assert lines["cpu"]["middle"] == pytest.approx(50 / 70, rel=0.06)


def test_of_many_attempts_a_sample_is_kept(world: World) -> None:
    world.lessons = Lessons(Random(1).random)
    world.submit(chain(2000, 1))
    while items := world.claim(40):
        world.end(items)
    with world.database.read() as tx:
        known = of_dataset(tx, 1)[0][0].finished
    assert 250 <= known <= 800  # about the root of a hundred times as many
