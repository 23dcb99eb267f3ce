"""Amounts with units, as users write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core import units
from nunatak.core.errors import Invalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 GB", 2 * 10**9),
        ("512MiB", 512 * 2**20),
        ("1.5 kB", 1500),
        ("2 gb", 2 * 10**9),
        ("3 G", 3 * 10**9),
        (7, 7),
        ("1e3", 1000),
    ],
)
def test_memory_is_in_bytes(text: str | int, expected: int) -> None:
    assert units.memory(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10 min", 600), ("1.5 h", 5400), ("2 days", 172800), ("1 w", 604800), ("90", 90), (0.5, 1), ("30 seconds", 30)],
)
def test_time_is_in_seconds_rounded_up(text: str | float, expected: int) -> None:
    assert units.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [("2 GX", "bad-unit"), ("", "bad-unit"), ("GB", "bad-unit"), ("two GB", "bad-unit"), ("0 GB", "bad-amount"),
     ("-1 GB", "bad-amount"), ("2000 TB", "bad-amount"), ("nan", "bad-unit"), ("1e999 GB", "bad-amount"), (True, "bad-unit")],
)  # fmt: skip
def test_what_is_not_an_amount_is_refused(text: str | bool, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        units.memory(text)
    assert caught.value.code == code


def test_the_nearest_unit_is_suggested() -> None:
    with pytest.raises(Invalid) as caught:
        units.memory("2 GX")
    assert caught.value.hint == 'did you mean "2 GB"?'
    with pytest.raises(Invalid) as caught:
        units.seconds("3 mni")
    assert caught.value.hint == 'did you mean "3 min"?'


@given(st.integers(1, 10**15))
def test_memory_as_people_say_it_reads_back_to_three_digits(amount: int) -> None:
    assert units.memory(units.memory_text(amount)) == pytest.approx(amount, rel=6e-3, abs=1)


@given(st.integers(1, 366 * 86400))
def test_time_as_people_say_it_is_made_of_units(amount: int) -> None:
    words = units.time_text(amount).split()
    total = sum(units.seconds(f"{number} {unit}") for number, unit in zip(words[::2], words[1::2], strict=True))
    assert total == pytest.approx(amount, rel=0.05)


@given(st.text(max_size=20) | st.integers() | st.floats())
def test_anything_gives_an_amount_or_a_plain_error(value: str | float) -> None:
    for read, most in ((units.memory, units.MOST_MEMORY), (units.seconds, units.MOST_TIME)):
        with contextlib.suppress(Invalid):
            assert 0 < read(value) <= most
