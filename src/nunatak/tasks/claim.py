"""Claims: an engine takes a set of ready tasks; each gets an attempt number and a lease in the same transaction."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from nunatak.core.address import ONCE
from nunatak.core.states import TaskState
from nunatak.core.work import Grouping, Shape
from nunatak.datasets import store as datasets_store
from nunatak.datasets.program import Recorded
from nunatak.datasets.progress import Moves
from nunatak.tasks import checkpoints, rows, store
from nunatak.tasks.choosing import Places
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.elsewhere import PATIENCE, nodes_of, patterns
from nunatak.tasks.numbering import number_anew
from nunatak.tasks.rows import Claimed, Durations, Rule
from nunatak.tasks.shapes import NOT_KNOWN
from nunatak.tasks.sharing.fits import Offer
from nunatak.tasks.sharing.model import Allotment
from nunatak.tasks.unfold import Kind, Seats, take_fresh

S = TaskState
ROUNDS = 8
IN_ROWS = 2000
"""Tasks in series that one claim gets at most, beside the first of each place."""
GIVEN_AGE = 60.0
"""Seconds for which it is not written anew that a dataset was given places."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one engine asks for: tasks that fit `offer`, one machine's whole resources, for up to `limit` places.

    `grouping` says how short tasks share a place; None: not at all.

    `lease` is the key that all of them get; no two in one transaction have the same. `node` is its only one, if it has not
    several; `last` that no other engine is alive: then it gets what should be tried elsewhere as well.
    """

    engine: int
    offer: Offer
    limit: int
    lease: int
    node: str = ""
    last: bool = False
    grouping: Grouping | None = None


Again = Callable[[Moves], Places | None]
"""Looks once more who wants what, as it will be once some changes of counts are written; None: that is not worth it."""


class _Round:
    """What the claims of one transaction have so far: written down task by task, but for the counts, which come last."""

    def __init__(
        self, tx: Connection, contexts: Contexts, asked: Sequence[Asked], durations: Durations | None, now: float
    ) -> None:
        self.tx, self.contexts, self.asked, self.durations, self.now = tx, contexts, asked, durations, now
        self.known: dict[int, Context] = {}
        self.moves = Moves()
        self.raised: list[Shape] = []
        self.begun: set[tuple[int, int]] = set()
        self.taken: dict[int, list[Claimed]] = {item.lease: [] for item in asked}

    @property
    def short(self) -> bool:
        """Tell whether anybody has fewer tasks than were asked for."""
        return any(rows.places(self.taken[item.lease]) < item.limit for item in self.asked)

    def take(self, places: Places) -> None:
        """Take what `places` gives; where less is there than it says, choose anew."""
        before = {lease: len(items) for lease, items in self.taken.items()}
        for _ in range(ROUNDS):
            if not self._once(places):
                break
        given = {(item.dataset, item.task) for lease, items in self.taken.items() for item in items[before[lease] :]}
        self.begun |= given & places.untried
        for dataset in {dataset for dataset, _ in given}:
            if self.now - places.since(dataset) > GIVEN_AGE:
                self.moves.given(dataset)

    def _once(self, places: Places) -> bool:
        """Take each allotment; tell whether one fell short."""
        chosen: dict[Kind, list[tuple[Asked, Allotment]]] = defaultdict(list)
        for item in self.asked:
            for allotment in places.select(item.offer, item.limit - rows.places(self.taken[item.lease])):
                kind = Kind(allotment.dataset, allotment.task, allotment.shape, allotment.asked)
                chosen[kind].append((item, allotment))
        known = self.known
        known.update(free(self.tx, self.contexts, {kind.dataset for kind in chosen} - known.keys()))
        rules = _fill(self.tx, known, places, chosen, self.durations, self.now)
        short = False
        for kind, of_kind in chosen.items():
            new = self._take(kind, of_kind) if kind.dataset in known and places.knows(known[kind.dataset]) else []
            if new and _is_raised(kind, known[kind.dataset], places.shapes):
                self.raised.append(places.shapes[kind.asked])
            _sort(self.taken, of_kind, new, rules)
            short = _note_missing(places, of_kind, new) or short
        return short

    def _take(self, kind: Kind, of_kind: Sequence[tuple[Asked, Allotment]]) -> list[Claimed]:
        seats = [Seats(item.engine, item.lease, allotment.n, _avoided(item)) for item, allotment in of_kind]
        return _take(self.tx, self.contexts, self.known[kind.dataset], kind, seats, self.moves, self.now)

    def write(self) -> None:
        """Write what many transactions share: once, last, and in one order, so that none waits for another in a circle.

        Of a task that is tried for the first time it is written when that was; that a dataset was given places, once a
        minute at most.
        """
        self.contexts.book.enter(self.tx, self.raised)
        if self.begun:
            store.BEGIN_LESSONS(self.tx, v=sorted(self.begun), now=self.now)
        self.moves.apply(self.tx, self.now)


def claim_many(
    tx: Connection,
    contexts: Contexts,
    asked: Sequence[Asked],
    places: Places,
    now: float,
    durations: Durations | None = None,
    again: Again | None = None,
) -> list[list[Claimed]]:
    """Carry out several claims in one transaction; returns what each got, in order.

    Ready tasks that wait for their next try are counted as ready but cannot be had: where an allotment falls short, what
    is missing is chosen anew, so that no place stays empty. If `places` did not have enough for all, those of `again` are
    tried too.
    """
    round_ = _Round(tx, contexts, asked, durations, now)
    round_.take(places)
    fresh = again(round_.moves) if again and round_.short else None
    if fresh:
        round_.take(fresh)
    round_.write()
    every = with_inputs(tx, round_.known, [got for item in asked for got in round_.taken[item.lease]])
    whole = iter(with_checkpoints(tx, round_.known, every))
    return [[next(whole) for _ in round_.taken[item.lease]] for item in asked]


def _fill(
    tx: Connection,
    known: Mapping[int, Context],
    places: Places,
    chosen: Mapping[Kind, list[tuple[Asked, Allotment]]],
    durations: Durations | None,
    now: float,
) -> dict[tuple[int, Kind], Rule]:
    """Put more of the short tasks into the same places, where an engine runs series; return how, by lease and kind."""
    short = {kind for kind in chosen if kind.dataset in known and _in_rows(known[kind.dataset], kind)}
    wants = [(item, kind) for kind in chosen for item, _ in chosen[kind] if kind in short and _in_series(item)]
    if durations is None or not wants:
        return {}
    target = max(item.grouping.target for item, _ in wants if item.grouping)
    took = durations.of(tx, {(kind.dataset, kind.task) for _, kind in wants}, now, target)
    rules: dict[tuple[int, Kind], Rule] = {}
    budget = dict.fromkeys({item.lease for item, _ in wants}, IN_ROWS)
    for kind, of_kind in chosen.items():
        for number, (item, allotment) in enumerate(of_kind):
            if item.grouping and kind in short and _in_series(item):
                taking, shape = took[kind.dataset, kind.task], places.shapes[kind.asked]
                size = partial(rows.size, taking, item.grouping, shape, item.offer.shape)
                larger, each = places.fill(item.offer, allotment, size, budget[item.lease])
                budget[item.lease] -= larger.n - allotment.n
                of_kind[number] = item, larger
                rules[item.lease, kind] = Rule(taking, item.grouping, shape, each)
    return rules


def _is_raised(kind: Kind, context: Context, shapes: Mapping[int, Shape]) -> bool:
    """Tell whether what is asked for may not be written down yet: what was learnt is, and what tasks carry."""
    other = kind.asked != kind.shape != context.numbering(kind.task)[1]
    return other and shapes[kind.asked] != shapes[kind.shape]


def _in_series(item: Asked) -> bool:
    return item.grouping is not None and item.grouping.target > 0


def _in_rows(context: Context, kind: Kind) -> bool:
    """Tell whether tasks of a kind may share a place: what has a checkpoint is long, and its shape has to be known."""
    return kind.asked not in (0, NOT_KNOWN) and not context.plan.tasks[kind.task].checkpoint


def _sort(
    taken: Mapping[int, list[Claimed]],
    of_kind: Sequence[tuple[Asked, Allotment]],
    new: Sequence[Claimed],
    rules: Mapping[tuple[int, Kind], Rule],
) -> None:
    """Add what was claimed of one kind to what each engine has, in series where its places hold several."""
    by_lease: dict[int, list[Claimed]] = defaultdict(list)
    for got in new:
        by_lease[got.lease].append(got)
    for item, allotment in of_kind:
        kind, own = Kind(allotment.dataset, allotment.task, allotment.shape, allotment.asked), by_lease[item.lease]
        rule = rules.get((item.lease, kind))
        first = rows.series(taken[item.lease])
        taken[item.lease] += rows.in_rows(own, rule, first) if rule and rule.each > 1 else own


def free(tx: Connection, contexts: Contexts, datasets: set[int]) -> dict[int, Context]:
    """Return the contexts of those datasets that may be worked on now: open, and neither held nor cancelled."""
    free = datasets_store.FREE(tx, wanted=[(dataset,) for dataset in sorted(datasets)]) if datasets else ()
    return contexts.at(tx, {row.dataset: row.revision for row in free})


def _note_missing(places: Places, chosen: Sequence[tuple[Asked, Allotment]], got: Sequence[Claimed]) -> bool:
    """Say which allotments of one kind could not be had in full; tell whether there was one."""
    counts = Counter(item.lease for item in got)
    short = [(item, allotment) for item, allotment in chosen if counts[item.lease] < allotment.n]
    for item, allotment in short:
        places.missing(item.offer, allotment, counts[item.lease])
    return bool(short)


def _avoided(item: Asked) -> tuple[str, str]:
    """Return the patterns of tasks that an engine does not get for now."""
    return ("", "") if item.last else patterns(item.offer.site, item.node)


def _take(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    kind: Kind,
    seats: Sequence[Seats],
    moves: Moves,
    now: float,
) -> list[Claimed]:
    """Take ready tasks of one kind for all who have seats, then those of new jobs.

    What has to be numbered anew first is, and can be had at the next look.
    """
    if kind.asked == NOT_KNOWN:
        n = sum(of.n for of in seats)
        n -= number_anew(tx, contexts, context, kind, n, moves, now)
        if n > 0 and kind.task in context.graph.roots and kind.shape == context.base[kind.task]:
            take_fresh(tx, contexts, context, kind, seats, moves, now)
        return []
    past, ranges = 0, []
    for of in sorted(seats, key=lambda of: of.lease):  # in another order with every claim: leases are random
        ranges.append((past, past + of.n, of.engine, of.lease, *of.avoided))
        past += of.n
    rows = store.CLAIM(
        tx, **kind._asdict(), n=past, now=now, patient=now - PATIENCE, revision=context.revision, v=ranges
    )
    moves.task(kind.dataset, kind.task, kind.shape, S.READY, S.QUEUED, len(rows))
    recipe = context.plan.digest
    claimed = [
        Claimed(
            kind.dataset,
            row.job,
            kind.task,
            row.attempt,
            row.lease,
            kind.asked,
            avoid=nodes_of(row.avoid),
            recipe=recipe,
        )
        for row in rows
    ]
    if len(rows) < past and kind.task in context.graph.roots:
        got = Counter(row.lease for row in rows)
        empty = [of._replace(n=of.n - got[of.lease]) for of in seats]
        claimed += [
            Claimed(kind.dataset, job, kind.task, 1, lease, kind.asked, recipe=recipe)
            for job, lease in take_fresh(tx, contexts, context, kind, empty, moves, now)
        ]
    return claimed


def with_inputs(tx: Connection, known: Mapping[int, Context], claimed: Sequence[Claimed]) -> list[Claimed]:
    """Add to each task the recorded outputs of the parents it reads, with their checksums."""
    needs = {(item.dataset, item.task): _reads(known[item.dataset], item.task) for item in claimed}
    if not any(needs.values()):
        return list(claimed)
    single, whole = set(), set()
    for item in claimed:
        for parent in needs[item.dataset, item.task]:
            tasks = known[item.dataset].plan.tasks
            if item.job == ONCE and not tasks[parent].once:
                whole.add((item.dataset, parent))
            else:
                single.add((item.dataset, ONCE if tasks[parent].once else item.job, parent))
    rows = list(store.PARENT_OUTPUTS(tx, v=sorted(single))) if single else []
    for dataset, parent in sorted(whole):
        rows += store.ALL_OUTPUTS(tx, dataset=dataset, task=parent)
    outputs: dict[tuple[int, int], dict[int, list[Recorded]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        name = known[row.dataset].plan.tasks[row.task].name
        outputs[row.dataset, row.task][row.job] += [
            Recorded(name, row.job, record["name"], record["url"], record["size"], record["sha256"])
            for record in json.loads(row.outputs or "[]")
        ]
    return [_with(known[item.dataset], item, needs[item.dataset, item.task], outputs) for item in claimed]


def with_checkpoints(tx: Connection, known: Mapping[int, Context], claimed: Sequence[Claimed]) -> Sequence[Claimed]:
    """Add to each task that was tried before what an earlier attempt kept for it."""
    again = [item[:3] for item in claimed if item.attempt > 1 and known[item.dataset].plan.tasks[item.task].checkpoint]
    kept = checkpoints.of_tasks(tx, again) if again else {}
    return [item._replace(checkpoint=kept.get(item[:3])) for item in claimed] if kept else claimed


def _with(
    context: Context,
    item: Claimed,
    parents: Sequence[int],
    outputs: dict[tuple[int, int], dict[int, list[Recorded]]],
) -> Claimed:
    found: list[Recorded] = []
    for parent in parents:
        by_job = outputs[item.dataset, parent]
        once = context.plan.tasks[parent].once
        jobs = [ONCE] if once else (sorted(by_job) if item.job == ONCE else [item.job])
        for job in jobs:
            found += by_job[job]
    return item._replace(inputs=tuple(found))


def _reads(context: Context, task: int) -> list[int]:
    names = {source.task for source in context.plan.tasks[task].inputs if source.task}
    return sorted(context.plan.index[name] for name in names)
