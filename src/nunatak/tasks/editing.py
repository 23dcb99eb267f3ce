"""The recipe of a dataset that exists is edited: a new revision, by which every attempt runs that is claimed from then on.

No row of a task changes, however many there are: what they ask for now is written beside what is learnt of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from nunatak.core.errors import Conflict
from nunatak.datasets import store as datasets_store
from nunatak.datasets.changes import gathered
from nunatak.datasets.plan import Plan
from nunatak.datasets.revise import Revision, Standing, is_present, revise
from nunatak.datasets.rewrite import Rewritten
from nunatak.db.statement import Row
from nunatak.tasks import asking, lessons, pieces
from nunatak.tasks.asking import Learnt
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.numbering import numbered

MOST_TOLD = 50
"""Changes that are written into the history."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An edited recipe: what it became, as it is written, who edits, and the revision that was edited."""

    made: Rewritten
    source: str
    filename: str
    actor: str
    since: int


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit does, or did: `revision` is the number the dataset is at then, `counts` its tasks by state."""

    dataset: int
    revision: int
    digest: str
    changed: bool
    what: Revision
    counts: dict[str, int]

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {
            "dataset": self.dataset,
            "revision": self.revision,
            "digest": self.digest,
            "changed": self.changed,
            "changes": [change.to_plain() for change in self.what.changes],
            "refusals": [
                {"path": item.path, "message": item.message, "hint": item.hint} for item in self.what.refusals
            ],
            "notes": list(self.what.notes),
            "tasks": self.counts,
        }


def edit(tx: Connection, contexts: Contexts, dataset: int, given: Edit, now: float, *, apply: bool) -> Edited:
    """Make an edited recipe the present revision of a dataset; without `apply` it is only told what would be done.

    The cost depends on the recipe, not on how many jobs and tasks there are. What is written already is left as it is, so
    an edit may be sent twice. Raises `NotFound`, `Conflict` (code `changed`) where another revision came between, and
    `Conflict` (code `cannot-change`) with everything that cannot be changed of a dataset that exists.
    """
    datasets_store.LOCK_FRONTIER(tx, dataset=dataset)  # orders on one dataset come one after the other
    row = datasets_store.LOCK_DATASET(tx, dataset=dataset)[0]
    context = contexts.one(tx, dataset)
    if given.since != row.revision and not is_present(context.plan, given.made.plan):
        raise changed(dataset, given.since, row.revision)
    standing, counts = _standing(tx, context, bool(row.held))
    total = int(datasets_store.FRONTIER(tx, dataset=dataset)[0].total)
    what = revise(context.plan, given.made.plan, standing, given.made.jobs | {total})
    what = replace(what, notes=(*given.made.notes, *pieces.said(tx, dataset), *what.notes))
    same = not what.refusals and what.plan.digest == row.recipe
    if not apply or same:
        return Edited(dataset, row.revision, what.plan.digest, not same and not what.refusals, what, counts)
    _refuse(dataset, what)
    number = row.revision + 1
    _write(tx, dataset, number, row, context.plan, what, given, counts, now)
    _reshape(tx, contexts, context, what, number)
    return Edited(dataset, number, what.plan.digest, True, what, counts)


def changed(dataset: int, since: int, present: int) -> Conflict:
    """Return the error of an edit that began from a revision which is not the present one."""
    return Conflict(
        f"the recipe of dataset {dataset} is at revision {present} by now, you edited revision {since}",
        code="changed",
        hint=f"look at the difference: nunatak recipe {dataset} --revision {present} --against {since}; then edit that one",
        revision=present,
    )


def _refuse(dataset: int, what: Revision) -> None:
    if what.refusals:
        more = f" and {len(what.refusals) - 1} more" if len(what.refusals) > 1 else ""
        raise Conflict(
            f"dataset {dataset} cannot have this recipe: {what.refusals[0].message}{more}",
            code="cannot-change",
            hint=what.refusals[0].hint,
            problems=what.refusals,
        )


def _standing(tx: Connection, context: Context, held: bool) -> tuple[dict[str, Standing], dict[str, int]]:
    rows = datasets_store.TASK_COUNTS(tx, dataset=context.dataset)
    counts: Counter[str] = Counter(dict.fromkeys(datasets_store.STATES, 0))
    done, live = Counter[int](), Counter[int]()
    for row in rows:
        counts.update({state: getattr(row, state) for state in datasets_store.STATES})
        done[row.task] += row.done
        live[row.task] += row.queued + row.running
    standing = {
        task.name: Standing(done[number], live[number], not held) for number, task in enumerate(context.plan.tasks)
    }
    return standing, dict(counts)


def _write(
    tx: Connection, dataset: int, number: int, row: Row, old: Plan, what: Revision, given: Edit, counts: dict[str, int],
    now: float,
) -> None:  # fmt: skip
    plan = what.plan
    datasets_store.ADD_RECIPE(
        tx, digest=plan.digest, plan=plan.text, source=given.source, filename=given.filename, now=now
    )
    datasets_store.ADD_REVISION(
        tx, dataset=dataset, revision=number, recipe=plan.digest, author=given.actor, now=now, done=counts["done"],
        live=counts["queued"] + counts["running"],
    )  # fmt: skip
    name = plan.name if row.name == old.name else row.name  # a name that was given beside the recipe stays
    datasets_store.SET_RECIPE(tx, dataset=dataset, recipe=plan.digest, revision=number, name=name, now=now)
    told = [change.text for change in gathered(what.changes)]
    detail = {"revision": number, "changes": told[:MOST_TOLD]}
    if len(told) > MOST_TOLD:
        detail["more"] = len(told) - MOST_TOLD
    datasets_store.ADD_EVENT(
        tx, dataset=dataset, job=None, task=None, actor=given.actor, verb="edit", detail=json.dumps(detail), now=now
    )


def _reshape(tx: Connection, contexts: Contexts, context: Context, what: Revision, revision: int) -> None:
    """Write what tasks ask for now, beside what was learnt of them: that is read at every choice, in every process."""
    numbers = [*what.reshaped, *what.anew]
    if not numbers:
        return
    known = lessons.locked(tx, context.dataset, numbers)
    before = {number: lessons.learnt_of(row) for number, row in known.items()}
    learnt = {
        number: _revised(tx, contexts, context, what.plan, number, before.get(number)) for number in what.reshaped
    }
    for number in what.anew:
        written = what.plan.tasks[number].shape
        learnt[number] = numbered(before.get(number), written, revision)
        contexts.book.enter(tx, [written] if written else [], revision)
    kept = [
        lessons.Kept(number, known[number].evidence if number in known else None, now.to_text())
        for number, now in learnt.items()
    ]
    lessons.put(tx, context.dataset, kept)


def _revised(
    tx: Connection, contexts: Contexts, context: Context, plan: Plan, number: int, learnt: Learnt | None
) -> Learnt:
    """Return what holds for a task of which neither revision lets needs depend on the job."""
    since, written = context.numbering(number)[0], plan.tasks[number].shape
    base = contexts.plan_at(tx, context.dataset, since).tasks[number].shape
    assert base is not None, "else it would be numbered anew"
    assert written is not None, "else it would be numbered anew"
    now = asking.revised(base, learnt, written)
    contexts.book.enter(tx, [written, now.shape(written)])
    return now


def by_revision(rows: Sequence[Row], counts: dict[str, int]) -> list[dict[str, int]]:
    """Return for each revision how many tasks were done under it, and how many of those may have begun before it came.

    `rows` are the revisions of a dataset in order, `counts` its tasks by state: what is not done is to do by the last. Pure.
    """
    found = []
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        ended = counts["done"] if after is None else after.done or 0
        done = max(0, ended - (row.done or 0))
        began = min(done, row.live or 0)
        to_do = sum(counts.get(state, 0) for state in datasets_store.STATES) - ended if after is None else 0
        found.append({"revision": row.revision, "done": done, "began_before": began, "to_do": to_do})
    return found
