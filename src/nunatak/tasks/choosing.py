"""Choosing: reads who wants tasks, who used what and what operators say, and lets fair share (`tasks.sharing`) decide."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.datasets.progress import LIVE, Moves
from nunatak.db.statement import Row
from nunatak.tasks import asking, choosing_store, store
from nunatak.tasks.asking import Learnt
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.shapes import ANYTHING, NOT_KNOWN, number_of
from nunatak.tasks.sharing.fits import Fits, Offer
from nunatak.tasks.sharing.model import Allotment, Cap, Demand, Member, Owner, Policy, Positions
from nunatak.tasks.sharing.positions import positions
from nunatak.tasks.sharing.queue import Memory
from nunatak.tasks.sharing.turn import Turn
from nunatak.tasks.sharing.usage import Decay, Spent, Usage, Used, occupied
from nunatak.tasks.site_load import SiteLoad

USE_AGE = 10.0
"""Seconds for which the sum of what everybody used is kept: it changes slowly, and reading it goes over all datasets."""
USE_PAUSE = 50.0
"""So many times as long as reading the sum took it is kept at least: at most a fiftieth of the time goes into it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an installation says of fair share: half-life and aging in seconds, a GPU-hour's worth in core-hours.

    `probe` is for how many seconds the first attempt of a task is waited for before others are tried.
    """

    half_life: float = 7 * 86400.0
    aging: float = 6 * 3600.0
    gpu_worth: float = 20.0
    probe: float = 600.0

    @property
    def decay(self) -> Decay:
        """Return how use is forgotten."""
        return Decay(self.half_life)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who wants what now, every shape that is named in it, and of which (dataset, task) none was tried yet.

    `left` is how many of a (dataset, task) are ready, but wait for those that are tried first; `revisions` has that of the
    recipe of each dataset.
    """

    demand: Sequence[Demand]
    members: Sequence[Member]
    shapes: Mapping[int, Shape]
    untried: frozenset[tuple[int, int]] = frozenset()
    left: Mapping[tuple[int, int], int] = field(default_factory=dict)
    revisions: Mapping[int, int] = field(default_factory=dict)


def wanted(tx: Connection, contexts: Contexts, rules: Rules, now: float, moves: Moves | None = None) -> Wanted:
    """Read what is ready of datasets that may be worked on, and what is with engines of any.

    What is ready of a task beyond what may be tried at once is left out. `moves` are changes of counts that this
    transaction has yet to write: all is as it will be then.
    """
    rows = choosing_store.DEMAND(tx)
    if moves:
        rows = foreseen(rows, moves, now)
    shapes = contexts.book.shapes(tx, {row.shape for row in rows})
    demand, members, untried = [], {}, set()
    left: dict[tuple[int, int], int] = defaultdict(int)
    rooms = _rooms(rows, rules, now)
    for row in rows:
        dataset, number, ready, place = row.dataset, row.shape, row.ready, (row.dataset, row.task)
        room = rooms.get(place)
        if room is not None:
            ready = min(ready, room)
            left[place] += row.ready - ready
        if row.needs and row.begun is None:
            untried.add(place)
        asked, cost = 0, 1.0
        if number:
            asked, shape, cost = _asked(number, shapes[number], row.needs, rules.gpu_worth)
            shapes[asked] = shape
        demand.append(Demand(dataset, row.task, number, ready, row.queued, row.running, cost, asked, room))
        if dataset not in members:
            members[dataset] = Member(dataset, row.team, row.owner, row.priority, row.since)
    revisions = {row.dataset: row.revision for row in rows}
    return Wanted(demand, list(members.values()), shapes, frozenset(untried), left, revisions)


def foreseen(rows: Sequence[Row], moves: Moves, now: float) -> list[Row]:
    """Return rows of demand as they will be when changes of counts are written that only lease tasks."""
    changes, given = moves.of_tasks(), moves.datasets_given()
    new = {key: row for row in rows for key in changes if key[:2] == (row.dataset, row.task)}
    found: dict[tuple[int, int, int], Any] = {
        **{key: row._replace(shape=key[2], ready=0, queued=0, running=0) for key, row in new.items()},
        **{(row.dataset, row.task, row.shape): row for row in rows},
    }
    for key, counts in changes.items():
        if key in found:
            row = found[key]
            found[key] = row._replace(**{name: max(0, getattr(row, name) + counts[name]) for name in LIVE})
    after = [row._replace(since=now) if row.dataset in given else row for row in found.values()]
    left = [row for row in after if row.ready or row.queued or row.running]
    return sorted(left, key=lambda row: (row.dataset, -row.task, row.shape))


def _rooms(rows: Sequence[Row], rules: Rules, now: float) -> dict[tuple[int, int], int]:
    """Return how many more may be tried of each (dataset, task) of which not any number may."""
    bounded = {(row.dataset, row.task): row for row in rows if row.needs and _learnt(row.needs).at_once is not None}
    live: dict[tuple[int, int], int] = dict.fromkeys(bounded, 0)
    for row in rows:
        if (row.dataset, row.task) in live:
            live[row.dataset, row.task] += row.queued + row.running
    found = {
        place: asking.room(_learnt(row.needs), live[place], row.begun, now, rules.probe)
        for place, row in bounded.items()
    }
    return {place: room for place, room in found.items() if room >= 0}


_learnt = lru_cache(maxsize=100_000)(Learnt.from_text)


@lru_cache(maxsize=100_000)
def _asked(number: int, shape: Shape, needs: str | None, gpu_worth: float) -> tuple[int, Shape, float]:
    """Return the shape that a task asks for with its number, and what it is expected to occupy, in core-hours of worth."""
    if needs is None:
        return number, shape, occupied(shape, shape.time).worth(gpu_worth)
    learnt = _learnt(needs)
    asked = asking.asked_for(number, shape, learnt)
    if asked is None:
        return NOT_KNOWN, ANYTHING, occupied(shape, learnt.wall or shape.time).worth(gpu_worth)
    wall = asked.time if learnt.wall is None else learnt.wall
    return number_of(asked), asked, occupied(asked, wall).worth(gpu_worth)


def policy_of(rows: Sequence[Row], aging: float) -> Policy:
    """Return the rules that operators wrote down; a cap without a name binds all that have none of their own."""
    weights: dict[str, dict[str, float]] = defaultdict(dict)
    caps, own = dict[str, Cap](), dict[Owner, Cap]()
    for row in rows:
        cap = Cap(row.running, row.queued)
        if row.weight is not None:
            weights[row.kind][row.name] = row.weight
        if cap == Cap():
            continue
        if row.name:
            own[row.kind, int(row.name) if row.kind == "dataset" else row.name] = cap
        else:
            caps[row.kind] = cap
    return Policy(weights["group"], weights["user"], caps, own, aging)


def uses(
    tx: Connection, contexts: Contexts, rules: Rules, now: float, timer: Callable[[], float] = time.perf_counter
) -> Used:
    """Return what groups, users and datasets used, those that are done included; the sums are kept for a while."""

    def read(own: Connection) -> tuple[Used, float]:
        begin = timer()
        found = uses_now(own, contexts, rules, now)
        return found, max(USE_AGE, USE_PAUSE * (timer() - begin))

    return contexts.kept.of(("used", rules), read, tx, now, late=False)


def uses_now(tx: Connection, contexts: Contexts, rules: Rules, now: float) -> Used:
    """Return the same as of now: reading it goes over all datasets there ever were."""
    rows, owners = store.SPENT(tx), contexts.owners
    missing = sorted({row.dataset for row in rows} - owners.keys())
    for row in choosing_store.OWNERS(tx, v=[(dataset,) for dataset in missing]) if missing else ():
        owners[row.dataset] = (row.team, row.owner)
    spent = [Spent(row.dataset, *owners[row.dataset], Usage(row.era, row.core, row.gpu)) for row in rows]
    return rules.decay.totals(spent, now, rules.gpu_worth)


def stand(
    tx: Connection, wants: Wanted, used: Used, rules: Rules, now: float, load: SiteLoad | None = None
) -> Positions:
    """Return where everybody stands now; `load` remembers what is under way at sites."""
    policy = policy_of(store.SHARES(tx), rules.aging)
    sites = (load or SiteLoad()).of(tx, now) if "site" in policy.capped() else None
    return positions(wants.demand, wants.members, used, policy, now, sites)


class Places:
    """Hands out places to the claims of several threads, from one look at who wants what."""

    def __init__(self, turn: Turn, wants: Wanted, lock: threading.Lock, load: SiteLoad) -> None:
        """Begin with a turn; `lock` is that of everybody who has the same memory, `load` is told what sites are given."""
        self._turn, self._lock, self._load = turn, lock, load
        self.untried, self.shapes, self._revisions = wants.untried, wants.shapes, wants.revisions

    def select(self, offer: Offer, limit: int) -> list[Allotment]:
        """Return what an engine gets that has `limit` places in slots like `offer`, and count it off."""
        with self._lock:
            given = self._turn.select(offer, limit)
        self._load.give(offer.site, sum(allotment.n for allotment in given))
        return given

    def fill(self, offer: Offer, allotment: Allotment, size: Callable[[int], int], most: int) -> tuple[Allotment, int]:
        """Return an allotment with more tasks for the same places, and how many go into each; see `Turn.fill`."""
        with self._lock:
            larger, each = self._turn.fill(offer, allotment, size, most)
        self._load.give(offer.site, larger.n - allotment.n)
        return larger, each

    def missing(self, offer: Offer, allotment: Allotment, got: int) -> None:
        """Take note that only `got` of an allotment could be had."""
        with self._lock:
            self._turn.missing(offer, allotment, got)
        self._load.give(offer.site, got - allotment.n)

    def knows(self, context: Context) -> bool:
        """Tell whether what was asked for at this look is what the present revision of a dataset's recipe asks for."""
        return self._revisions.get(context.dataset, context.revision) == context.revision

    def since(self, dataset: int) -> float:
        """Return when a dataset was last given a place, about, as of this look."""
        return self._turn.positions.paths[dataset][2].member.since


class Chooser:
    """Makes places out of what is read; remembers from one look to the next whose turn it is."""

    def __init__(self, rules: Rules | None = None, load: SiteLoad | None = None) -> None:
        """Begin with nobody having had a turn; `load` remembers what is under way at sites that have caps."""
        self.rules = rules or Rules()
        self._load = load or SiteLoad()
        self._fits, self._memory, self._lock = Fits(), Memory(), threading.Lock()

    def look(self, tx: Connection, contexts: Contexts, now: float, moves: Moves | None = None) -> Places:
        """Read who wants what, and say whose turn it is; `moves` are changes of counts that are yet to be written."""
        wants = wanted(tx, contexts, self.rules, now, moves)
        found = stand(tx, wants, uses(tx, contexts, self.rules, now), self.rules, now, self._load)
        return Places(Turn(found, wants.shapes, self._fits, self._memory), wants, self._lock, self._load)
