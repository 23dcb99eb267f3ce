"""Sketches keep their relative error, and the order in which they are filled and merged does not matter."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Invalid
from nunatak.tasks.learning.sketch import ACCURACY, BUCKETS_MOST, EMPTY, Sketch

AMOUNTS = st.one_of(st.just(0.0), st.floats(1.0, 20_000.0), st.integers(1, 20_000).map(float))
WIDE = st.one_of(st.just(0.0), st.floats(1e-6, 1e15))
LISTS = st.lists(AMOUNTS, max_size=60)
WIDE_SKETCHES = st.lists(WIDE, max_size=400).map(EMPTY.add)


def exact(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]


@given(st.lists(AMOUNTS, min_size=1, max_size=300), st.floats(0.0, 1.0))
def test_a_quantile_is_within_its_relative_error(values: list[float], share: float) -> None:
    found, true = EMPTY.add(values).quantile(share), exact(values, share)
    assert abs(found - true) <= ACCURACY * true * (1 + 1e-9)


@given(st.lists(WIDE, min_size=1, max_size=500), st.floats(0.0, 1.0))
def test_however_wide_the_range_a_quantile_is_never_too_small_and_the_largest_is_exact(
    values: list[float], share: float
) -> None:
    sketch = EMPTY.add(values)
    assert sketch.quantile(share) >= exact(values, share) * (1 - ACCURACY) * (1 - 1e-9)
    assert sketch.quantile(1.0) == sketch.most == max(values)
    assert sketch.least == min(values)
    assert len(sketch.buckets) <= BUCKETS_MOST


@given(WIDE_SKETCHES, WIDE_SKETCHES, WIDE_SKETCHES)
def test_merging_is_associative_and_commutative(a: Sketch, b: Sketch, c: Sketch) -> None:
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(EMPTY) == EMPTY.merge(a) == a


def test_merging_is_associative_where_buckets_are_put_together() -> None:
    a, b, c = (EMPTY.add([1.0421**i for i in range(start, 900, 3)]) for start in range(3))
    whole = EMPTY.add([1.0421**i for i in range(900)])
    assert a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(a).merge(b) == whole
    assert len(whole.buckets) == BUCKETS_MOST
    assert whole.count == 900
    assert abs(whole.quantile(0.95) / 1.0421**854 - 1) <= ACCURACY


@given(LISTS, LISTS)
def test_adding_in_parts_is_adding_all(first: list[float], second: list[float]) -> None:
    assert EMPTY.add(first).add(second) == EMPTY.add([*first, *second]) == EMPTY.add([*second, *first])
    assert EMPTY.add([*first, *second]).count == len(first) + len(second)


@given(WIDE_SKETCHES)
def test_what_was_written_is_read_back(sketch: Sketch) -> None:
    assert Sketch.from_text(sketch.to_text()) == sketch
    assert len(sketch.to_text()) < 4000


@given(st.lists(AMOUNTS, min_size=1, max_size=200))
def test_mean_and_deviation_are_near(values: list[float]) -> None:
    sketch = EMPTY.add(values)
    mean = math.fsum(values) / len(values)
    assert abs(sketch.mean() - mean) <= ACCURACY * mean + 1e-9
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    assert abs(sketch.deviation() - deviation) <= 2 * ACCURACY * math.sqrt(mean**2 + deviation**2) + 1e-6


def test_a_sketch_is_empty_before_anything_is_added() -> None:
    assert Sketch.from_text("") == Sketch.from_text(None) == EMPTY
    assert (EMPTY.count, EMPTY.quantile(0.95), EMPTY.mean()) == (0, 0.0, 0.0)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_what_is_no_amount_is_refused(value: float) -> None:
    with pytest.raises(Invalid):
        EMPTY.add([1.0, value])


def test_another_format_is_refused() -> None:
    with pytest.raises(Invalid, match="format 9"):
        Sketch.from_text("[9,0,0.0,0.0,[]]")
