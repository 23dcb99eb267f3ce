"""Fair share: no place idles, caps hold, weights count, nobody starves, equal inputs give equal answers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.model import Busy, Cap, Demand, Member, Policy
from nunatak.tasks.sharing.queue import Memory
from nunatak.tasks.sharing.share import Allocation, share
from nunatak.tasks.sharing.usage import NOTHING_USED, Used

NOW = 1_800_000_000.0
SHAPES = {1: Shape(cpu=1), 2: Shape(cpu=4), 3: Shape(gpu=1)}
SLOT = Shape(cpu=8, gpu=0, memory=10**12, disk=10**12, time=10**6)
CPU, GPU = Offer(SLOT, "desy"), Offer(Shape(cpu=2, gpu=2, memory=10**12, disk=10**12, time=10**6), "kit")
PARTIES = [("a", "alice"), ("a", "bob"), ("b", "carol"), ("b", "alice"), ("c", "dave")]
MEMBERS = [Member(n, *PARTIES[n % 5], priority=1.0 + n % 3, since=NOW - 1000 * n) for n in range(1, 9)]
DEMANDS = st.lists(
    st.builds(
        Demand,
        dataset=st.integers(1, 8),
        task=st.integers(0, 3),
        shape=st.integers(0, 3),
        ready=st.integers(0, 40),
        queued=st.integers(0, 5),
        running=st.integers(0, 5),
        cost=st.sampled_from([0.1, 1.0, 8.0]),
        asked=st.just(0),
        room=st.none(),
    ),
    max_size=16,
    unique_by=lambda item: (item.dataset, item.task, item.shape),
)
CAP = st.builds(Cap, st.none() | st.integers(0, 30), st.none() | st.integers(0, 30))
CAPS = st.dictionaries(st.sampled_from(["group", "user", "dataset", "site"]), CAP)
WEIGHTS = st.sampled_from([0.0, 0.1, 1.0, 3.0, 10.0])
PLACES = st.tuples(st.integers(0, 120), st.integers(0, 120))
USED = st.builds(
    Used,
    st.fixed_dictionaries({"a": st.floats(0, 1e6), "b": st.floats(0, 1e6)}),
    st.just({("a", "alice"): 5.0}),
    st.dictionaries(st.integers(1, 8), st.floats(0, 1e4)),
)


def given_out(found: Allocation) -> Counter[int]:
    return Counter(found.by_dataset())


def shared(demand, used=NOTHING_USED, policy=Policy(), places=(100, 0), **more) -> Allocation:  # noqa: B008
    return share(demand, MEMBERS, used, policy, [(CPU, places[0]), (GPU, places[1])], SHAPES, NOW, **more)


def fair(
    weights: dict[str, float], ready: int, places: int, policy: Policy | None = None, **used: float
) -> dict[str, int]:
    """Share places among groups, one dataset each, all the same but for weight and use."""
    names = sorted(weights)
    members = [Member(n, name, "one", since=NOW) for n, name in enumerate(names, 1)]
    demand = [Demand(n, 0, 1, ready) for n in range(1, len(names) + 1)]
    policy = policy or Policy(groups=weights)
    found = share(demand, members, Used(used, {}, {}), policy, [(CPU, places)], SHAPES, NOW)
    return {names[n - 1]: got for n, got in found.by_dataset().items()}


@given(DEMANDS, USED, PLACES)
def test_no_place_stays_empty_while_a_fitting_task_is_ready(demand: list[Demand], used: Used, places) -> None:
    found = shared(demand, used, places=places)
    first, second = (sum(item.n for item in some) for some in found.given)
    fit_cpu = sum(item.ready for item in demand if item.shape != 3)
    left_gpu = sum(item.ready for item in demand if item.shape != 2)
    left_gpu -= sum(item.n for item in found.given[0] if item.shape != 2)
    assert first == min(places[0], fit_cpu)
    assert second == min(places[1], left_gpu)


@given(DEMANDS, PLACES)
def test_nobody_gets_more_than_is_ready_nor_what_does_not_fit(demand: list[Demand], places) -> None:
    ready: Counter[tuple[int, int]] = Counter()
    for item in demand:
        ready[item.dataset, item.shape] += item.ready
    found = shared(demand, places=places)
    assert all(item.shape != 3 for item in found.given[0])
    assert all(item.shape != 2 for item in found.given[1])
    for item in (*found.given[0], *found.given[1]):
        ready[item.dataset, item.shape] -= item.n
        assert item.n > 0
    assert min(ready.values(), default=0) >= 0


@given(DEMANDS, USED, CAPS, PLACES, st.integers(0, 20))
def test_caps_are_never_exceeded_and_nothing_idles_below_them(demand, used, caps, places, running_there) -> None:
    policy = Policy(caps=caps)
    found = shared(demand, used, policy, places, sites={"desy": Busy(1, running_there)})
    owners = {member.dataset: (*member.owners(),) for member in MEMBERS}
    before: Counter[tuple] = Counter({("site", "desy", "q"): 1, ("site", "desy", "b"): 1 + running_there})
    for item in demand:
        for owner in owners[item.dataset]:
            before[*owner, "q"] += item.queued
            before[*owner, "b"] += item.queued + item.running
    added: Counter[tuple] = Counter()
    for some, site in zip(found.given, ("desy", "kit"), strict=True):
        for item in some:
            for owner in (*owners[item.dataset], ("site", site)):
                added[owner] += item.n

    def room(owner) -> float:
        cap = policy.cap(owner) or Cap()
        return (
            min(
                max(0, cap.running - before[*owner, "b"]) if cap.running is not None else 10**9,
                max(0, cap.queued - before[*owner, "q"]) if cap.queued is not None else 10**9,
            )
            - added[owner]
        )

    for owner in added:
        assert room(owner) >= 0
    got: Counter[tuple[int, int]] = Counter()
    for item in found.given[0]:
        got[item.dataset, item.shape] += item.n
    if sum(got.values()) < places[0] and room(("site", "desy")) > 0 and not places[1]:
        for item in demand:  # what was left out of free places is stopped by a cap
            if item.shape != 3 and item.ready and not got[item.dataset, item.shape]:
                assert min(room(owner) for owner in owners[item.dataset]) == 0


@given(DEMANDS, USED, PLACES, st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_does_not_matter(demand: list[Demand], used: Used, places, random) -> None:
    shuffled, members = list(demand), list(MEMBERS)
    random.shuffle(shuffled)
    random.shuffle(members)
    offers = [(CPU, places[0]), (GPU, places[1])]
    one = share(demand, MEMBERS, used, Policy(), offers, SHAPES, NOW)
    other = share(shuffled, members, used, Policy(), offers, SHAPES, NOW)
    assert one.given == other.given


@given(st.dictionaries(st.sampled_from("abcdef"), WEIGHTS, min_size=2), st.floats(1, 20), st.integers(1, 300), USED)
def test_a_larger_weight_never_means_fewer_places(weights, factor: float, places: int, used: Used) -> None:
    name = min(weights)
    more = {**weights, name: max(weights[name], 0.01) * factor}
    before = fair(weights, 200, places, **used.groups)
    after = fair(more, 200, places, **used.groups)
    assert after.get(name, 0) >= before.get(name, 0)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 300))
def test_who_used_more_never_gets_more(one: float, other: float, places: int) -> None:
    got = fair({"a": 1.0, "b": 1.0}, 300, places, a=min(one, other), b=max(one, other))
    assert got.get("a", 0) >= got.get("b", 0)


def test_places_follow_the_weights_of_groups() -> None:
    assert fair({"a": 3.0, "b": 1.0}, 1000, 400) == {"a": 300, "b": 100}


def test_what_one_group_does_not_want_goes_to_the_others() -> None:
    members = [Member(1, "a", "x"), Member(2, "b", "y"), Member(3, "b", "z")]
    demand = [Demand(1, 0, 1, 10), Demand(2, 0, 1, 500), Demand(3, 0, 1, 500)]
    found = share(demand, members, NOTHING_USED, Policy(groups={"a": 9.0}), [(CPU, 330)], SHAPES, NOW).by_dataset()
    assert found[1] == 10
    assert found[2] + found[3] == 320
    assert abs(found[2] - found[3]) <= 330 / 16 + 1


def test_a_user_gains_nothing_by_many_datasets_nor_by_priorities() -> None:
    members = [Member(n, "g", "alice", priority=1000.0, since=NOW) for n in range(1, 100)]
    members.append(Member(100, "g", "bob", priority=0.01, since=NOW))
    demand = [Demand(n, 0, 1, 1000) for n in range(1, 101)]
    found = share(demand, members, NOTHING_USED, Policy(), [(CPU, 160)], SHAPES, NOW).by_dataset()
    assert found[100] == 80


def test_a_priority_counts_among_ones_own_datasets() -> None:
    members = [Member(1, "g", "alice", 3.0, NOW), Member(2, "g", "alice", 1.0, NOW), Member(3, "g", "bob", 1.0, NOW)]
    demand = [Demand(n, 0, 1, 1000) for n in (1, 2, 3)]
    found = share(demand, members, NOTHING_USED, Policy(), [(CPU, 320)], SHAPES, NOW).by_dataset()
    assert found == {1: 120, 2: 40, 3: 160}


def test_tasks_that_complete_jobs_come_before_tasks_that_begin_them() -> None:
    found = shared([Demand(1, 0, 1, 100), Demand(1, 4, 2, 3)], places=(10, 0))
    assert {(item.shape, item.n) for item in found.given[0]} == {(2, 3), (1, 7)}
    assert [item.shape for item in shared([Demand(1, 0, 1, 100), Demand(1, 4, 2, 3)], places=(3, 0)).given[0]] == [2]


def test_a_large_claim_needs_few_allotments() -> None:
    members = [Member(n, "g", f"u{n}") for n in range(1, 501)]
    demand = [Demand(n, 0, 1, 1000) for n in range(1, 501)]
    found = share(demand, members, NOTHING_USED, Policy(), [(CPU, 500)], SHAPES, NOW)
    assert sum(item.n for item in found.given[0]) == 500
    assert len(found.given[0]) <= 16


def test_under_way_counts_as_used() -> None:
    members = [Member(1, "a", "x", since=NOW), Member(2, "b", "y", since=NOW)]
    demand = [Demand(1, 0, 1, 500, running=300), Demand(2, 0, 1, 500, running=100)]
    found = share(demand, members, NOTHING_USED, Policy(), [(CPU, 160)], SHAPES, NOW).by_dataset()
    assert found[2] > 2 * found[1]


def test_drained_slots_get_nothing() -> None:
    drained = Offer(SLOT, "desy", slots=4, drained=4)
    found = share([Demand(1, 0, 1, 10)], MEMBERS, NOTHING_USED, Policy(), [(drained, 10)], SHAPES, NOW)
    assert found.given == ((),)


@pytest.mark.parametrize("hours", [0, 6, 24, 72])
def test_the_share_of_who_waits_with_nothing_running_doubles_every_aging_time(hours: int) -> None:
    members = [Member(1, "g", "x", 1.0, NOW), Member(2, "g", "x", 1e-3, NOW - hours * 3600)]
    demand = [Demand(1, 0, 1, 10**6), Demand(2, 0, 1, 10**6)]
    positions = share(demand, members, NOTHING_USED, Policy(aging=6 * 3600.0), [], SHAPES, NOW).positions
    one, other = (positions.paths[n][2].rate for n in (1, 2))
    assert other / one == pytest.approx(1e-3 * 2 ** (hours / 6))


@settings(max_examples=20)
@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=5), st.integers(1, 7))
def test_nobody_starves(weights: list[float], places: int) -> None:
    """Beside a group of weight 1 with no end of work, each other gets its first place within a week, however small."""
    members = [Member(1, "large", "x", since=NOW)]
    members += [Member(n, f"small{n}", "x", since=NOW) for n in range(2, 2 + len(weights))]
    demand = [Demand(1, 0, 1, 10**6, running=100)] + [Demand(member.dataset, 0, 1, 5) for member in members[1:]]
    policy = Policy(groups={member.group: w for member, w in zip(members[1:], weights, strict=True)})
    memory, served = Memory(), set[int]()
    for hour in range(7 * 24):
        now = NOW + 3600 * hour
        found = share(demand, members, NOTHING_USED, policy, [(CPU, places)], SHAPES, now, memory=memory)
        served |= set(found.by_dataset())
        demand = [row for row in demand if row.dataset == 1 or row.dataset not in served]
    assert served == {member.dataset for member in members}
