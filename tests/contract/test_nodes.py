"""Nodes that fail are found by what reports say, get no work, are tried again and forgiven: real verbs, a simulated pool."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import Any

import pytest

from nunatak.core.address import Address
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Conflict, NotFound
from nunatak.core.work import Environment, Reason, Shape, TaskSpec
from nunatak.datasets.plan import Plan, Retry
from nunatak.db.database import Database
from nunatak.db.statement import Statement
from nunatak.engines.behaviour import Behaviour
from nunatak.engines.hosts import Fault
from nunatak.engines.protocol import Nodes, What
from nunatak.engines.simulated import SimulatedEngine
from nunatak.loops.maintenance import Withdrawer
from nunatak.tasks import claim, nodes, nodes_store, report
from nunatak.tasks.health.drain import Health
from nunatak.tasks.health.events import Node
from nunatak.tasks.health.news import News
from nunatak.tasks.looking import nodes_look
from nunatak.tasks.rows import Claimed
from nunatak.tasks.scoreboard import Scoreboard
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.standings import excluded, standings
from tests.contract.world import BIG, SMALL, World, key, task

GOOD = tuple(f"node{number}" for number in range(50))
HOLE = Fault()


def many(jobs: int, **more: Any) -> Plan:
    return Plan("many", jobs, (task("a", retry=Retry(tries=3, delay=0.0), **more),))


class Pool:
    """A simulated resource with several nodes that works on what there is, looked after by the loop `health`."""

    def __init__(self, world: World, **behaviour: Any) -> None:
        self.world = world
        self.behaviour = Behaviour(**{"slots_per_host": 1, "duration": 20.0, **behaviour})
        places = len(self.behaviour.hosts) * self.behaviour.slots_per_host
        total = Shape(cpu=places, memory=10**15, disk=10**15, time=10**6)
        self.engine = SimulatedEngine(clock=world.clock, total=total, behaviour=self.behaviour, queue=10)
        self.board = board_of(world)
        self.open: dict[str, Claimed] = {}
        self.told: Counter[str] = Counter()
        self.cursor = ""

    def step(self, seconds: float = 0.5) -> None:
        """Report, look at the nodes, claim; then let time pass."""
        changes = self.engine.poll(self.cursor)
        self._report(changes.changes)
        self.cursor = changes.cursor
        self.board.tick()
        with self.world.database.read() as tx:
            found = excluded(tx, self.world.clock())
        stand = Nodes(found.drained.get("here", ()), found.probed.get("here", ()))
        items = self.world.claim(self.engine.capacity().queue)
        self.open.update({name(item): item for item in items})
        self.engine.submit([spec(item) for item in items], stand)
        self.world.clock.advance(seconds)

    def _report(self, changes: Any) -> None:
        started, ended = [], []
        for change in changes:
            item = self.open.get(change.handle.address)
            if item is None:
                continue
            if change.what is What.RUNNING:
                started.append(report.Started(key(item), change.at, change.host))
            else:
                ended.append(report.Ended(key(item), change.outcome))
                self.told[change.host] += change.outcome.reason is not Reason.OK
                del self.open[change.handle.address]
        self.world._report(started, ended)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def finish(self, dataset: int, most: int = 4000) -> dict[str, Any]:
        for _ in range(most):
            self.step()
            plain = self.world.status(str(dataset))
            if plain["state"] != "open":
                return plain
        raise AssertionError("it did not come to an end")

    def health(self, node: str) -> Health:
        return health(self.world, node)


def name(item: Claimed) -> str:
    return str(Address(item.dataset, item.job, "a", item.attempt))


def spec(item: Claimed) -> TaskSpec:
    return TaskSpec(name(item), f"{item.lease:x}", (), Environment(), (), (), SMALL, avoid=item.avoid)


def board_of(world: World, of: str = "p1") -> Scoreboard:
    return Scoreboard(world.database, world.contexts, world.clock, lambda: 0.5, of)


def health(world: World, node: str, site: str = "here") -> Health:
    with world.database.read() as tx:
        found = standings(tx).nodes.get(Node(site, node))
    return found.health if found else Health.FINE


def lines(world: World, every: bool = False) -> list[dict[str, Any]]:
    with world.database.read() as tx:
        now = world.clock()
        found = nodes_look.every(tx, now, "", 1000) if every else nodes_look.not_fine(tx, now)
    return list(found["items"])


def test_a_black_hole_among_fifty_nodes_is_drained_after_at_most_five_lost_tasks(world: World) -> None:
    dataset = world.submit(many(600))
    pool = Pool(world, hosts=("hole", *GOOD), faults={"hole": HOLE})
    plain = pool.finish(dataset)
    assert (plain["state"], plain["tasks"]["done"]) == ("done", 600)
    assert 3 <= pool.told["hole"] <= 5
    assert pool.health("hole") is Health.DRAINED
    assert not [node for node in GOOD if pool.health(node) is not Health.FINE]
    (line,) = lines(world)
    assert line["name"] == "here/hole"
    lost = pool.told["hole"]
    assert line["sentence"].startswith("hole at here is drained since ")
    assert (
        f"{lost} of its last {lost} attempts ended in 1 s with 'exec format error'; elsewhere none of"
        in line["sentence"]
    )
    assert "Probed again in " in line["sentence"]
    assert line["move"].endswith("nunatak node undrain here/hole")


def test_a_black_hole_is_found_though_nothing_has_ended_elsewhere_yet(world: World) -> None:
    world.submit(many(200))
    pool = Pool(world, hosts=("hole", *GOOD), faults={"hole": HOLE}, duration=7200.0)
    pool.run(40)
    assert pool.health("hole") is Health.SUSPECT
    assert pool.told["hole"] <= 7
    (line,) = lines(world)
    assert "elsewhere nobody has tried the same yet" in line["sentence"]


def test_a_pool_where_every_node_fails_drains_nobody(world: World) -> None:
    dataset = world.submit(many(300))
    pool = Pool(world, hosts=GOOD[:10], faults=dict.fromkeys(GOOD[:10], HOLE), duration=5.0)
    for _ in range(300):
        pool.step()
    assert world.status(str(dataset))["tasks"]["failed"] > 50
    assert lines(world) == []


def test_a_drained_node_is_tried_again_one_task_at_a_time_and_forgiven(world: World) -> None:
    world.submit(many(100_000))
    faults = {"hole": HOLE}
    pool = Pool(world, hosts=("hole", *GOOD[:10]), faults=faults)
    pool.run(150)
    assert pool.health("hole") is Health.DRAINED
    before = pool.told["hole"]
    world.clock.advance(600)
    pool.run(5)
    assert before < pool.told["hole"] <= before + 2, "one probe, which failed, and what began before that was known"
    assert pool.health("hole") is Health.DRAINED
    faults.clear()
    world.clock.advance(1200)
    pool.run(2)
    assert pool.health("hole") is Health.PROBING
    pool.run(60)
    assert pool.health("hole") is Health.FINE
    assert lines(world) == []


def ran(world: World, n: int, node: str, reason: Reason = Reason.OK, message: str = "") -> None:
    """Let tasks end on a node."""
    for item in world.claim(n):
        world.end([item], reason, message, host=node)


def test_equal_names_at_two_sites_are_two_nodes(world: World) -> None:
    world.submit(many(1000))
    other = world.register("remote", site="there")
    board = board_of(world)
    for _ in range(6):
        for node in GOOD[:5]:
            ran(world, 5, node)
        for item in world.claim(1, engine=other):
            world.end([item], Reason.COMMAND, "exec format error: ./prog", host="node0")
        board.tick()
    assert health(world, "node0", "there") is Health.DRAINED
    assert health(world, "node0", "here") is Health.FINE


def test_what_went_well_elsewhere_later_speaks_against_the_node_where_it_failed(world: World) -> None:
    world.submit(many(4000))
    board = board_of(world)
    for _ in range(8):
        for node in GOOD[:8]:
            ran(world, 10, node)
        (item,) = world.claim(1)
        world.end([item], Reason.EXIT, "ValueError: odd", exit=1, host="odd")
        world.end(again := world.claim(200), host="node1")
        assert item.job in {one.job for one in again}
        board.tick()
    assert health(world, "odd") is Health.DRAINED
    (line,) = lines(world)
    assert "with 'command failed'" in line["sentence"]


class Killed(BaseException):
    """The process ends here."""


def test_wherever_the_loop_is_killed_nothing_is_lost_or_counted_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement of a tick in turn is the last of its process."""
    world.submit(many(2000))
    call, left = Statement.__call__, [0]

    def counted(self: Statement, *args: Any, **values: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return call(self, *args, **values)

    for last in range(1, 40):
        ran(world, 3, "good")
        if last <= 2:
            ran(world, 1, "bad", Reason.COMMAND, "exec format error: ./prog")
        board, left[0] = board_of(world, f"p{last}"), last
        with monkeypatch.context() as patch:
            patch.setattr(Statement, "__call__", counted)
            with contextlib.suppress(Killed):
                board.tick()
            killed = left[0] <= 0
        board.tick()
        if not killed:
            break
    assert not killed
    assert last > 8
    found = {line["name"]: (line["attempts"], line["faults"]) for line in lines(world, every=True)}
    assert found == {"here/bad": (2, 2), "here/good": (3 * last, 0)}
    with world.database.read() as tx:
        assert tx.exec_driver_sql("SELECT COUNT(*) FROM health_news").scalar() == 0


def test_two_that_believe_to_lead_agree(world: World) -> None:
    world.submit(many(2000))
    one, two = board_of(world, "one"), board_of(world, "two")
    for number in range(10):
        ran(world, 5, "good")
        (one if number % 3 else two).tick()
    (line,) = lines(world, every=True)
    assert (line["attempts"], line["faults"]) == (50, 0)


def test_news_that_nobody_looks_at_do_not_grow_for_ever(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MOST_NEWS", 7)
    monkeypatch.setattr(nodes, "LOOKED", 5)
    kept = []
    for number in range(40):
        news = News(float(number))
        news.begun([(1, f"node{number}")])
        database.run(lambda tx: nodes.tell(tx, news))  # noqa: B023 - run at once
        with database.read() as tx:
            kept.append([row.events for row in nodes_store.NEWS(tx, n=1000)])
    assert max(map(len, kept)) < 7 + 5
    assert "node39" in kept[-1][-1]


def test_people_drain_and_undrain_and_it_is_told_who_did(world: World) -> None:
    world.submit(many(2000))
    board = board_of(world)
    for node in GOOD[:3]:
        ran(world, 5, node)
    board.tick()
    node, now = Node("here", "node1"), world.clock()
    world.database.run(lambda tx: nodes.drain(tx, node, "olga", "new kernel", now, 7200.0))
    with pytest.raises(Conflict, match="by olga: new kernel"):
        world.database.run(lambda tx: nodes.drain(tx, node, "ivan", "", now))
    (line,) = lines(world)
    assert "is drained since" in line["sentence"]
    assert "by olga, until" in line["sentence"]
    assert line["sentence"].endswith(": new kernel.")
    ran(world, 5, "node0")
    board.tick()
    assert health(world, "node1") is Health.DRAINED
    world.clock.advance(7201)
    board.tick()
    assert lines(world) == []
    world.database.run(lambda tx: nodes.drain(tx, node, "olga", "", world.clock()))
    world.clock.advance(10 * 86400)
    board.tick()
    assert health(world, "node1") is Health.DRAINED, "for good"
    world.database.run(lambda tx: nodes.undrain(tx, node, "ivan", world.clock()))
    assert health(world, "node1") is Health.FINE
    assert "gets work since" in lines(world)[0]["sentence"]
    with pytest.raises(NotFound, match="no node here/nodee1") as found:
        world.database.run(lambda tx: nodes.drain(tx, Node("here", "nodee1"), "olga", "", now))
    assert "here/node" in str(found.value.hint)


def test_undraining_closes_the_case_also_in_the_memory_of_the_loop(world: World) -> None:
    world.submit(many(2000))
    board = board_of(world)
    for _ in range(6):
        for node in GOOD[:6]:
            ran(world, 10, node)
        ran(world, 1, "bad", Reason.COMMAND, "exec format error: ./prog")
        board.tick()
    assert health(world, "bad") is Health.DRAINED
    world.database.run(lambda tx: nodes.undrain(tx, Node("here", "bad"), "olga", world.clock()))
    world.clock.advance(4000)
    ran(world, 1, "bad", Reason.COMMAND, "exec format error: ./prog")
    board.tick()
    assert health(world, "bad") is Health.FINE, "one fault since"


def test_what_waits_at_an_engine_whose_only_node_is_drained_is_taken_back(world: World) -> None:
    one, other = world.register("one", node="n1"), world.register("other", node="n2")
    world.submit(many(6))
    mine, theirs = claim_as(world, one, "n1")[:6], claim_as(world, other, "n2")
    assert (len(mine), theirs) == (6, [])
    world.start(mine[:2])
    withdrawer = Withdrawer(world.database, world.contexts, world.clock)
    assert not withdrawer.tick()
    assert world.status("1")["tasks"]["queued"] == 4
    world.database.run(lambda tx: nodes.drain(tx, Node("here", "n1"), "olga", "", world.clock()))
    withdrawer.tick()
    counts = world.status("1")["tasks"]
    assert (counts["running"], counts["queued"], counts["ready"]) == (2, 0, 4)
    again = claim_as(world, other, "n2")
    assert [item.attempt for item in again] == [2] * 4
    world.end([*mine[:2], *again])
    plain = world.status("1/5/a")
    assert (world.status("1")["state"], plain["tries"], plain["attempts"][0]["verdict"]) == ("done", 0, "unbegun")
    assert world.faults() == []


# ---- elsewhere


def claim_as(world: World, engine: int, node: str = "", site: str = "here", last: bool = False) -> list[Claimed]:
    asked = claim.Asked(engine, Offer(BIG, site), 10, next(world.keys), node, last)
    return world.database.run(
        lambda tx: claim.claim_many(
            tx, world.contexts, [asked], world.chooser.look(tx, world.contexts, world.clock()), world.clock()
        )[0]
    )


@pytest.fixture
def two(world: World) -> tuple[World, int, int]:
    """Two engines of one node each, and a task that failed on the first."""
    one, other = world.register("one", node="n1"), world.register("other", node="n2")
    world.submit(many(1))
    (item,) = claim_as(world, one, "n1")
    world.end([item], Reason.COMMAND, "exec format error: ./prog", host="n1")
    return world, one, other


def test_a_task_that_failed_on_a_node_goes_to_another(two: tuple[World, int, int]) -> None:
    world, one, other = two
    assert claim_as(world, one, "n1") == []
    (item,) = claim_as(world, other, "n2")
    assert (item.attempt, item.avoid) == (2, ("n1",))
    world.end([item])
    assert world.rows()[0].avoid is None


def test_where_no_other_engine_is_alive_it_goes_to_the_same_node(two: tuple[World, int, int]) -> None:
    world, one, _ = two
    assert len(claim_as(world, one, "n1", last=True)) == 1


def test_after_ten_minutes_it_goes_anywhere(two: tuple[World, int, int]) -> None:
    world, one, _ = two
    world.clock.advance(599)
    assert claim_as(world, one, "n1") == []
    world.clock.advance(2)
    assert len(claim_as(world, one, "n1")) == 1


def test_a_person_who_retries_it_lets_it_go_anywhere(two: tuple[World, int, int]) -> None:
    world, one, _ = two
    world.act("hold", "1/0/a")
    world.act("retry", "1/0/a")
    assert world.rows()[0].avoid is None
    assert len(claim_as(world, one, "n1")) == 1


def test_engines_of_several_nodes_are_told_which_to_avoid(two: tuple[World, int, int]) -> None:
    world, *_ = two
    (item,) = claim_as(world, world.engine)
    assert item.avoid == ("n1",)


def test_nothing_is_avoided_where_there_is_no_other_place(database: Database, clock: ManualClock) -> None:
    world = World(database, clock, node="n1")
    world.submit(many(1))
    (item,) = world.claim()
    world.end([item], Reason.COMMAND, "exec format error: ./prog", host="n1")
    assert world.rows()[0].avoid is None
    assert len(claim_as(world, world.engine, "n1")) == 1
    assert world.faults() == []


def test_names_with_signs_of_patterns_are_themselves(world: World) -> None:
    one, other = world.register("one", node='n%_!"1'), world.register("other", node="nxx1")
    world.submit(many(1))
    (item,) = claim_as(world, one, 'n%_!"1')
    world.end([item], Reason.COMMAND, "exec format error: ./prog", host='n%_!"1')
    assert json.loads(world.rows()[0].avoid) == {"nodes": ['n%_!"1'], "sites": []}
    assert claim_as(world, one, 'n%_!"1') == []
    assert len(claim_as(world, other, "nxx1")) == 1


def test_a_feature_that_fails_at_one_site_only_is_learnt(world: World) -> None:
    shape = Shape(features=("cvmfs",)).rounded()
    world.submit(many(4000, shape=shape))
    world.submit(many(4000))
    there = world.register("remote", site="there")
    wide = Shape(
        **{**{f: getattr(BIG, f) for f in ("cpu", "gpu", "memory", "disk", "time", "platform")}, "features": ("cvmfs",)}
    )
    board = board_of(world)
    for number in range(40):
        for item in world.claim(20, wide):
            world.end([item], host=f"node{number % 7}")
        for item in world.claim(6, wide, engine=there):
            bad = item.dataset == 1
            told = (Reason.COMMAND, "command not found: /cvmfs/run") if bad else (Reason.OK, "")
            world.end([item], *told, host=f"far{number % 5}")
        board.tick()
    with world.database.read() as tx:
        found = excluded(tx, world.clock())
    assert found.fails == {"there": frozenset({"cvmfs"})}
    line = next(line for line in lines(world) if line["kind"] == "feature")
    assert line["sentence"].startswith("work with cvmfs at there is drained")
    offer = Offer(wide, "there", found.fails["there"])
    asked = claim.Asked(there, offer, 10, next(world.keys))
    got = world.database.run(
        lambda tx: claim.claim_many(
            tx, world.contexts, [asked], world.chooser.look(tx, world.contexts, world.clock()), world.clock()
        )[0]
    )
    assert {item.dataset for item in got} == {2}
