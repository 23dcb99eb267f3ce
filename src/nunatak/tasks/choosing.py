"""Choosing: reads who wants tasks, who used what and what operators say, and lets fair share (`tasks.sharing`) decide."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from nunatak.core.work import Shape
from nunatak.db.statement import Row
from nunatak.tasks import look_store, store
from nunatak.tasks.context import Contexts
from nunatak.tasks.sharing.fits import Fits, Offer
from nunatak.tasks.sharing.model import Allotment, Busy, Cap, Demand, Member, Owner, Policy, Positions
from nunatak.tasks.sharing.positions import positions
from nunatak.tasks.sharing.queue import Memory
from nunatak.tasks.sharing.turn import Turn
from nunatak.tasks.sharing.usage import NOTHING_USED, Decay, Spent, Usage, Used, occupied

USE_AGE = 10.0
"""Seconds for which the sum of what everybody used is kept: it changes slowly, and reading it goes over all datasets."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an installation says of fair share: half-life and aging in seconds, a GPU-hour's worth in core-hours."""

    half_life: float = 7 * 86400.0
    aging: float = 6 * 3600.0
    gpu_worth: float = 20.0

    @property
    def decay(self) -> Decay:
        """Return how use is forgotten."""
        return Decay(self.half_life)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who wants what now, and every shape that is named in it."""

    demand: Sequence[Demand]
    members: Sequence[Member]
    shapes: Mapping[int, Shape]


def wanted(tx: Connection, contexts: Contexts, rules: Rules) -> Wanted:
    """Read what is ready of datasets that may be worked on, and what is with engines of any."""
    rows = look_store.DEMAND(tx)
    shapes = contexts.book.shapes(tx, {row.shape for row in rows})
    demand, members = [], {}
    for row in rows:
        cost = _cost(shapes[row.shape], rules.gpu_worth) if row.shape else 1.0
        demand.append(Demand(row.dataset, row.task, row.shape, row.ready, row.queued, row.running, cost))
        if row.dataset not in members:
            members[row.dataset] = Member(row.dataset, row.team, row.owner, row.priority, row.since)
    return Wanted(demand, list(members.values()), shapes)


@lru_cache(maxsize=10_000)
def _cost(shape: Shape, gpu_worth: float) -> float:
    """Return what a task of a shape is expected to occupy, in core-hours of worth."""
    return occupied(shape, shape.time).worth(gpu_worth)


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


def busy_sites(tx: Connection) -> dict[str, Busy]:
    """Count what is under way at each site. It goes over all tasks that are: read only where sites have caps."""
    sites = {row.engine: row.site for row in store.ENGINES(tx)}
    found: dict[str, Busy] = defaultdict(Busy)
    for leasing in look_store.LEASING(tx):
        for row in look_store.ENGINE_LOAD(tx, dataset=leasing.dataset):
            busy = Busy(row.n, 0) if row.state == "queued" else Busy(0, row.n)
            site = sites.get(row.engine, "")
            found[site] = found[site].plus(busy)
    return found


class Uses:
    """The sums of what was used, remembered for a moment; whose a dataset is never changes, and is read once."""

    def __init__(self, rules: Rules) -> None:
        """Begin with nothing read."""
        self._rules = rules
        self._owners: dict[int, tuple[str, str]] = {}
        self._used, self._at = NOTHING_USED, float("-inf")

    def of(self, tx: Connection, now: float) -> Used:
        """Return what groups, users and datasets used, those that are done included."""
        if not 0 <= now - self._at < USE_AGE:
            self._used, self._at = self._rules.decay.totals(self._read(tx), now, self._rules.gpu_worth), now
        return self._used

    def _read(self, tx: Connection) -> list[Spent]:
        rows = store.SPENT(tx)
        missing = sorted({row.dataset for row in rows} - self._owners.keys())
        for row in look_store.OWNERS(tx, v=[(dataset,) for dataset in missing]) if missing else ():
            self._owners[row.dataset] = (row.team, row.owner)
        return [Spent(row.dataset, *self._owners[row.dataset], Usage(row.era, row.core, row.gpu)) for row in rows]


def stand(tx: Connection, wants: Wanted, used: Used, rules: Rules, now: float) -> Positions:
    """Return where everybody stands now."""
    policy = policy_of(store.SHARES(tx), rules.aging)
    sites = busy_sites(tx) if "site" in policy.capped() else None
    return positions(wants.demand, wants.members, used, policy, now, sites)


class Places:
    """Hands out places to the claims of several threads, from one look at who wants what."""

    def __init__(self, turn: Turn, lock: threading.Lock) -> None:
        """Begin with a turn; `lock` is that of everybody who has the same memory."""
        self._turn, self._lock = turn, lock

    def select(self, offer: Offer, limit: int) -> list[Allotment]:
        """Return what an engine gets that has `limit` places in slots like `offer`, and count it off."""
        with self._lock:
            return self._turn.select(offer, limit)

    def missing(self, offer: Offer, allotment: Allotment, got: int) -> None:
        """Take note that only `got` of an allotment could be had."""
        with self._lock:
            self._turn.missing(offer, allotment, got)

    def since(self, dataset: int) -> float:
        """Return when a dataset was last given a place, about, as of this look."""
        return self._turn.positions.paths[dataset][2].member.since


class Chooser:
    """Makes places out of what is read; remembers from one look to the next whose turn it is."""

    def __init__(self, rules: Rules | None = None) -> None:
        """Begin with nobody having had a turn."""
        self.rules = rules or Rules()
        self._uses = Uses(self.rules)
        self._fits, self._memory, self._lock = Fits(), Memory(), threading.Lock()

    def look(self, tx: Connection, contexts: Contexts, now: float) -> Places:
        """Read who wants what, and say whose turn it is."""
        wants = wanted(tx, contexts, self.rules)
        found = stand(tx, wants, self._uses.of(tx, now), self.rules, now)
        return Places(Turn(found, wants.shapes, self._fits, self._memory), self._lock)
