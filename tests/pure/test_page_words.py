"""Words of pages: what is to be typed is set apart and nothing of it is ever markup; numbers of an axis fit beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.web.words import brief, typed


@pytest.mark.parametrize(
    ("advice", "shown"),
    [
        ("set needs.memory to 4 GB", "set needs.memory to 4 GB"),
        (
            "look at the log: nunatak logs '4/7/fit#2'; to run it here: nunatak try 4/7/fit",
            "look at the log: <code>nunatak logs &#39;4/7/fit#2&#39;</code>; to run it here: <code>nunatak try 4/7/fit</code>",
        ),
        ("is it running? `nunatak up` starts one", "is it running? <code>nunatak up</code> starts one"),
        ("nunatak ls shows yours", "nunatak ls shows yours"),
        ("`<b>`: nunatak <i>", "<code>&lt;b&gt;</code>: <code>nunatak &lt;i&gt;</code>"),
    ],
)
def test_what_is_to_be_typed_is_set_apart(advice: str, shown: str) -> None:
    assert typed(advice) == shown


@given(st.text(st.sampled_from("<>&'\"`;: nunatak"), max_size=60))
def test_advice_is_never_markup(advice: str) -> None:
    assert set(typed(advice).replace("<code>", "").replace("</code>", "")).isdisjoint("<>\"'")


@given(st.integers(1, 9), st.integers(0, 9))
def test_numbers_of_an_axis_are_short(digit: int, power: int) -> None:
    assert len(brief(digit * 10**power)) <= 7


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (50_000, "50\u202f000"), (500_000, "500\u202fk"), (1_500_000, "1.5\u202fM")]
)
def test_large_numbers_of_an_axis_have_a_letter(value: int, text: str) -> None:
    assert brief(value) == text
