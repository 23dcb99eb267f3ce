"""Where outputs usually lie, and whose output lies there."""

from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.address import ONCE
from nunatak.datasets.places import Usual, usual_of, usual_place

TASKS = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True)
NAMES = st.sampled_from(["light.parquet", "out/a b.txt", "f%20é.npz", "x"])


@given(st.integers(1, 999_999_999), TASKS, st.integers(0, 99_999_999) | st.just(ONCE), NAMES)
def test_a_usual_place_tells_whose_output_it_is(dataset: int, task: str, job: int, name: str) -> None:
    url = usual_place("file:///store", dataset, task, job, name)
    assert usual_of(unquote(url.removeprefix("file:///store"))) == Usual(dataset, task, job, name)


def test_other_places_are_nobodys() -> None:
    assert usual_of("/results/fit/a.txt") is None
    assert usual_of("/0/fit/a.txt") is None
