"""Claim by claim: in a small simulated pool the use comes to the weights, and what was handed out is remembered."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Fits, Offer
from nunatak.tasks.sharing.model import Allotment, Cap, Demand, Member, Policy
from nunatak.tasks.sharing.positions import positions
from nunatak.tasks.sharing.queue import MOST_OFFERS, Memory
from nunatak.tasks.sharing.turn import Turn
from nunatak.tasks.sharing.usage import NOTHING_USED, Decay, Spent, Usage, occupied

NOW = 1_800_000_000.0
DAY = 86400.0
SLOT = Shape(cpu=8, memory=10**12, disk=10**12, time=10**6)
CPU = Offer(SLOT, "desy")


@dataclass
class Pool:
    """A pool of single places: whoever ends frees one, which is claimed at once. Plans are made every `pace` seconds."""

    slots: int
    members: list[Member]
    shape: dict[int, Shape]  # of each dataset
    length: dict[int, float]  # seconds, on average, 0.4 to 1.6 of it
    policy: Policy
    expected: dict[int, float] = field(default_factory=dict)  # what the server believes a task costs
    begins: dict[int, float] = field(default_factory=dict)  # when a dataset comes
    ready: dict[int, int] = field(default_factory=dict)
    pace: float = 600.0
    decay: Decay = field(default_factory=lambda: Decay(DAY))

    def run(self, days: float) -> tuple[Counter[int], dict[int, float]]:
        """Return the core-hours each dataset used in the second half, and when each was first served."""
        draw, fits, memory = random.Random(7), Fits(), Memory()
        shapes = {n: self.shape[n] for n in self.shape}
        used: dict[int, Usage] = {}
        busy: Counter[int] = Counter()
        left = dict(self.ready)
        heap: list[tuple[float, int, int, float]] = []
        now, free, count, planned = NOW, self.slots, 0, -1e18
        late: Counter[int] = Counter()
        first: dict[int, float] = {}
        end = NOW + days * DAY
        while now < end:
            if now - planned >= self.pace:
                planned = now
                here = [m for m in self.members if self.begins.get(m.dataset, 0.0) <= now - NOW]
                demand = [
                    Demand(
                        m.dataset, 0, m.dataset, left.get(m.dataset, 10**6), 0, busy[m.dataset], self._cost(m.dataset)
                    )
                    for m in here
                ]
                spent = [Spent(m.dataset, m.group, m.user, used.get(m.dataset, Usage())) for m in self.members]
                found = positions(demand, here, self.decay.totals(spent, now, 20.0), self.policy, now)
                turn = Turn(found, shapes, fits, memory)
            while free and (got := turn.select(CPU, min(free, 4))):
                for dataset, _, _, n, _ in got:
                    first.setdefault(dataset, now - NOW)
                    free -= n
                    busy[dataset] += n
                    if dataset in left:
                        left[dataset] -= n
                    for _ in range(n):
                        count += 1
                        length = draw.uniform(0.4, 1.6) * self.length[dataset]
                        heapq.heappush(heap, (now + length, count, dataset, length))
            now, _, dataset, length = heapq.heappop(heap) if heap else (planned + self.pace, 0, 0, 0.0)
            if dataset:
                free += 1
                busy[dataset] -= 1
                amount = occupied(self.shape[dataset], length)
                used[dataset] = self.decay.merge(used.get(dataset, Usage()), self.decay.entry(amount, now))
                if now > NOW + days * DAY / 2:
                    late[dataset] += amount.core
        return late, first

    def _cost(self, dataset: int) -> float:
        return self.expected.get(dataset) or occupied(self.shape[dataset], self.length[dataset]).core


def parts(used: Counter[int]) -> dict[int, float]:
    return {dataset: use / used.total() for dataset, use in used.items()}


def two_groups(**more) -> Pool:
    members = [Member(1, "icecube", "alice", since=NOW), Member(2, "km3net", "bob", since=NOW)]
    plain = {1: Shape(), 2: Shape()}
    policy = Policy(groups={"icecube": 3.0, "km3net": 1.0})
    return Pool(40, members, **{"shape": plain, "length": {1: 3600.0, 2: 3600.0}, "policy": policy, **more})


def test_two_groups_with_weights_three_to_one_get_three_to_one() -> None:
    used, _ = two_groups().run(8)
    assert parts(used) == pytest.approx({1: 0.75, 2: 0.25}, abs=0.0125)  # 5 % of the smaller


def test_so_they_do_with_tasks_of_other_sizes_and_lengths() -> None:
    used, _ = two_groups(shape={1: Shape(), 2: Shape(cpu=4)}, length={1: 1200.0, 2: 9000.0}).run(8)
    assert parts(used) == pytest.approx({1: 0.75, 2: 0.25}, abs=0.0125)


def test_what_tasks_cost_may_be_believed_wrongly() -> None:
    """A group of which it is believed that its tasks take four times as long loses a third of its share at most."""
    used, _ = two_groups(expected={1: 4.0}).run(10)
    assert 0.62 < parts(used)[1] < 0.75


def test_users_share_their_groups_part_and_datasets_their_users() -> None:
    members = [Member(1, "g", "alice", since=NOW), Member(2, "g", "alice", 2.0, NOW), Member(3, "g", "bob", since=NOW)]
    members.append(Member(4, "h", "carol", since=NOW))
    every = {member.dataset: Shape() for member in members}
    policy = Policy(groups={"g": 2.0}, users={"bob": 2.0})
    used, _ = Pool(60, members, every, dict.fromkeys(every, 2400.0), policy).run(8)
    assert parts(used) == pytest.approx({1: 2 / 27, 2: 4 / 27, 3: 4 / 9, 4: 1 / 3}, abs=0.015)


def test_who_comes_late_catches_up_without_a_monopoly() -> None:
    pool = two_groups(begins={2: 4 * DAY}, policy=Policy())
    used, first = pool.run(8)
    assert first[2] < 4 * DAY + 2 * 3600
    assert 0.5 < parts(used)[2] < 0.8


def test_a_small_dataset_is_not_stuck_behind_large_ones() -> None:
    """Ten tasks of the same user beside ten endless datasets, all places taken: the first begins within an hour."""
    members = [Member(n, "g", "alice", since=NOW) for n in range(1, 11)]
    members.append(Member(11, "g", "alice", since=NOW + DAY))
    every = {member.dataset: Shape() for member in members}
    pool = Pool(40, members, every, dict.fromkeys(every, 3600.0), Policy(), begins={11: DAY}, ready={11: 10})
    used, first = pool.run(2)
    assert first[11] - DAY < 3600.0
    assert used[11] > 0


def at(demand: list[Demand], members: list[Member], policy: Policy | None = None, memory: Memory | None = None) -> Turn:
    found = positions(demand, members, NOTHING_USED, policy or Policy(), NOW)
    shapes = {row.shape: Shape() for row in demand}
    return Turn(found, shapes, Fits(), memory if memory is not None else Memory())


TWO = [Member(1, "a", "x", since=NOW), Member(2, "b", "y", since=NOW)]


def test_single_places_follow_the_weights_over_many_plans() -> None:
    """Each plan serves one place only: what it gave is known to the next."""
    memory, got = Memory(), Counter[int]()
    for _ in range(400):
        turn = at([Demand(1, 0, 1, 10), Demand(2, 0, 1, 10)], TWO, Policy(groups={"a": 3.0}), memory)
        got.update(item.dataset for item in turn.select(CPU, 1))
    assert got == {1: 300, 2: 100}


def test_slots_that_change_a_little_all_the_time_are_one_kind() -> None:
    memory, got = Memory(), Counter[int]()
    for n in range(400):
        turn = at([Demand(1, 0, 1, 10), Demand(2, 0, 1, 10)], TWO, Policy(groups={"a": 3.0}), memory)
        offer = Offer(Shape(memory=10**12 + n, disk=10**12, time=10**6))
        got.update(item.dataset for item in turn.select(offer, 1))
    assert got == {1: 300, 2: 100}
    assert len(memory._passes) <= MOST_OFFERS


def test_what_was_handed_out_is_not_handed_out_again() -> None:
    turn = at([Demand(1, 0, 1, 5), Demand(2, 0, 1, 5)], TWO)
    assert sum(item.n for item in turn.select(CPU, 7)) == 7
    assert sum(item.n for item in turn.select(CPU, 7)) == 3
    assert turn.select(CPU, 7) == []


def test_what_could_not_be_had_is_not_tried_again_and_not_charged() -> None:
    memory, got = Memory(), Counter[int]()
    members = [*TWO, Member(3, "a", "x", since=NOW)]
    for _ in range(200):  # dataset 1 counts as ready and always waits for its next try
        turn = at([Demand(1, 0, 1, 4), Demand(2, 0, 1, 9), Demand(3, 0, 1, 9)], members, None, memory)
        left = 1
        while left and (some := turn.select(CPU, left)):
            for item in some:
                if item.dataset == 1:
                    turn.missing(CPU, item, 0)
                else:
                    got[item.dataset] += item.n
                    left -= item.n
        assert left == 0
    assert got == {2: 100, 3: 100}
    assert all(item.dataset != 1 for item in turn.select(CPU, 100))


def test_what_could_not_be_had_gives_its_room_under_a_cap_back() -> None:
    members = [Member(1, "g", "x"), Member(2, "g", "x")]
    turn = at([Demand(1, 0, 1, 4), Demand(2, 0, 1, 4)], members, Policy(caps={"user": Cap(running=4)}))
    (first,) = turn.select(CPU, 3)[:1]
    turn.missing(CPU, first, 0)
    more = turn.select(CPU, 10)
    assert sum(item.n for item in more) + 3 - first.n == 4


def test_a_site_that_is_full_by_its_cap_stops_nobody_elsewhere() -> None:
    policy = Policy(own_caps={("site", "desy"): Cap(running=2)})
    turn = at([Demand(1, 0, 1, 50)], TWO, policy)
    assert turn.select(CPU, 10) == [Allotment(1, 0, 1, 2, 1)]
    assert turn.select(CPU, 10) == []
    assert turn.select(Offer(SLOT, "kit"), 10) == [Allotment(1, 0, 1, 10, 1)]


def test_a_user_s_cap_counts_the_work_for_all_groups() -> None:
    members = [Member(1, "a", "x"), Member(2, "b", "x")]
    demand = [Demand(1, 0, 1, 50, 0, 3), Demand(2, 0, 1, 50, 1, 0)]
    turn = at(demand, members, Policy(own_caps={("user", "x"): Cap(running=10)}))
    assert sum(item.n for item in turn.select(CPU, 100)) == 6


def test_what_fits_rare_slots_only_is_not_charged_for_others() -> None:
    """A dataset for GPUs and one for anything share the GPU slots evenly, whatever the other got elsewhere."""
    shapes = {1: Shape(gpu=1), 2: Shape()}
    found = positions([Demand(1, 0, 1, 99), Demand(2, 0, 2, 10**6)], TWO, NOTHING_USED, Policy(), NOW)
    turn = Turn(found, shapes, Fits(), Memory())
    gpu = Offer(Shape(cpu=8, gpu=8, memory=10**12, disk=10**12, time=10**6))
    assert turn.select(CPU, 1000) == [Allotment(2, 0, 2, 1000, 2)]
    assert {item.dataset: item.n for item in turn.select(gpu, 64)} == {1: 32, 2: 32}


def test_what_is_asked_for_has_to_fit_not_the_shape_by_which_tasks_are_found() -> None:
    shapes = {1: Shape(cpu=1, memory=10**9), 2: Shape(cpu=1, memory=10**15)}
    demand = [Demand(1, 0, 2, 5, asked=1), Demand(2, 0, 1, 5, asked=2)]
    found = positions(demand, [Member(1, "", "a"), Member(2, "", "b")], NOTHING_USED, Policy(), NOW)
    assert Turn(found, shapes, Fits(), Memory()).select(CPU, 10) == [Allotment(1, 0, 2, 5, 1)]


def test_what_may_be_tried_of_a_task_is_not_kept_for_a_shape_that_fits_nowhere() -> None:
    shapes = {1: Shape(cpu=1, memory=10**15), 2: Shape(cpu=1, memory=10**9), 3: Shape(cpu=1, memory=10**9)}
    demand = [Demand(1, 0, number, 2, room=2) for number in shapes]
    found = positions(demand, [Member(1, "", "a")], NOTHING_USED, Policy(), NOW)
    turn = Turn(found, shapes, Fits(), Memory())
    (first,) = turn.select(CPU, 10)
    assert first == Allotment(1, 0, 2, 2, 2)
    assert turn.select(CPU, 10) == []
    turn.missing(CPU, first, 1)
    assert turn.select(CPU, 10) == [Allotment(1, 0, 3, 1, 3)]
