"""The checker finds each thing that can be wrong, on both databases, and nothing where all is well."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from nunatak.core.clock import ManualClock
from nunatak.core.work import Reason
from nunatak.db.database import Database
from nunatak.tasks import invariants
from tests.contract.world import World, campaign, chain, diamond

WRONG = {
    "UPDATE tasks SET lease = NULL WHERE dataset = 1 AND state = 'queued'": "is queued without a lease",
    "UPDATE tasks SET engine = NULL WHERE dataset = 1 AND state = 'running'": "is running without a lease",
    "UPDATE tasks SET lease = 5 WHERE dataset = 1 AND state = 'done'": "is done with a lease",
    "UPDATE tasks SET started = NULL WHERE dataset = 1 AND state = 'running'": "is running but never started",
    "UPDATE tasks SET started = 5 WHERE dataset = 1 AND state = 'queued'": "is queued but has started",
    "UPDATE tasks SET pending = -1 WHERE dataset = 1 AND state = 'waiting'": "waits for -1 parents",
    "UPDATE tasks SET pending = 1 WHERE dataset = 1 AND state = 'done'": "is done while 1 parents are not done",
    "UPDATE tasks SET shape = 0 WHERE dataset = 1 AND job = 0": "has no shape",
    "UPDATE tasks SET attempt = attempt + 1 WHERE dataset = 1 AND state = 'done'": "the ledger has 1 from 1 to 1",
    "UPDATE attempts SET attempt = 7 WHERE dataset = 1": "the ledger has 1 from 7 to 7",
    "UPDATE attempts SET action = 'again' WHERE dataset = 1": "is done, but its last attempt is not",
    "UPDATE tasks SET pending = pending + 1 WHERE dataset = 1 AND state = 'waiting' AND job >= 0": "of which 1 are not done",
    "UPDATE tasks SET pending = pending + 1 WHERE dataset = 2 AND job < 0 AND state = 'waiting'": "2/analyze waits for",
    "UPDATE tasks SET pending = 0 WHERE dataset = 1 AND state = 'waiting'": "waits for nothing",
    "UPDATE tasks SET state = 'ready' WHERE dataset = 2 AND job >= 0 AND state = 'waiting'": "is ready before a task it needs",
    "DELETE FROM tasks WHERE dataset = 1 AND state = 'waiting'": "was not opened",
    "DELETE FROM tasks WHERE dataset = 1 AND state = 'done'": "the ledger has attempts of a task without a row",
    "UPDATE task_counts SET held = held + 3 WHERE dataset = 1": "counts of",
    "UPDATE job_counts SET failed = failed + 1 WHERE dataset = 2": "counts of jobs",
    "UPDATE job_counts SET live = live + 1 WHERE dataset = 2": "live tasks",
    "UPDATE datasets SET state = 'done' WHERE dataset = 2": "state done, derived open",
    "UPDATE spent SET attempts = attempts + 1 WHERE dataset = 1": "attempts that time was spent on",
    "UPDATE frontier SET total = total + 1 WHERE dataset = 2": "2/analyze waits for",
}  # fmt: skip


@pytest.fixture
def busy(database: Database, clock: ManualClock) -> World:
    """Three datasets in the middle of their lives: done, running, queued, failed, cancelled, waiting at a gate."""
    world = World(database, clock)
    world.submit(diamond(4))
    items = world.claim(2)
    world.start(items)
    world.end(items)
    world.end(world.claim(1))  # one of two parents of another
    world.start(world.claim(1))
    world.claim(2)
    world.submit(campaign(4))
    for name in ("tables", "generate"):
        taken = [item for item in world.claim(100) if item.dataset == 2]
        wanted = [item for item in taken if campaign(1).tasks[item.task].name == name]
        world.end(wanted)
    world.act("cancel", "2/3")
    world.submit(chain(2, 2))
    for _ in range(3):
        world.end(world.claim(1), Reason.EXIT)
    return world


@pytest.mark.parametrize("change", WRONG)
def test_what_is_wrong_is_found(busy: World, change: str) -> None:
    assert busy.faults() == []
    with busy.database.write() as tx:
        assert tx.execute(text(change)).rowcount > 0
        found = invariants.check(tx, busy.contexts)
        tx.rollback()
    assert any(WRONG[change] in fault for fault in found), found
    assert all(fault.startswith("dataset ") for fault in found)


def test_of_many_faults_of_a_kind_some_are_shown(world: World) -> None:
    world.submit(chain(60, 1))
    world.end(world.claim(60))
    with world.database.write() as tx:
        tx.execute(text("UPDATE tasks SET lease = 5"))
        found = invariants.check(tx, world.contexts)
        tx.rollback()
    assert len(found) == invariants.MOST + 1
    assert found[-1] == "dataset 1: and more tasks like these"
