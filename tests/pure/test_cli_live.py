"""Lines that are drawn over in a terminal: never wider than it, with whatever is in them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.cli.live import _fitting, cut

PIECES = st.lists(st.one_of(st.text("ab █日", max_size=9), st.sampled_from(["\x1b[31;1m", "\x1b[0m"])), max_size=9)


@given(PIECES.map("".join), st.integers(1, 40))
def test_a_line_is_never_wider_and_keeps_its_colours(line: str, columns: int) -> None:
    found = cut(line, columns)
    bare = re.sub(r"\x1b\[[0-9;]*m", "", found)
    assert sum(2 if letter == "日" else 1 for letter in bare) <= columns
    assert re.findall(r"\x1b\[[0-9;]*m", found) == re.findall(r"\x1b\[[0-9;]*m", line)
    assert re.sub(r"\x1b\[[0-9;]*m", "", line).startswith(bare)


@pytest.mark.parametrize(("rows", "shown"), [(10, 5), (6, 5), (5, 4), (2, 2)])
def test_no_more_lines_than_a_terminal_has(rows: int, shown: int) -> None:
    found = _fitting([f"line {number}" for number in range(5)], 80, rows)
    assert len(found) == shown
    if shown < 5:
        assert found[-1] == f"  ... {5 - shown + 1} more"
