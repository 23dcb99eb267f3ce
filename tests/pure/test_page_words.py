"""Words of pages: what is to be typed is set apart and nothing of it is ever markup; numbers of an axis fit beside it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.web.commands import page_of
from nunatak.web.words import brief, typed


@pytest.mark.parametrize(
    ("advice", "shown"),
    [
        ("set needs.memory to 4 GB", "set needs.memory to 4 GB"),
        (
            "look at the log: nunatak logs '4/7/fit#2'; to run it here: nunatak try 4/7/fit",
            'look at the log: <a href="/datasets/4/7/fit/2/log"><code>nunatak logs &#39;4/7/fit#2&#39;</code></a>;'
            " to run it here: <code>nunatak try 4/7/fit</code>",
        ),
        ("is it running? `nunatak up` starts one", "is it running? <code>nunatak up</code> starts one"),
        ("nunatak ls shows yours", "nunatak ls shows yours"),
        ("`<b>`: nunatak <i>", "<code>&lt;b&gt;</code>: <code>nunatak &lt;i&gt;</code>"),
    ],
)
def test_what_is_to_be_typed_is_set_apart(advice: str, shown: str) -> None:
    assert typed(advice) == shown


PIECES = ["nunatak", " ", "logs", "why", "1/2/fit", "#2", *"<>&'\"`;:/?"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_advice_is_never_markup(advice: str) -> None:
    assert set(re.sub(r'</?code>|<a href="[\w/?=]+">|</a>', "", typed(advice))).isdisjoint("<>\"'")


@pytest.mark.parametrize(
    ("command", "page"),
    [
        ("nunatak logs '4/7/fit#2'", "/datasets/4/7/fit/2/log"),
        ("nunatak logs 4/7/fit", "/datasets/4/7/fit/log"),
        ("nunatak status 4/gather", "/datasets/4/gather"),
        ("nunatak why '4/7/fit#2'", "/why?address=4/7/fit"),
        ("nunatak errors 4", "/datasets/4/errors"),
        ("nunatak errors", "/errors"),
        ("nunatak files 4", "/datasets/4/files"),
        ("nunatak tasks 4/7", ""),
        ("nunatak logs 4", ""),
        ("nunatak retry 4", ""),
        ("nunatak errors 4 --json", ""),
        ("nunatak logs it's", ""),
        ("nunatak", ""),
        ("python3 logs 4/7/fit", ""),
    ],
)
def test_a_command_leads_to_the_page_that_shows_the_same(command: str, page: str) -> None:
    assert page_of(command) == page


@given(st.integers(1, 9), st.integers(0, 9))
def test_numbers_of_an_axis_are_short(digit: int, power: int) -> None:
    assert len(brief(digit * 10**power)) <= 7


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (50_000, "50\u202f000"), (500_000, "500\u202fk"), (1_500_000, "1.5\u202fM")]
)
def test_large_numbers_of_an_axis_have_a_letter(value: int, text: str) -> None:
    assert brief(value) == text
