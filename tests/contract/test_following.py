"""Datasets that follow others, on both databases: what waits goes on when its like is done, once, whatever is killed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nunatak.core.errors import Conflict, Invalid
from nunatak.core.work import Reason
from nunatak.datasets.plan import Follow, Plan, Retry
from nunatak.loops.following import Following
from nunatak.tasks import following_steps, following_store
from nunatak.tasks.tables import arrivals, follows
from tests.contract.world import World, campaign, chain, divisible, task


def after(plan: Plan, name: str, *what: Follow) -> Plan:
    """Let a task of a plan follow others."""
    return replace(plan, tasks=tuple(replace(t, follows=what) if t.name == name else t for t in plan.tasks))


def tick(world: World) -> None:
    loop = Following(world.database, world.contexts, world.clock)
    for _ in range(50):
        if not loop.tick():
            return
    raise AssertionError("the loop finds no end")


class Pool:
    """What was claimed and not done yet: of it, that of one dataset, task or job can be done."""

    def __init__(self, world: World) -> None:
        self.world, self.items = world, list(world.claim())

    def run(self, dataset: int, *, tasks: tuple[int, ...] = (), jobs: tuple[int, ...] = ()) -> int:
        """Do what can be done now of a dataset, perhaps of some tasks and jobs alone; returns how many."""
        ran = 0
        while True:
            self.items += self.world.claim()
            mine = [
                item for item in self.items
                if item.dataset == dataset and item.task in (tasks or (item.task,)) and item.job in (jobs or (item.job,))
            ]  # fmt: skip
            if not mine:
                return ran
            self.world.end(mine)
            self.items = [item for item in self.items if item not in mine]
            ran += len(mine)


def ready(world: World, dataset: int) -> int:
    return world.status(str(dataset))["tasks"]["ready"]


def test_a_job_goes_on_when_its_like_is_done(world: World) -> None:
    first = world.submit(chain(3, 2))
    second = world.submit(after(chain(3, 2), "t0", Follow(first, "t1", each=True)))
    tick(world)
    assert world.status(str(second))["tasks"]["waiting"] == 6
    pool = Pool(world)
    assert pool.run(first, tasks=(0,), jobs=(0, 1)) == 2
    tick(world)
    assert ready(world, second) == 0  # only the first of the two tasks is done
    assert pool.run(first, jobs=(0,)) == 1
    tick(world)
    assert world.status(f"{second}/0/t0")["state"] == "ready"
    assert world.status(f"{second}/1/t0")["state"] == "waiting"
    assert world.faults() == []
    assert pool.run(second) == 2
    assert pool.run(first) == 3
    tick(world)
    assert pool.run(second) == 4
    assert world.status(str(second))["state"] == "done"


def test_what_was_done_before_counts(world: World) -> None:
    first = world.submit(chain(5, 1))
    world.run_to_end()
    second = world.submit(after(chain(5, 2), "t1", Follow(first, "t0", each=True)))
    tick(world)
    world.run_to_end()
    assert world.status(str(second))["state"] == "done"


@pytest.mark.parametrize("follow", [Follow(1), Follow(1, "t1")], ids=str)
@pytest.mark.parametrize("once", [False, True])
def test_a_gate_opens_when_all_is_done(world: World, follow: Follow, once: bool) -> None:
    world.submit(chain(2, 2))
    plan = after(campaign(3), "tables" if once else "filter", follow)
    second = world.submit(plan)
    pool = Pool(world)
    pool.run(1, tasks=(0,))
    pool.run(1, jobs=(0,))
    tick(world)
    pool.run(second)
    gated = f"{second}/tables" if once else f"{second}/0/filter"
    assert world.status(gated)["state"] == "waiting"
    assert world.status(f"{second}/2/filter")["state"] == "waiting"
    assert world.faults() == []
    pool.run(1)
    tick(world)
    pool.run(second)
    assert world.status(str(second))["state"] == "done"


def test_a_gate_before_untouched_jobs_costs_no_rows(world: World) -> None:
    first = world.submit(chain(2, 1))
    second = world.submit(after(chain(100_000, 1), "t0", Follow(first)))
    world.run_to_end()
    tick(world)
    assert len(world.rows()) == 2
    assert ready(world, second) == 100_000


def test_taking_twice_or_half_changes_nothing(world: World) -> None:
    """A tick that is killed before it commits leaves nothing; one that commits and is done again finds nothing."""
    first = world.submit(chain(4, 1))
    second = world.submit(after(chain(4, 1), "t0", Follow(first, "t0", each=True)))
    world.run_to_end()
    with world.database.read() as tx:
        (row,) = following_steps.closed(tx, (0, 0))
    world.database.run(lambda tx: following_steps.sweep(tx, row, 0))

    class KilledError(Exception):
        pass

    def broken(tx) -> None:
        following_steps.take(tx, world.contexts, row, world.clock())
        raise KilledError

    with pytest.raises(KilledError):
        world.database.run(broken)
    assert ready(world, second) == 0
    taken = [
        world.database.run(lambda tx: following_steps.take(tx, world.contexts, row, world.clock())) for _ in range(2)
    ]
    assert taken == [4, 0]
    assert world.database.run(lambda tx: following_steps.sweep(tx, row, 0)) == (0, 0)
    assert ready(world, second) == 4


def test_reports_that_did_not_know_of_the_follower_are_found_by_the_counts(world: World) -> None:
    first = world.submit(chain(4, 1))
    items = world.claim()
    world.end(items[:1])  # from here on it is remembered for a while that nobody follows
    second = world.submit(after(chain(4, 1), "t0", Follow(first, "t0", each=True)))
    world.end(items[1:3])
    assert world.rows(arrivals) == []
    tick(world)
    assert ready(world, second) == 3
    world.clock.advance(60.0)
    world.end(items[3:])
    assert len(world.rows(arrivals)) == 4  # now the report itself has noted it
    tick(world)
    assert ready(world, second) == 4


def test_nothing_is_asked_of_reports_where_nobody_follows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.submit(chain(3, 1))
    asked: list[str] = []
    monkeypatch.setattr(following_store, "NOTE", lambda tx, v: asked.append("note"))
    read = following_store.FOLLOWED
    monkeypatch.setattr(following_store, "FOLLOWED", lambda tx: asked.append("read") or read(tx))
    for item in world.claim():
        world.end([item])
    assert asked == ["read"]


def test_failed_tasks_go_on_after_a_retry_and_nothing_that_went_is_undone(world: World) -> None:
    first = world.submit(replace(chain(2, 1), tasks=(task("t0", retry=Retry(tries=1, insist=True)),)))
    second = world.submit(after(chain(2, 1), "t0", Follow(first, "t0", each=True)))
    good, bad = world.claim()
    world.end([good])
    world.end([bad], Reason.EXIT, exit=1)
    tick(world)
    world.run_to_end()
    assert world.status(str(second))["tasks"] | {} == {
        **dict.fromkeys(("ready", "queued", "running", "failed", "held"), 0), "total": 2, "done": 1, "waiting": 1,
    }  # fmt: skip
    world.act("retry", str(first))
    world.run_to_end()
    tick(world)
    world.run_to_end()
    assert world.status(str(second))["state"] == "done"


def test_jobs_that_were_given_up_do_not_keep_a_gate_closed(world: World) -> None:
    first = world.submit(chain(3, 2))
    second = world.submit(after(chain(1, 1), "t0", Follow(first, "t1")))
    world.act("cancel", f"{first}/1")
    tick(world)
    assert ready(world, second) == 0
    world.run_to_end()
    tick(world)
    assert ready(world, second) == 1


def test_more_jobs_follow_as_well(world: World) -> None:
    first = world.submit(chain(5, 1))
    second = world.submit(after(chain(2, 1), "t0", Follow(first, "t0", each=True)))
    world.run_to_end()
    tick(world)
    assert world.run_to_end() == 2
    assert world.status(str(second))["state"] == "done"
    world.more(second, 3)
    assert ready(world, second) == 0
    tick(world)
    assert world.run_to_end() == 3
    with pytest.raises(Conflict, match="dataset 1 has 5 jobs"):
        world.more(second, 1)
    world.more(first, 1)
    world.more(second, 1)
    for _ in range(2):
        world.run_to_end()
        tick(world)
    assert world.status(str(second))["state"] == "done"


def test_jobs_here_may_be_fewer_and_what_is_beyond_them_is_taken_all_the_same(world: World) -> None:
    first = world.submit(chain(5, 1))
    second = world.submit(after(chain(3, 1), "t0", Follow(first, "t0", each=True)))
    items = world.claim()
    world.end([item for item in items if item.job in (0, 4)])
    tick(world)
    (row,) = world.rows(follows)
    assert (row.seen, row.passed, row.opened) == (2, 1, None)
    world.end([item for item in items if item.job not in (0, 4)])
    tick(world)
    (row,) = world.rows(follows)
    assert (row.passed, row.opened is None) == (3, False)
    assert ready(world, second) == 3


def test_a_job_that_was_touched_before_waits_for_its_like(world: World) -> None:
    first = world.submit(chain(3, 1))
    second = world.submit(after(chain(3, 2), "t1", Follow(first, "t0", each=True)))
    world.act("hold", f"{second}/1/t1")
    world.act("release", f"{second}/1/t1")
    assert world.status(f"{second}/1/t1")["pending"] == 2
    pool = Pool(world)
    pool.run(first)
    tick(world)
    assert world.status(f"{second}/1/t1")["pending"] == 1
    world.act("hold", f"{second}/2/t1")
    pool.run(second)
    assert world.status(f"{second}/1/t1")["state"] == "done"
    world.act("release", f"{second}/2/t1")
    world.run_to_end()
    assert world.status(str(second))["state"] == "done"


@pytest.mark.parametrize(
    ("follow", "said"),
    [
        (Follow(7), "there is no dataset 7"),
        (Follow(2), "there is no dataset 2 yet"),
        (Follow(1, "detect"), "dataset 1 has no task 'detect'"),
        (Follow(1, "tables", each=True), "tables is done once in dataset 1"),
        (Follow(1, "filter", each=True), "dataset 1 has 2 jobs, and this one 3"),
        (Follow(1, "9", each=True), "dataset 1 has no task '9'"),
    ],
    ids=str,
)
def test_what_is_not_there_cannot_be_followed(world: World, follow: Follow, said: str) -> None:
    world.submit(campaign(2))
    with pytest.raises(Invalid) as caught:
        world.submit(after(chain(3 if follow.task != "9" else 2, 1), "t0", follow))
    assert said in str(caught.value.problems)
    assert len(world.rows(follows)) == 0


def test_datasets_that_go_together_by_number_cannot_be_divided(world: World) -> None:
    first = world.submit(divisible(3))
    second = world.submit(after(divisible(3), "filter", Follow(first, "filter", each=True)))
    with pytest.raises(Conflict, match="jobs of dataset 2 go with its jobs"):
        world.split(first, 2)
    with pytest.raises(Conflict, match="its jobs go with those of another dataset"):
        world.split(second, 2)
