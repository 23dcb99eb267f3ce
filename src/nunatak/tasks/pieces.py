"""The recipe of a dataset that was split off another describes whole jobs: it is edited as such, then divided as it was before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from sqlalchemy import Connection

from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets import store as datasets_store
from nunatak.datasets.plan import Plan
from nunatak.datasets.report import Report
from nunatak.datasets.rewrite import Rewritten, Written, as_written, rewrite_from
from nunatak.datasets.yaml_source import parse
from nunatak.tasks.dividing import Divisible, divided, divisible, in_pieces, whole_of

NOT_DECLARED = ("not-splittable", "several-splittable")
ANEW = "or submit the changed recipe as a new dataset"


def pieces_of(tx: Connection, dataset: int) -> tuple[int, ...]:
    """Return into how many pieces jobs were divided that a dataset is made of: one number a split, the first one first."""
    found: list[int] = []
    while origin := next((of for of in _splits(tx, dataset) if "of" in of), None):
        found.append(int(origin["jobs"]) // int(origin["moved"]))
        dataset = int(origin["of"])
    return tuple(reversed(found))


def said(tx: Connection, dataset: int) -> list[str]:
    """Say of a dataset that is edited which others were split off it, or it off which: they have a recipe of their own."""
    splits = _splits(tx, dataset)
    found = [(f"it was split off dataset {of['of']}", of["of"]) for of in splits if "of" in of]
    found += [(f"dataset {of['into']} was split off it", of["into"]) for of in splits if "into" in of]
    return [f"{text}, which has a recipe of its own: nunatak edit {other}" for text, other in found]


def _splits(tx: Connection, dataset: int) -> list[dict[str, int]]:
    return [json.loads(row.detail or "{}") for row in datasets_store.SPLITS(tx, dataset=dataset)]


def rewrite_pieces(
    present: Plan, written: Written, edited: Written, parameters: Mapping[str, str], pieces: Sequence[int]
) -> Rewritten:
    """Check an edited recipe of whole jobs, and divide them as those of the present plan are. Pure.

    Raises `Invalid` with every problem of it, or with why jobs cannot be divided so any more.
    """
    before = as_written(present, written)
    if before is None:
        raise Invalid(
            "its present recipe, by which its jobs were divided, cannot be read any more", code="divided",
            hint="submit the changed recipe as a new dataset",
        )  # fmt: skip
    what = divisible(before)
    made = rewrite_from(_whole(present, what, pieces), before, edited, parameters)
    plan, parameter = _divided(made.plan, what, pieces, present, edited), what.parameter
    name = present.name if made.plan.name == before.name else made.plan.name
    items = present.items if made.plan.items == before.items else made.plan.items
    jobs = present.jobs if made.plan.jobs in made.jobs else made.plan.jobs
    note = (
        f"the recipe describes whole jobs, of which each here is one of {prod(pieces)} pieces: {parameter} and the time asked"
        " for are divided as they were"
    )
    return replace(made, plan=replace(plan, name=name, items=items, jobs=jobs), notes=(note,))


def _whole(present: Plan, what: Divisible, pieces: Sequence[int]) -> Plan:
    """Return the present plan with the parameter that was divided as it was before: it may have been set beside the recipe."""
    if what.owner:
        return present
    whole = whole_of(present.parameters[what.parameter], pieces[-1]) * prod(pieces[:-1])
    return replace(present, parameters={**present.parameters, what.parameter: whole})


def _divided(plan: Plan, what: Divisible, pieces: Sequence[int], present: Plan, edited: Written) -> Plan:
    """Divide whole jobs as those of the present plan are. Raises `Invalid`."""
    for number, n in enumerate(pieces):
        try:
            now = divisible(plan)
            if (now.parameter, now.owner) != (what.parameter, what.owner):
                raise Conflict(f"splittable is {now.parameter}", code="not-splittable")
            split = in_pieces(now, n)
            if split.low != split.high and number < len(pieces) - 1:
                raise Conflict(f"{what.parameter} {now.whole} has no {n} equal pieces", code="uneven")
            plan = divided(plan, now, split, present.items, present.jobs // n, present.name)
        except (Conflict, Invalid) as error:
            _refusal(what, pieces, edited, error).raise_if_any()
    return plan


def _refusal(what: Divisible, pieces: Sequence[int], edited: Written, error: Conflict | Invalid) -> Report:
    """Return why an edited recipe cannot be divided, at its place."""
    times = " x ".join(map(str, pieces))
    text = f"jobs of this dataset are pieces of whole ones, {what.parameter} in {times}: {error.message}"
    hint = f"keep splittable: {what.parameter}, and a whole number of which so many pieces can be made, {ANEW}"
    report = Report(edited.filename, parse(edited.text, edited.filename))
    if error.code in NOT_DECLARED:
        report.add(("tasks", what.owner or what.tasks[0]), text, hint)
    else:
        report.add((*(("tasks", what.owner) if what.owner else ()), "parameters", what.parameter), text, hint)
    return report
