"""When a dataset will be done: reads what is left, how long tasks took and the slots it has; `learning.eta` says when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from nunatak.core.clock import iso
from nunatak.core.units import count_text
from nunatak.db.statement import Statement
from nunatak.tasks import lessons, offers
from nunatak.tasks.choosing import Rules, stand, uses, wanted
from nunatak.tasks.context import Context, Contexts, shape_for
from nunatak.tasks.learning.eta import Eta, Work, eta
from nunatak.tasks.learning.evidence import Evidence
from nunatak.tasks.learning.tails import Running
from nunatak.tasks.looking import following_look
from nunatak.tasks.sharing.fits import Fits
from nunatak.tasks.sharing.match import match
from nunatak.tasks.sharing.standing import standing
from nunatak.tasks.standings import excluded

SAMPLE = 100
"""Running attempts whose ages are read from each end of the list: it may be fifty thousand long."""
_AGES = (
    "SELECT * FROM (SELECT task, started FROM tasks WHERE dataset = :dataset AND state = 'running'"
    " ORDER BY job {way}, task {way} LIMIT :{n}) AS {n}"
)
AGES = Statement(f"{_AGES.format(way='ASC', n='first')} UNION ALL {_AGES.format(way='DESC', n='last')}")

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outlook:
    """A range in which it is done, or why there is none; `stuck` tasks need a person and are not counted."""

    eta: Eta | None
    text: str
    stuck: int = 0

    def to_plain(self, now: float) -> dict[str, Any]:
        """Return it as a status shows it: seconds from now, and the times of day."""
        found = {} if self.eta is None else {name: getattr(self.eta, name) for name in ("low", "middle", "high")}
        at = {f"{name}_at": iso(now + seconds) for name, seconds in found.items()}
        return {"text": self.text, "stuck": self.stuck, **found, **at}


def outlook(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    plain: Mapping[str, Any],
    rules: Rules,
    now: float,
    evidence: Mapping[int, Evidence] | None = None,
) -> Outlook:
    """Return when a dataset is done, given its status; `evidence` is what was seen of its tasks, if it was read already."""
    counts = _by_number(context, plain)
    needy, lost = stuck(context, plain)
    left = sum(sum(c[state] for state in ("waiting", "ready", "queued", "running")) for c in counts.values())
    left -= sum(lost.values())
    if plain["state"] == "done":
        return Outlook(None, "all is done")
    if plain["held"] and not (plain["tasks"]["running"] or plain["tasks"]["queued"]):
        return Outlook(None, "it is held: no time can be told until it is released", needy)
    if left <= 0:
        who = count_text(needy, "task failed or is held and needs", "tasks failed or are held and need")
        return Outlook(None, f"nothing goes on by itself: {who} you", needy)
    others = [str(item.follow) for item in following_look.of_dataset(tx, context) if not item.open]
    if others and not any(plain["tasks"][state] for state in ("ready", "queued", "running")):
        return Outlook(None, f"no time can be told: it waits for {', '.join(others)}", needy)
    evidence = lessons.evidence_of(tx, context.dataset) if evidence is None else evidence
    slots = _slots(tx, contexts, context, counts, evidence, rules, now)
    if slots <= 0:
        return Outlook(None, "no time can be told: no engine that is running could take what is ready", needy)
    found = eta(_work(tx, context, counts, lost, evidence, now), slots)
    if found is None:
        return Outlook(None, "no time can be told: nothing that is left can go on yet", needy)
    rest = f"; without the {needy} that failed or are held, and what waits for them" if needy else ""
    rest += f"; if {', '.join(others)} is done in time" if others else ""
    return Outlook(found, found.text + rest, needy)


def _by_number(context: Context, plain: Mapping[str, Any]) -> dict[int, Counts]:
    return {n: plain["per_task"][task.name] for n, task in enumerate(context.plan.tasks)}


def stuck(context: Context, plain: Mapping[str, Any]) -> tuple[int, dict[int, int]]:
    """Return how many tasks need a person, and by task how many wait for those: at most one for each, all if it gathers."""
    counts = _by_number(context, plain)
    needy = {number: c["failed"] + c["held"] for number, c in counts.items()}
    above: dict[int, set[int]] = {}
    for number in range(len(counts)):
        parents = context.plan.parents[number]
        above[number] = set(parents).union(*(above[parent] for parent in parents))
    lost = {}
    for number, c in counts.items():
        blocked = sum(needy[parent] for parent in above[number])
        opens = any(needy[parent] and context.plan.tasks[parent].once for parent in above[number])
        whole = blocked and (opens or context.plan.tasks[number].once)
        lost[number] = c["waiting"] if whole else min(c["waiting"], blocked)
    return sum(needy.values()), lost


def _work(
    tx: Connection,
    context: Context,
    counts: Mapping[int, Counts],
    lost: Mapping[int, int],
    evidence: Mapping[int, Evidence],
    now: float,
) -> list[Work]:
    ages = _ages(tx, context.dataset, counts, now)
    work = []
    for number, task in enumerate(context.plan.tasks):
        c, seen = counts[number], evidence.get(number, Evidence())
        running = _running(ages[number], c["running"], seen)
        work.append(
            Work(
                task.name,
                tuple(context.plan.parents[number]),
                task.once,
                waiting=c["waiting"] - lost[number],
                ready=c["ready"] + c["queued"],
                running=running,
                took=seen.time.used,
                asked=float(shape_for(context, number).time),
            )
        )
    return work


def _ages(tx: Connection, dataset: int, counts: Mapping[int, Counts], now: float) -> dict[int, list[float]]:
    """Read the ages of some running attempts, of the first and of the last jobs."""
    found: dict[int, list[float]] = defaultdict(list)
    running = sum(c["running"] for c in counts.values())
    first, last = (2 * SAMPLE, 0) if running <= 2 * SAMPLE else (SAMPLE, SAMPLE)
    for row in AGES(tx, dataset=dataset, first=first, last=last) if running else ():
        found[row.task].append(max(0.0, now - (row.started or now)))
    return found


def _running(ages: Sequence[float], n: int, seen: Evidence) -> tuple[Running, ...]:
    """Let each sampled attempt stand for as many as there are; where none was sampled, half of the usual time passed."""
    if not n:
        return ()
    if not ages:
        return (Running(seen.time.used.quantile(0.5) / 2 if seen.time.used.count else 0.0, n),)
    each, more = divmod(n, len(ages))
    weighted = [Running(age, each + (index < more)) for index, age in enumerate(sorted(ages))]
    return tuple(item for item in weighted if item.n)


def _slots(
    tx: Connection,
    contexts: Contexts,
    context: Context,
    counts: Mapping[int, Counts],
    evidence: Mapping[int, Evidence],
    rules: Rules,
    now: float,
) -> float:
    """Return how many tasks can run at once: as many as do, or before that is settled its part of the slots that match."""
    running = sum(c["running"] for c in counts.values())
    settled = any(seen.finished for seen in evidence.values())
    hungry = [number for number, c in counts.items() if c["ready"]]
    if running and (settled or not hungry):
        return float(running)
    engines = offers.alive(tx, now)
    out = excluded(tx, now, len(engines))
    wants = wanted(tx, contexts, rules, now)
    positions = stand(tx, wants, uses(tx, contexts, rules, now), rules, now)
    best = 0.0
    for number in hungry or [n for n, c in counts.items() if c["queued"] or c["waiting"]]:
        shape = shape_for(context, number)
        places = offers.offers_for(engines, shape, out)
        slots = match(shape, places).slots
        rivals = Fits().rivals(context.base[number], places, positions.bits, wants.shapes)
        found = standing(positions, context.dataset, rivals)
        best = max(best, slots * (found.part if found else 1 / (len(positions.paths) + 1)))
    return max(best, float(running))
