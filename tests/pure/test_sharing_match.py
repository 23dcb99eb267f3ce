"""Shapes and slots: what fits, what excludes how many slots, which slots nearly could, and where one stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Fits, Offer, fits, needs
from nunatak.tasks.sharing.match import failing, match
from nunatak.tasks.sharing.model import Cap, Demand, Member, Policy
from nunatak.tasks.sharing.positions import positions
from nunatak.tasks.sharing.standing import standing
from nunatak.tasks.sharing.usage import NOTHING_USED

GB = 10**9
NODE = Shape(
    cpu=8, gpu=0, memory=48 * GB, disk=100 * GB, time=86400, platform="linux/x86_64", features=("avx2", "cvmfs")
)
DESY = Offer(NODE, "desy", engine="condor", slots=100)
ARM = Offer(replace(NODE, platform="linux/aarch64", features=("cvmfs",)), "kit", engine="slurm", slots=20)
GPUS = Offer(
    replace(NODE, gpu=4, features=("avx2", "container=apptainer", "gpu-memory=24GB", "gpu-capability=8.6")),
    "cscs", engine="alps", slots=8,
)  # fmt: skip
ALL = [DESY, ARM, GPUS]
FEATURES = st.lists(
    st.sampled_from(
        ["avx2", "cvmfs", "container", "container=apptainer", "gpu-memory=16GB", "gpu-memory=80GB", "gpu-memory=lots",
         "gpu-capability=7.5", "gpu-capability=10.0", "site=desy", "site=kit", "not-site=desy", "os=el9"]
    ), max_size=4, unique=True,
).map(tuple)  # fmt: skip
SHAPES = st.builds(
    Shape,
    cpu=st.integers(1, 16),
    gpu=st.integers(0, 5),
    memory=st.integers(1, 100).map(lambda n: n * GB),
    disk=st.sampled_from([GB, 200 * GB]),
    time=st.sampled_from([60, 86400, 90000]),
    platform=st.sampled_from(["", "linux/x86_64", "linux/aarch64", "darwin/arm64"]),
    features=FEATURES,
)
OFFERS = st.builds(
    Offer,
    SHAPES,
    site=st.sampled_from(["desy", "kit", ""]),
    fails=st.frozensets(st.sampled_from(["avx2", "cvmfs"])),
    engine=st.sampled_from(["a", "b"]),
    slots=st.integers(0, 50),
    drained=st.integers(0, 60),
)


@given(SHAPES, OFFERS)
def test_what_fits_is_what_fails_nothing(shape: Shape, offer: Offer) -> None:
    assert fits(shape, offer) == (not failing(shape, offer))


@given(SHAPES, OFFERS)
def test_without_conventions_it_is_the_plain_fit_of_shapes(shape: Shape, offer: Offer) -> None:
    shape = replace(shape, features=tuple(name for name in shape.features if name in ("avx2", "cvmfs", "os=el9")))
    assert fits(shape, replace(offer, fails=frozenset())) == shape.fits(offer.shape)


@given(SHAPES, st.lists(OFFERS, max_size=6))
def test_slots_are_counted_once(shape: Shape, offers: list[Offer]) -> None:
    found = match(shape, offers)
    assert found.total == sum(offer.slots for offer in offers)
    assert found.slots == sum(offer.usable for offer in offers if fits(shape, offer))
    assert (found.nearest is None) == (bool(found.able) or not found.total)
    for item in found.excluded:
        assert 0 <= item.alone <= item.slots <= found.total
    assert found.slots + sum(item.alone for item in found.excluded) <= found.total
    assert found.slots == found.total or found.excluded


@given(SHAPES, st.lists(OFFERS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_the_offers_does_not_matter(shape: Shape, offers: list[Offer], random) -> None:
    shuffled = list(offers)
    random.shuffle(shuffled)
    one, other = match(shape, offers), match(shape, shuffled)
    assert (one.slots, one.excluded) == (other.slots, other.excluded)


@pytest.mark.parametrize(
    ("wanted", "takers"),
    [
        (Shape(), {"desy", "kit", "cscs"}),
        (Shape(platform="linux/aarch64"), {"kit"}),
        (Shape(gpu=4), {"cscs"}),
        (Shape(gpu=1, features=("gpu-memory=16 GB",)), {"cscs"}),
        (Shape(gpu=1, features=("gpu-memory=80GB",)), set()),
        (Shape(gpu=1, features=("gpu-capability=8.0",)), {"cscs"}),
        (Shape(gpu=1, features=("gpu-capability=10.0",)), set()),
        (Shape(features=("container",)), {"cscs"}),
        (Shape(features=("container=docker",)), set()),
        (Shape(features=("site=desy", "site=kit")), {"desy", "kit"}),
        (Shape(features=("not-site=desy", "cvmfs")), {"kit"}),
        (Shape(memory=49 * GB), set()),
        (Shape(time=90000), set()),
    ],
)
def test_who_can_take_what(wanted: Shape, takers: set[str]) -> None:
    assert {offer.site for offer in match(wanted, ALL).able} == takers


def test_each_condition_says_how_many_slots_it_excludes() -> None:
    found = match(Shape(memory=64 * GB, features=("avx2",)), ALL)
    assert [(item.condition, item.slots, item.alone) for item in found.excluded] == [
        ("memory", 128, 108), ("feature avx2", 20, 0),
    ]  # fmt: skip
    assert (found.excluded[0].best, found.excluded[0].where) == ("48 GB", "desy")
    assert found.nearest is not None
    assert found.nearest.offer == DESY


def test_the_nearest_fails_least() -> None:
    found = match(Shape(cpu=9, gpu=1), ALL)
    assert found.nearest is not None
    assert found.nearest.offer.site == "cscs"
    assert [failure.condition for failure in found.nearest.failures] == ["cpu"]


def test_what_was_seen_to_fail_and_drained_nodes_exclude_slots() -> None:
    bad = replace(DESY, fails=frozenset({"cvmfs"}))
    found = match(Shape(features=("cvmfs",)), [bad, replace(ARM, drained=15)])
    assert found.slots == 5
    assert [(item.condition, item.slots) for item in found.excluded] == [("fails cvmfs", 100), ("drained", 15)]
    assert match(Shape(), [bad]).slots == 100
    drained = match(Shape(), [replace(DESY, drained=100)])
    assert not drained.able
    assert drained.nearest is not None
    assert drained.nearest.failures == ()


def test_unknown_spellings_are_plain_features() -> None:
    assert needs(Shape(features=("gpu-memory=lots", "site=", "gpu-capability=new"))).features == {
        "gpu-memory=lots", "site=", "gpu-capability=new",
    }  # fmt: skip


def test_fits_remembers_by_what_is_offered() -> None:
    book, shapes = Fits(most=2), {1: Shape(), 2: Shape(gpu=1)}
    bits = {0: 1, 1: 2, 2: 4}
    assert book.mask(DESY, bits, shapes) == 0b011
    assert book.mask(replace(DESY, engine="other", slots=3), bits, {}) == 0b011  # the shapes are not even looked at
    assert book.mask(GPUS, bits, shapes) == 0b111
    assert book.mask(ARM, bits, shapes) == 0b011
    assert book.mask(GPUS, bits, shapes) == 0b111
    assert book.rivals(2, ALL, bits, shapes) == 0b111
    assert book.rivals(1, [DESY], bits, shapes) == 0b011
    assert book.rivals(2, [DESY], bits, shapes) == 0


MEMBERS = [Member(1, "a", "x"), Member(2, "a", "y"), Member(3, "b", "z", 2.0), Member(4, "b", "z")]


def test_who_gets_most_of_the_next_places_is_first() -> None:
    demand = [Demand(n, 0, 1, 5) for n in (1, 2, 3, 4)]
    found = positions(demand, MEMBERS, NOTHING_USED, Policy(groups={"b": 2.0}), 0.0)
    places = [standing(found, n) for n in (1, 2, 3, 4)]
    assert [place.rank for place in places if place] == [3, 4, 1, 2]
    assert sum(place.part for place in places if place) == pytest.approx(1.0)
    assert places[1] is not None
    assert places[1].ahead == ((3, "z"), (4, "z"), (1, "x"))
    assert places[1].used == (1.0, 1.0, None)
    assert standing(found, 9) is None


def test_only_those_that_want_the_same_slots_are_rivals() -> None:
    demand = [Demand(1, 0, 1, 5), Demand(2, 0, 2, 5), Demand(3, 0, 2, 5)]
    found = positions(demand, MEMBERS, NOTHING_USED, Policy(), 0.0)
    place = standing(found, 2, found.bits[2])
    assert place is not None
    assert (place.rank, place.of, place.ahead) == (2, 2, ((3, "z"),))
    alone = standing(found, 1, 0)
    assert alone is not None
    assert (alone.rank, alone.of, alone.part) == (1, 1, 1.0)


def test_caps_that_stop_are_told() -> None:
    policy = Policy(caps={"user": Cap(running=7)}, own_caps={("dataset", 1): Cap(queued=9)})
    found = positions([Demand(1, 0, 1, 5, 3, 4)], MEMBERS, NOTHING_USED, policy, 0.0)
    place = standing(found, 1)
    assert place is not None
    assert [bound.owner for bound in place.stopped] == [("user", "x")]
