"""The words of choosing, as a person reads them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.match import match
from nunatak.tasks.sharing.model import Bound, Busy, Cap
from nunatak.tasks.sharing.standing import Standing
from nunatak.tasks.sharing.words import cap_text, match_text, ordinal, percent, standing_text

GB = 10**9
NODE = Shape(cpu=8, memory=48 * GB, disk=100 * GB, time=86400, platform="linux/x86_64", features=("avx2",))
DESY, KIT = Offer(NODE, "desy", slots=30), Offer(replace(NODE, features=()), "kit", slots=10)
THIRD = Standing(7, "icecube", "carol", 3, 12, 0.08, (0.71, None, None), ((41, "alice"), (17, "bob")), ())


def test_where_one_stands() -> None:
    assert standing_text(THIRD) == (
        "3rd of 12 datasets that want such slots: group icecube has used 71 % of its share;"
        " it gets about 8 % of the next places; ahead: 41 (alice), 17 (bob)"
    )
    many = THIRD._replace(rank=6, used=(0.71, 1.4, 2.0), ahead=tuple((n, "bob") for n in range(1, 6)))
    assert standing_text(many) == (
        "6th of 12 datasets that want such slots: group icecube has used 71 % of its share, carol has used 140 % of its"
        " share, this dataset has used 200 % of its share; it gets about 8 % of the next places;"
        " ahead: 1 (bob), 2 (bob), 3 (bob) and 2 more"
    )
    first = THIRD._replace(rank=1, group="", ahead=())
    assert standing_text(first).startswith(
        "1st of 12 datasets that want such slots: work without a group has used 71 %"
    )
    assert standing_text(THIRD._replace(of=1, rank=1)) == "no other dataset wants the slots that could take it"


def test_which_cap_stops_it() -> None:
    more = ": the next starts when one ends, or when an operator raises the cap"
    alice = Bound(("user", "alice"), Cap(running=500), Busy(20, 480), 0)
    assert cap_text(alice) == f"user alice has 500 tasks queued or running, the most it may have{more}"
    queued = Bound(("dataset", 41), Cap(running=500, queued=10), Busy(12, 0), 0)
    assert cap_text(queued) == f"dataset 41 has 12 of 10 tasks queued, the most it may have{more}"
    none = Bound(("site", "desy"), Cap(running=0), Busy(), 0)
    assert cap_text(none) == "site desy may have no tasks queued or running: an operator's cap stops it"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Shape(features=("avx2",)), ["30 of 40 slots could take it, at desy", "needs avx2: excludes 10 of 40 slots"]),
        (
            Shape(memory=64 * GB),
            [
                "no engine offers what it needs: the nearest, at desy, has 48 GB of the 64 GB of memory;"
                " change needs.memory in the recipe, or add an engine that has it",
                "needs 64 GB of memory: the largest slot has 48 GB, at desy",
            ],
        ),
        (
            Shape(cpu=16, gpu=1, features=("gpu-capability=8.6",)),
            [
                "no engine offers what it needs: the nearest, at desy, has 8 of the 16 cores and has none of the 1 GPU"
                " and lacks GPU capability 8.6;"
                " change needs.cpu, needs.features, needs.gpu in the recipe, or add an engine that has it",
                "needs 16 cores: the largest slot has 8, at desy",
                "needs 1 GPU: the largest slot has none, at desy",
                "needs GPU capability 8.6: the largest slot has none, at desy",
            ],
        ),
        (
            Shape(platform="linux/aarch64", features=("site=kit",)),
            [
                "no engine offers what it needs: the nearest, at kit, is x86_64, not aarch64;"
                " change needs.platform in the recipe, or add an engine that has it",
                "needs aarch64: excludes 40 of 40 slots",
                "may run at kit only: excludes 30 of 40 slots",
            ],
        ),
        (
            Shape(features=("container", "not-site=desy")),
            [
                "no engine offers what it needs: the nearest, at kit, lacks containers;"
                " change needs.features in the recipe, or add an engine that has it",
                "needs containers: excludes 40 of 40 slots",
                "may not run at desy: excludes 30 of 40 slots",
            ],
        ),
        (
            Shape(time=3 * 86400),
            [
                "no engine offers what it needs: the nearest, at desy, has 1 d of the 3 d of time;"
                " change needs.time in the recipe, or add an engine that has it",
                "needs 3 d of time: the largest slot has 1 d, at desy",
            ],
        ),
    ],
)
def test_which_slots_could_take_it(wanted: Shape, words: list[str]) -> None:
    assert match_text(match(wanted, [DESY, KIT])) == words


def test_what_is_not_used_for_now() -> None:
    bad = replace(DESY, fails=frozenset({"avx2"}))
    assert match_text(match(Shape(features=("avx2",)), [bad, replace(DESY, site="cern", drained=12)])) == [
        "18 of 60 slots could take it, at cern",
        "avx2 was seen to fail at desy: excludes 30 of 60 slots",
        "nodes that get no work for now, most at cern: excludes 12 of 60 slots",
    ]
    assert match_text(match(Shape(), [replace(DESY, drained=30)]))[0] == (
        "no slot takes it now: those at desy could, but their nodes get no work for now"
    )
    assert match_text(match(Shape(), [])) == ["no engine is running: start one with nunatak up or nunatak serve engine"]


def test_numbers() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
    assert [percent(part) for part in (0, 0.0001, 0.004, 0.0123, 0.0999, 0.714, 2.5)] == [
        "0 %", "less than 0.1 %", "0.4 %", "1.2 %", "10 %", "71 %", "250 %",
    ]  # fmt: skip
