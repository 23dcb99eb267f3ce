"""Addresses: one spelling, read back as written."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.address import NAME, ONCE, Address, parse
from nunatak.core.errors import Invalid

names = st.from_regex(NAME, fullmatch=True)


@pytest.mark.parametrize(
    ("text", "address", "level"),
    [
        ("42", Address(42), "dataset"),
        ("42/17", Address(42, 17), "job"),
        ("42/17/propagate", Address(42, 17, "propagate"), "task"),
        ("42/17/propagate#2", Address(42, 17, "propagate", 2), "attempt"),
        ("42/analyze", Address(42, None, "analyze"), "task"),
        ("42/analyze#1", Address(42, None, "analyze", 1), "attempt"),
    ],
)
def test_every_level_has_one_spelling(text: str, address: Address, level: str) -> None:
    assert parse(text) == address
    assert str(address) == text
    assert address.level == level


def test_a_task_done_once_has_no_job_in_its_address() -> None:
    assert str(Address(42, ONCE, "analyze", 3)) == "42/analyze#3"
    assert Address(42, 17, "filter").of(2) == Address(42, 17, "filter", 2)


@pytest.mark.parametrize(
    "text", ["", "0", "042", "42/", "42/x/y/z", "42/17#2", "42/17/1a", "42/17/a#0", "x/17", "42//a", "-1"]
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(text)
    assert caught.value.code == "bad-address"
    assert "42/17/propagate#2" in caught.value.hint


@given(
    st.integers(1, 999_999_999),
    st.none() | st.integers(0, 999_999_999),
    st.none() | st.tuples(names, st.none() | st.integers(1, 999_999_999)),
)
def test_writing_and_reading_give_the_same(dataset: int, job: int | None, task: tuple[str, int | None] | None) -> None:
    address = Address(dataset, job, *(task or ()))
    assert parse(str(address)) == address


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        assert parse(str(parse(text))) == parse(text)
