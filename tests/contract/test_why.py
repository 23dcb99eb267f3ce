"""Why something is as it is, in the words that people read."""

import pytest
from sqlalchemy import update

from nunatak.core.address import parse
from nunatak.core.clock import ManualClock
from nunatak.core.work import Reason, Shape, Usage
from nunatak.datasets.plan import Plan, Retry
from nunatak.tasks import nodes, shares
from nunatak.tasks.health.events import Node
from nunatak.tasks.looking import explain
from nunatak.tasks.shares import OwnerKind, Share
from nunatak.tasks.tables import spent
from tests.contract.world import World, campaign, chain, task


@pytest.fixture
def world(database):
    return World(database, ManualClock())


def why(world, address):
    wanted = parse(address)
    with world.database.read() as tx:
        context = world.contexts.one(tx, wanted.dataset)
        return explain.why(tx, world.contexts, context, wanted, world.clock())["reasons"]


def wide(jobs, **more):
    return Plan("wide", jobs, (task("only", **more),))


def test_a_waiting_task_names_its_unfinished_parents(world):
    world.submit(campaign(3))
    assert why(world, "1/0/filter") == [
        "it waits for 1/0/generate, which is waiting",
        "it waits for 1/reference, which is ready",
    ]
    assert why(world, "1/analyze")[0] == "filter is done in 0 of 3 jobs"


def test_no_engine_offers_the_shape_and_the_nearest_is_named(world):
    world.submit(wide(2, shape=Shape(cpu=1, memory=2 * 10**12).rounded()))
    reasons = why(world, "1/0/only")
    assert reasons[0] == (
        "no engine offers what it needs: the nearest, at here, has 1 TB of the 2 TB of memory;"
        " change needs.memory in the recipe, or add an engine that has it"
    )
    assert reasons[1] == "needs 2 TB of memory: the largest slot has 1 TB, at here"
    assert why(world, "1")[0] == reasons[0]


def test_without_an_engine_it_says_so(world):
    world.submit(wide(2))
    world.clock.advance(10_000.0)
    assert why(world, "1/0/only") == ["no engine is running: start one with nunatak up or nunatak serve engine"]


def test_who_is_ahead_and_what_it_gets(world):
    world.submit(wide(5))
    world.submit(wide(5), owner="bob")
    world.database.run(lambda tx: shares.say(tx, Share(OwnerKind.USER, "bob", weight=3.0), "root", world.clock()))
    reasons = why(world, "1/0/only")
    assert "2nd of 2 datasets that want such slots" in reasons[1]
    assert "it gets about 25 % of the next places; ahead: 2 (bob)" in reasons[1]
    assert reasons[2] == "64 of 64 slots could take it, at here"


def test_a_cap_is_the_first_reason(world):
    world.submit(wide(5))
    world.database.run(lambda tx: shares.say(tx, Share(OwnerKind.USER, "alice", running=2), "root", world.clock()))
    assert len(world.claim()) == 2
    assert why(world, "1/4/only")[0] == (
        "user alice has 2 tasks queued or running, the most it may have: the next starts when one ends,"
        " or when an operator raises the cap"
    )
    assert why(world, "1")[0].startswith("user alice has 2 tasks")


def test_a_back_off_and_the_chain_of_all_attempts(world):
    world.submit(wide(1, retry=Retry(tries=3, delay=60.0)))
    for message in ("it broke at 17", "it broke otherwise"):
        world.clock.advance(1000.0)
        items = world.claim()
        world.start(items)
        world.end(items, Reason.EXIT, message, exit=3, usage=Usage(wall=5.0))
    reasons = why(world, "1/0/only")
    assert reasons[0] == "it is tried again at 2027-01-15T08:35:20.000Z: it broke otherwise"
    chain_of = [reason for reason in reasons if reason.startswith("attempt ")]
    assert [text.split(":")[0] for text in chain_of] == ["attempt 1 on node1 at here", "attempt 2 on node1 at here"]
    assert "17" in chain_of[0]


def test_the_first_cause_is_told_even_of_what_is_done(world):
    world.submit(wide(1, retry=Retry(tries=3, delay=0.0)))
    items = world.claim()
    world.start(items)
    world.act("hold", "1/0/only")
    world.act("release", "1/0/only")
    world.run_to_end()
    reasons = why(world, "1/0/only")
    assert reasons[0] == "done by attempt 2"
    assert reasons[1].startswith("attempt 1 on node1 at here: held: held by alice")
    assert reasons[2] == "attempt 2 on node1 at here: ok"


def test_a_dataset_says_first_what_holds_back_most(world):
    world.submit(chain(10, 3))
    assert why(world, "1")[0].endswith("slots that could take it are free: it starts at the next look of an engine")
    for job in range(8):
        world.act("cancel", f"1/{job}/t0")
    reasons = why(world, "1")
    assert reasons[:2] == ["8 tasks failed and need you: nunatak errors 1", "16 tasks wait for those"]
    assert "without the 8 that failed or are held" in reasons[-1]
    world.act("hold", "1")
    assert why(world, "1")[0].startswith("nothing is started: hold by alice")
    assert why(world, "1/9/t0")[0].startswith("dataset 1 is held")


def test_a_task_too_long_for_where_it_runs_is_told(world):
    world.submit(wide(3, shape=Shape(time=36_000).rounded()))
    items = world.claim()
    world.start(items)
    world.clock.advance(10.0)
    world.end(items[:1])
    world.database.run(lambda tx: tx.execute(update(spent).values(cause="free", attempts=10, wall=36_000.0)))
    warned = [reason for reason in why(world, "1") if "half of the attempts" in reason]
    assert warned == []  # what was seen is short, whatever was asked for
    world.submit(wide(3, shape=Shape(time=36_000).rounded()))
    (warned,) = [reason for reason in why(world, "2") if "half of the attempts" in reason]
    assert warned.startswith("only asks for 10 h, but half of the attempts on here are evicted within 41 min 35 s")
    assert warned.endswith("yours: declare a checkpoint file, or a splittable parameter")


def test_a_splittable_parameter_is_proposed_in_numbers(world):
    long = task("only", shape=Shape(time=36_000).rounded(), parameters={"events": 10_000}, splittable="events")
    world.submit(wide(1))
    world.end(world.claim())
    world.database.run(lambda tx: tx.execute(update(spent).values(cause="free", attempts=10, wall=36_000.0)))
    number = world.submit(Plan("long", 3, (long,)))
    (warned,) = [reason for reason in why(world, f"{number}") if "half of the attempts" in reason]
    proposed = "yours: divide it into 20 jobs with events 500 instead of one with 10000"
    assert warned.endswith(f"{proposed}: nunatak split {number}")


def test_a_drained_node_is_named_as_what_holds_it_back(database):
    world = World(database, ManualClock(), node="node1")
    world.submit(wide(2))
    world.database.run(lambda tx: nodes.drain(tx, Node("here", "node1"), "root", "new disks", world.clock()))
    reasons = why(world, "1/0/only")
    assert reasons[0] == "no slot takes it now: those at here could, but their nodes get no work for now"
    assert reasons[1] == "nodes that get no work for now, most at here: excludes 64 of 64 slots"


def test_those_that_wait_for_the_one_tried_first_say_so(world):
    world.submit(wide(500, learn="within"))
    (item,) = world.claim()
    world.start([item])
    text = "one only tries first: 499 wait until it has ended, to ask for what it was seen to need"
    assert why(world, "1/9/only")[0].startswith(text)
    assert why(world, "1")[0].startswith(text)
