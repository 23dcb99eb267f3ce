"""From submission to done, on both databases, with the invariants checked after each test."""

from __future__ import annotations

import pytest

from nunatak.core.work import Reason, Shape
from nunatak.datasets.plan import Plan, Retry
from tests.contract.world import World, campaign, chain, diamond, task


@pytest.mark.parametrize("plan", [chain(7), diamond(7), campaign(7)], ids=lambda plan: plan.name)
@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_every_task_is_done_exactly_once(world: World, plan, limit) -> None:
    dataset = world.submit(plan)
    assert world.faults() == []
    world.run_to_end(limit, most=500)
    status = world.status(str(dataset))
    assert status["state"] == "done"
    assert status["jobs"] == {"total": 7, "open": 0, "done": 7, "failed": 0, "held": 0}
    once = sum(task.once for task in plan.tasks)
    total = once + 7 * (len(plan.tasks) - once)
    assert status["tasks"]["done"] == status["tasks"]["total"] == total
    assert len(world.ledger()) == total


def test_submitting_a_million_jobs_adds_a_handful_of_rows(world: World) -> None:
    dataset = world.submit(chain(1_000_000))
    assert world.rows() == []
    status = world.status(str(dataset))
    assert status["tasks"]["ready"] == 1_000_000
    assert status["tasks"]["waiting"] == 4_000_000


def test_tasks_that_gather_wait_for_every_job(world: World) -> None:
    dataset = world.submit(campaign(3))
    before = world.claim()
    assert {item.task for item in before} == {0, 1}
    world.end(before)
    first = world.claim()
    world.end(first)
    last = world.claim()
    world.end(last[:2])
    assert world.status(f"{dataset}/analyze")["state"] == "waiting"
    world.end(last[2:])
    (gather,) = world.claim()
    names = [(item.task, item.job) for item in gather.inputs]
    assert names == [("tables", -1), ("filter", 0), ("filter", 1), ("filter", 2)]
    assert all(item.sha256 == "ab" * 32 for item in gather.inputs)
    world.end([gather])


def test_a_report_with_another_key_changes_nothing_but_leaves_a_record(world: World) -> None:
    world.submit(chain(1))
    (item,) = world.claim()
    stranger = type(item)(item.dataset, item.job, item.task, item.attempt, item.lease + 1, item.shape)
    receipt = world.end([stranger])
    assert receipt.taken == 0
    assert len(receipt.stale) == 1
    assert world.status("1/0/t0")["state"] == "queued"
    assert world.end([item]).taken == 1


def test_a_repeated_report_is_taken_once(world: World) -> None:
    world.submit(chain(1, 1))
    items = world.claim()
    assert world.end(items).taken == 1
    again = world.end(items)
    assert again.taken == 1
    assert again.stale == ()
    assert len(world.ledger()) == 1


def test_failures_are_tried_again_and_then_need_a_person(world: World) -> None:
    world.submit(chain(2, 2))
    for number in range(3):
        items = world.claim()
        world.start(items)
        world.end([item for item in items if item.job == 0], Reason.EXIT, f"boom {number}")
        world.end([item for item in items if item.job == 1])
    status = world.status("1")
    assert status["per_task"]["t0"]["failed"] == 1
    assert status["jobs"]["failed"] == 1
    assert world.status("1")["state"] == "failed"
    task = world.status("1/0/t0")
    assert [attempt["message"] for attempt in task["attempts"]] == ["boom 0", "boom 1", "boom 2 (3 times)"]
    assert world.act("retry", "1") == 1
    world.run_to_end()
    assert world.status("1")["state"] == "done"


def test_lost_attempts_do_not_use_up_tries(world: World) -> None:
    world.submit(chain(1, 1))
    for _ in range(6):
        world.clock.advance(7200)
        (item,) = world.claim()
        world.end([item], Reason.LOST)
    assert world.status("1/0/t0")["tries"] == 0
    world.clock.advance(7200)
    world.run_to_end()


def test_back_off_keeps_a_task_from_being_claimed(world: World) -> None:
    plan = chain(1, 1)
    task = plan.tasks[0]
    slow = type(plan)("slow", 1, (type(task)(**{**_fields(task), "retry": type(task.retry)(tries=3, delay=60.0)}),))
    world.submit(slow)
    world.end(world.claim(), Reason.EXIT)
    assert world.claim() == []
    world.clock.advance(61)
    assert len(world.claim()) == 1


def _fields(task) -> dict:
    return {name: getattr(task, name) for name in task.__dataclass_fields__}


@pytest.mark.parametrize("address", ["1", "1/0", "1/0/t1"])
def test_hold_ends_what_runs_and_release_lets_it_go_on(world: World, address: str) -> None:
    world.submit(chain(3))
    first = world.claim(3)
    world.end([item for item in first if item.job == 0])
    running = [item for item in first if item.job != 0] + world.claim(3)
    world.start(running)
    world.act("hold", address, "wrong tables")
    assert world.faults() == []
    status = world.status(address)
    assert status["state"] == "held"
    receipt = world.end(running)
    assert receipt.taken + len(receipt.stale) == len(running)
    assert len(receipt.stale) >= 1
    world.run_to_end()
    assert world.status("1")["tasks"]["done"] < 15
    world.act("release", address)
    world.run_to_end()
    assert world.status("1")["state"] == "done"


def test_an_untouched_job_can_be_held_by_itself(world: World) -> None:
    world.submit(chain(1000))
    world.act("hold", "1/900")
    assert world.faults() == []
    assert world.status("1")["jobs"]["held"] == 1
    assert world.status("1/900")["state"] == "held"
    world.run_to_end(5000)
    assert world.status("1")["state"] == "held"
    world.act("release", "1/900")
    world.run_to_end()
    assert world.status("1")["state"] == "done"


def test_a_cancelled_job_is_given_up_by_tasks_that_gather(world: World) -> None:
    world.submit(campaign(3))
    world.end(world.claim())
    running = world.claim()
    world.act("cancel", "1/1")
    world.end([item for item in running if item.job != 1])
    world.run_to_end()
    assert world.status("1/analyze")["state"] == "done"
    assert world.status("1")["jobs"] == {"total": 3, "open": 0, "done": 2, "failed": 1, "held": 0}
    assert world.act("retry", "1/1") == 2
    assert world.status("1/analyze")["state"] == "waiting"
    world.run_to_end()
    assert world.status("1")["state"] == "done"


def test_cancelling_a_dataset_drops_what_was_not_begun(world: World) -> None:
    world.submit(campaign(1000))
    world.end(world.claim())
    world.start(world.claim(10))
    assert world.act("cancel", "1") > 1000  # jobs that were dropped, and tasks
    status = world.status("1")
    assert status["state"] == "failed"
    assert status["jobs"]["total"] < 1000
    assert status["tasks"]["running"] == status["tasks"]["ready"] == 0
    assert world.claim() == []


def test_closing_keeps_what_was_begun_and_gathers_it(world: World) -> None:
    world.submit(campaign(1000))
    world.end(world.claim())
    begun = world.claim(10)
    world.act("close", "1")
    world.end(begun)
    world.run_to_end()
    status = world.status("1")
    assert status["state"] == "done"
    assert 10 <= status["jobs"]["total"] < 1000


def test_more_jobs_make_a_gathering_task_wait_again(world: World) -> None:
    world.submit(campaign(2))
    world.run_to_end()
    assert world.status("1")["state"] == "done"
    assert world.more(1, 3) == 5
    assert world.status("1")["state"] == "open"
    assert world.status("1/analyze")["state"] == "waiting"
    world.run_to_end()
    status = world.status("1")
    assert status["state"] == "done"
    assert status["jobs"]["done"] == 5
    assert len(world.status("1/analyze")["attempts"]) == 2


def test_what_is_held_or_released_already_is_not_told_as_changed(world: World) -> None:
    world.submit(chain(3))
    assert [world.act(verb, "1") for verb in ("release", "hold", "hold", "release", "release")] == [0, 1, 0, 1, 0]


def test_a_claim_that_raced_a_hold_is_ended_soon_after(world: World) -> None:
    world.submit(chain(3))
    world.act("hold", "1")
    with world.database.write() as tx:  # as if a claim had looked before the hold was committed
        tx.exec_driver_sql("UPDATE datasets SET held = false, state = 'open'")
    assert len(world.claim(2)) == 2
    with world.database.write() as tx:
        tx.exec_driver_sql("UPDATE datasets SET held = true, state = 'held', reason = 'hold by alice'")
    assert world.enforce() == 2
    assert world.status("1")["tasks"]["queued"] == 0
    assert world.status("1")["state"] == "held"
    assert world.enforce() == 0


def test_work_that_appears_while_a_dataset_is_cancelled_is_cancelled_too(world: World) -> None:
    world.submit(chain(2))
    items = world.claim(1)
    with world.database.write() as tx:  # as if the report had been under way during the order
        tx.exec_driver_sql("UPDATE datasets SET cancelled = true, closed = true, reason = 'cancel by alice'")
    world.end(items)
    assert world.claim() == []
    assert world.enforce() > 0
    assert world.status("1")["state"] == "failed"
    world.act("retry", "1")
    world.run_to_end()
    assert world.status("1")["state"] == "done"


def test_a_job_that_was_cancelled_held_and_released_is_waited_for_again(world: World) -> None:
    world.submit(campaign(2))
    world.end(world.claim())
    for verb in ("cancel", "hold", "release"):
        world.act(verb, "1/0")
        assert world.faults() == []
    world.run_to_end()
    assert world.status("1")["state"] == "done"


def test_more_jobs_reach_tasks_behind_one_that_gathers(world: World) -> None:
    plan = Plan(
        "tail",
        1,
        (task("a"), task("g", "a", once=True), task("h", "g", once=True)),
    )
    world.submit(plan)
    world.run_to_end()
    world.more(1, 1)
    assert world.faults() == []
    assert world.status("1/h")["state"] == "waiting"
    world.run_to_end()
    assert len(world.status("1/h")["attempts"]) == 2
    assert world.status("1")["state"] == "done"


def test_tasks_that_wait_for_their_next_try_leave_no_place_empty(world: World) -> None:
    slow = task("b", "a", shape=Shape(cpu=2).rounded(), retry=Retry(tries=5, delay=600.0))
    world.submit(Plan("mixed", 200, (task("a"), slow)))
    world.end(world.claim(3))
    late = [item for item in world.claim(3) if item.task == 1]
    world.end(late, Reason.EXIT)
    assert len(world.claim(3)) == 3


def test_an_eviction_is_free_even_after_many_tries_by_hand(world: World) -> None:
    world.submit(chain(1, 1))
    for _ in range(8):
        for _ in range(3):
            world.end(world.claim(), Reason.EXIT)
        world.act("retry", "1")
    world.end(world.claim(), Reason.LOST)
    status = world.status("1/0/t0")
    assert (status["tries"], status["attempts"][-1]["verdict"]) == (0, "lost")
