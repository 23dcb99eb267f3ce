"""What a worker says of its use is read without trust: amounts or nothing, and it is said again as it was read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.using import AMOUNTS, MOST, read_using, text_of, using_of

AMOUNT = st.none() | st.integers(0, 2**62) | st.floats(0, 1e15)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(AMOUNTS), inner),
)


@given(st.fixed_dictionaries(dict.fromkeys(AMOUNTS, AMOUNT)))
def test_amounts_are_read_and_told_as_they_are(plain: dict[str, Any]) -> None:
    found = read_using(json.dumps({**plain, "started": 1.0, "course": {"step": 2}}).encode())
    if plain["wall"] is None:
        assert found is None
        return
    assert found is not None
    assert {name: found[name] for name in ("wall", "cpu", "gpu")} == {
        name: plain[name] for name in ("wall", "cpu", "gpu")
    }
    assert all(found[name] is None or isinstance(found[name], int) for name in ("memory", "disk"))
    assert read_using(text_of(found)) == found


@given(ANYTHING)
def test_whatever_it_is_it_is_amounts_or_nothing(plain: Any) -> None:
    found = using_of(plain)
    assert found is None or all(found[name] is None or found[name] >= 0 for name in AMOUNTS)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b"[]", b'{"wall": -1}', b'{"wall": NaN}', b'{"wall": true}', b'{"wall": 1e999}', b"[" * 20_000,
     b'{"wall": 1, "memory": "x"}', b'{"wall": 1, "x": "' + b"x" * MOST + b'"}'],
)  # fmt: skip
def test_what_is_no_usage_is_none(data: bytes) -> None:
    assert read_using(data) is None
