"""Plans whose jobs are divided: the pieces sum to the whole for every item, and what follows from them is asked for anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets.expand import expand, shape_of
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan
from nunatak.datasets.recipe import compile_recipe
from nunatak.tasks import dividing


def plan_of(text: str) -> Plan:
    return compile_recipe(text, filename="r.yaml", manifest=Manifest({}, {}))


def recipe(
    jobs: int, events: int, *, foreach: str = "", needs: str = "{time: 10 h}", run: str = "x {events} {seed}"
) -> Plan:
    given = f"foreach: {{kind: {foreach}}}\n" if foreach else ""
    seed = 'seed: "{dataset * 1000 + job}"'
    return plan_of(
        f"name: p\njobs: {jobs}\n{given}parameters: {{events: {events}, {seed}}}\n"
        f"tasks:\n  gen:\n    run: {run}\n    splittable: events\n    needs: {needs}\n"
    )


def words(plan: Plan, job: int) -> tuple[str, ...]:
    return (
        expand(plan, dataset=1, job=job, task=0, attempt=1, lease="", store="file:///s", blobs="file:///b")
        .commands[0]
        .argv
    )


def split(plan: Plan, n: int, first: int = 0) -> Plan:
    what = dividing.divisible(plan)
    items = dividing.items_of(plan, first, plan.jobs - first)
    return dividing.divided(plan, what, dividing.in_pieces(what, n), items, plan.jobs - first, "new")


@given(st.integers(1, 9), st.integers(2, 40), st.integers(2, 12), st.integers(0, 20), st.booleans())
def test_every_item_keeps_its_sum(repetitions: int, events: int, n: int, first: int, several: bool) -> None:
    n, kinds = min(n, events), ["a", "b", "c"] if several else ["a"]
    plan = recipe(repetitions, events, foreach=str(kinds), run="x {events} {kind}")
    first %= plan.jobs
    new = split(plan, n, first)
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for job in range(first, plan.jobs):
        before[words(plan, job)[2]] += int(words(plan, job)[1])
    for job in range(new.jobs):
        after[words(new, job)[2]] += int(words(new, job)[1])
    assert after == before
    assert new.jobs == (plan.jobs - first) * n


def test_without_items_pieces_differ_by_one_at_most_and_can_be_divided_again_only_if_even() -> None:
    uneven = split(recipe(4, 10), 3)
    assert [int(words(uneven, job)[1]) for job in range(6)] == [4, 3, 3, 4, 3, 3]
    with pytest.raises(Conflict) as error:
        dividing.divisible(uneven)
    assert error.value.code == "not-splittable"
    assert "splittable:" in error.value.hint
    assert dividing.divisible(split(recipe(4, 10), 5)).whole == 2


def test_time_is_divided_and_what_follows_from_the_parameter_is_asked_for_anew() -> None:
    assert split(recipe(4, 5000), 4).tasks[0].shape.time == 9000
    assert split(recipe(4, 5000), 40).tasks[0].shape.time == 1800
    assert split(recipe(4, 5000, needs="{time: 10 min}"), 4).tasks[0].shape.time == 600
    follows = '{time: "{events} min", memory: "{events * 10} MB"}'
    shape = split(recipe(4, 100, needs=follows), 4).tasks[0].shape
    assert (shape.time, shape.memory) == (25 * 60, 256_000_000)
    uneven = split(recipe(4, 100, needs='{time: "{events} min"}'), 3)
    assert uneven.tasks[0].shape is None
    assert [shape_of(uneven, 0, job).time for job in range(3)] == [34 * 60, 33 * 60, 33 * 60]


def test_notes_tell_of_time_of_numbers_and_of_what_is_done_again() -> None:
    plan = recipe(4, 5000)
    assert dividing.notes(plan, split(plan, 4)) == ["gen asks for 2 h 30 min instead of 10 h"]
    plan = recipe(4, 5000, needs="{time: 10 min}", run="x {job} {events}")
    (note,) = dividing.notes(plan, split(plan, 4))
    assert note.startswith("gen uses {job} without {dataset}: the new dataset numbers its jobs from 0 again")
    text = (
        "name: p\nparameters: {events: 10}\ntasks:\n  tables: {run: 'x {events}', once: true, outputs: [t]}\n"
        "  gen: {run: 'x {events}', inputs: [tables/t], splittable: events, needs: {time: 10 min}}\n"
    )
    plan = plan_of(text)
    assert dividing.notes(plan, split(plan, 2)) == ["tables is done once a dataset, and so again in the new one"]
    with pytest.raises(Conflict, match="would differ between jobs"):
        split(plan, 3)


def test_a_parameter_of_the_task_alone_is_divided_there() -> None:
    text = (
        "name: p\nparameters: {events: 7}\ntasks:\n  a: {run: 'x {events}', parameters: {events: 10}, splittable: events}\n"
        "  b: {run: 'x {events}', after: a}\n"
    )
    new = split(plan_of(text), 3)
    specs = [
        expand(new, dataset=1, job=0, task=task, attempt=1, lease="", store="file:///s", blobs="file:///b")
        for task in (0, 1)
    ]
    assert [spec.commands[0].argv[1] for spec in specs] == ["4", "7"]


def test_what_makes_no_sense_is_refused() -> None:
    what = dividing.divisible(recipe(1, 5))
    for n in (0, 1, 6):
        with pytest.raises(Invalid):
            dividing.in_pieces(what, n)
    with pytest.raises(Conflict, match="are over"):
        split(replace(recipe(1, 5), jobs=999_999_999), 2)
    two = "name: p\nparameters: {m: 7, n: 5}\ntasks:\n  a: {run: 'x {m}', splittable: m}\n  b: {run: 'x {n}', splittable: n}\n"
    with pytest.raises(Conflict, match="several parameters"):
        dividing.divisible(plan_of(two))


def test_a_name_stays_within_its_length() -> None:
    assert dividing.name_of("muons", 42) == "muons (split of 42)"
    assert len(dividing.name_of("m" * 255, 42)) == 255
