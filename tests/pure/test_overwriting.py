"""Jobs that are added to a dataset never write over what others keep."""

from __future__ import annotations

import pytest

from nunatak.core.errors import Conflict
from nunatak.datasets.overwriting import check_places
from nunatak.datasets.plan import Plan
from nunatak.datasets.recipe import Manifest, compile_recipe

RECIPE = """
name: x
{head}
tasks:
  fit:
    run: make a.txt
    outputs: ["a.txt{place}"]
"""


def plan_of(head: str, place: str) -> Plan:
    return compile_recipe(RECIPE.format(head=head, place=place), filename="r.yaml", manifest=Manifest({}, {}))


@pytest.mark.parametrize(
    ("head", "place", "jobs", "more"),
    [
        ("jobs: 2", "", 2, 100_000),
        ("jobs: 1", " -> {job}.txt", 1, 100_000),
        ("foreach: [a, b, c]", " -> {item}.txt", 1, 2),
        ("foreach: [a, b, c]", " -> {item}-{repetition}.txt", 3, 1000),
        ("foreach: [a, b, c]", "", 3, 3),
    ],
)
def test_jobs_that_have_places_of_their_own_may_be_added(head: str, place: str, jobs: int, more: int) -> None:
    check_places(plan_of(head, place), jobs, more)


@pytest.mark.parametrize(
    ("head", "place", "jobs", "more", "said"),
    [
        ("jobs: 1", " -> all.txt", 1, 1, "job 1 would write over what fit of job 0 keeps at all.txt"),
        ("foreach: [a, b, c]", " -> {item}.txt", 3, 1, "job 3 would write over what fit of job 0 keeps at {item}.txt"),
        ("foreach: [a, b, c]", " -> {item}.txt", 1, 4, "job 3 would write over what fit of job 0"),
        ("foreach: [a, b, c]", " -> {item}.txt", 2, 9_000, "would write over what fit of job"),
        ("jobs: 1", " -> {floor(job / 2)}.txt", 1, 3, "job 1 would write over what fit of job 0"),
    ],
)
def test_jobs_that_would_write_over_others_are_refused(head: str, place: str, jobs: int, more: int, said: str) -> None:
    with pytest.raises(Conflict) as caught:
        check_places(plan_of(head, place), jobs, more)
    assert said in caught.value.message
    assert caught.value.code == "same-output"
