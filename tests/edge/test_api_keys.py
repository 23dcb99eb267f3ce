"""Reading addresses of attempts fast gives what reading them carefully gives."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from nunatak.api.keys import _attempt
from nunatak.core.address import ONCE, parse
from nunatak.core.errors import Invalid


@given(st.one_of(st.text(max_size=20), st.from_regex(r"\A[0-9]{0,10}/([0-9]{0,10}/)?[a-z1]{0,3}(#[0-9]{0,10})?\Z")))
@example("1/0/a#1")
@example("1/a#1")
@example("01/0/a#1")
@example("1/00/a#1")
@example("1/0/a#01")
@example("1//a#1")
@example("1/0/a")
@example("1/1/a#1000000000")
@example("\u0661/0/a#1")
def test_the_fast_reading_agrees_with_the_careful_one(text: str) -> None:
    try:
        careful = parse(text)
    except Invalid:
        careful = None
    fast = _attempt(text)
    if careful is not None and careful.level == "attempt" and text == text.strip():
        job = ONCE if careful.job is None else careful.job
        assert fast == (careful.dataset, job, careful.task, careful.attempt)
    elif fast is not None:
        # only the name of the task is left unread: no plan has one that is no name
        assert careful is None
        assert (
            not fast[2]
            or not fast[2][0].isascii()
            or not fast[2][0].isalpha()
            or not fast[2].replace("_", "").isalnum()
        )
