"""Why ready tasks do not run: which slots could take them, which cap stops them, who is ahead, and whether there is room."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.db.statement import Row
from nunatak.tasks import offers
from nunatak.tasks.choosing import Rules, Wanted, stand, uses, wanted
from nunatak.tasks.context import Context, Contexts, shape_for
from nunatak.tasks.looking.hindrance import Hindrance, What
from nunatak.tasks.shapes import NOT_KNOWN, number_of
from nunatak.tasks.sharing.fits import Fits
from nunatak.tasks.sharing.match import match
from nunatak.tasks.sharing.model import Demand, Positions
from nunatak.tasks.sharing.standing import ALL, standing
from nunatak.tasks.sharing.words import cap_text, match_text, standing_text
from nunatak.tasks.standings import Excluded, excluded

MOST_SHAPES = 20
"""Different shapes of a dataset that are looked at, those of which most is ready first."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that ready tasks are looked at against, read once: engines, who wants what, and where everybody stands."""

    engines: list[Row]
    wants: Wanted
    positions: Positions
    out: Excluded  # nodes and sites that get no work


def scene(tx: Connection, contexts: Contexts, rules: Rules, now: float) -> Scene:
    """Read it. Claims go by the same positions."""
    wants = wanted(tx, contexts, rules, now)
    positions = stand(tx, wants, uses(tx, contexts, rules, now), rules, now)
    engines = offers.alive(tx, now)
    return Scene(engines, wants, positions, excluded(tx, now, len(engines)))


def of_shape(seen: Scene, dataset: int, shape: Shape, tasks: int) -> list[Hindrance]:
    """Say why `tasks` ready tasks of a shape are not running; never nothing."""
    places = offers.offers_for(seen.engines, shape, seen.out)
    matched = match(shape, places)
    fitting = match_text(matched)
    if not matched.slots:
        return [Hindrance(What.NO_PLACE, tasks, tuple(fitting))]
    number = number_of(shape)
    bits = seen.positions.bits
    rivals = Fits().rivals(number, places, bits, seen.wants.shapes) if number in bits else ALL
    found = standing(seen.positions, dataset, rivals)
    stopped = tuple(cap_text(bound) for bound in found.stopped) if found else ()
    ahead = standing_text(found) if found else "it is about to be counted as waiting"
    full = Hindrance(What.FULL, tasks, (*_room(seen, shape, matched.slots), ahead, *fitting))
    return [Hindrance(What.CAP, tasks, stopped), full] if stopped else [full]


def _room(seen: Scene, shape: Shape, slots: int) -> list[str]:
    """Say whether there is room, and which engines take nothing as something is wrong with them."""
    wrong = [f"engine {name} takes nothing now: {trouble}" for name, trouble in offers.troubles(seen.engines, shape)]
    free = offers.free_of(seen.engines, shape)
    if free:
        are = "is" if free == 1 else "are"
        text = f"{free} of the {slots} slots that could take it {are} free: it starts at the next look of an engine"
    else:
        text = f"{'the one slot' if slots == 1 else f'all {slots} slots'} that could take it {'is' if slots == 1 else 'are'} busy"
    return [*wrong, text] if free or not wrong else wrong


def of_dataset(seen: Scene, context: Context) -> list[Hindrance]:
    """Say what holds back the ready tasks of a dataset, by the shapes they ask for."""
    ready: dict[Shape, int] = defaultdict(int)
    for row in seen.wants.demand:
        if row.dataset == context.dataset and row.ready:
            ready[_asked(seen, context, row)] += row.ready
    most = sorted(ready.items(), key=lambda item: (-item[1], item[0].key()))[:MOST_SHAPES]
    merged: dict[tuple[What, tuple[str, ...]], int] = defaultdict(int)
    for shape, n in most:
        for item in of_shape(seen, context.dataset, shape, n):
            merged[item.what, item.texts] += item.tasks
    probes = [
        _probe(context, task, left)
        for (dataset, task), left in seen.wants.left.items()
        if left and dataset == context.dataset
    ]
    return [*probes, *(Hindrance(what, tasks, texts) for (what, texts), tasks in merged.items())]


def _probe(context: Context, task: int, left: int) -> Hindrance:
    """Say that tasks wait for those that are tried first."""
    name = context.plan.tasks[task].name
    text = (
        f"one {name} tries first: {left} wait until it has ended, to ask for what it was seen to need;"
        f" to let all go at once, write learn: off in the recipe"
    )
    return Hindrance(What.PROBE, left, (text,))


def of_task(seen: Scene, context: Context, task: int, shape: Shape | None) -> list[Hindrance]:
    """Say why one ready task is not running; `shape` is its own, None while that is not known."""
    number = number_of(shape) if shape else 0
    for row in seen.wants.demand:
        if (row.dataset, row.task, row.shape) == (context.dataset, task, number):
            left = seen.wants.left.get((row.dataset, row.task), 0)
            if left and not row.ready:
                return [_probe(context, task, left)]
            return of_shape(seen, context.dataset, _asked(seen, context, row), 1)
    return of_shape(seen, context.dataset, shape or shape_for(context, task), 1)


def _asked(seen: Scene, context: Context, row: Demand) -> Shape:
    """Return what tasks ask for: what was learnt, or else what is written."""
    known = None if row.asked == NOT_KNOWN else seen.wants.shapes.get(row.asked or row.shape)
    return known or shape_for(context, row.task)
