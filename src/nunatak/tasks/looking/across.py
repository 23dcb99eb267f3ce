"""Failures across datasets: kept groups with the same signature as one line, by site. The read model of the page of errors."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from nunatak.core.address import Address
from nunatak.core.clock import iso
from nunatak.db.statement import Row
from nunatak.tasks.context import Contexts
from nunatak.tasks.looking import across_store as store
from nunatak.tasks.looking.look import Plain, name_of
from nunatak.tasks.verdicts.advice import fill, general
from nunatak.tasks.verdicts.catalogue import CATALOGUE, WHOSE
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.treatments import TREATMENTS

MOST_READ = 500
"""Groups of single datasets that are read, the latest first: a page costs the same however many there are."""
MOST_LINES = 50
MOST_SITES = 8
MOST_DATASETS = 20


@dataclass(frozen=True, slots=True)
class Wish:
    """Which failures are wanted; "" and 0 are all."""

    owner: str = ""
    team: str = ""
    dataset: int = 0
    site: str = ""
    kind: str = ""
    signature: str = ""


def across(tx: Connection, contexts: Contexts, wish: Wish) -> Plain:
    """Return failures by signature, those with most tasks first, and how many attempts of each failed at which site.

    `sites` are those with most, each line counts `elsewhere` at others; `left_out`: older groups were not looked at.
    Counts of a site are those of the most frequent sites of each dataset.
    """
    rows = _chosen(tx, wish)
    found = [_Group(row) for row in rows[:MOST_READ]]
    if wish.site:
        found = [group for group in found if wish.site in group.sites]
    together: dict[str, list[_Group]] = defaultdict(list)
    for group in found:
        together[group.row.signature].append(group)
    most = sorted(together.items(), key=lambda item: (-sum(of.row.tasks for of in item[1]), item[0]))
    sites = _most(group.sites for group in found)
    shown = [of for _, of in most[:MOST_LINES]]
    known = contexts.of(tx, {of.row.dataset for groups in shown for of in groups[:MOST_DATASETS]}) if shown else {}
    names = [name for name, _ in sites.most_common(MOST_SITES)]
    if wish.site and wish.site not in names and found:
        names = [wish.site, *names[:-1]]
    return {
        "items": [_line(groups, known, names) for groups in shown],
        "sites": names,
        "more_sites": len(sites) > len(names),
        "signatures": len(together),
        "attempts": sum(group.row.attempts for group in found),
        "tasks": sum(group.row.tasks for group in found),
        "left_out": len(rows) > MOST_READ,
    }


def _chosen(tx: Connection, wish: Wish) -> Sequence[Row]:
    """Return one group more than is read, the latest first."""
    wanted = {"kind": wish.kind, "owner": wish.owner, "team": wish.team, "n": MOST_READ + 1}
    if wish.dataset:
        return store.OF_DATASET(tx, dataset=wish.dataset, signature=wish.signature, **wanted)
    return store.OF_SIGNATURE(tx, signature=wish.signature, **wanted) if wish.signature else store.LATEST(tx, **wanted)


class _Group:
    """A kept group with its places read; nodes only of those that are shown."""

    __slots__ = ("row", "sites")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.sites: dict[str, int] = orjson.loads(row.sites)["counts"]

    @property
    def nodes(self) -> dict[str, int]:
        """Return how many attempts failed on which node."""
        found: dict[str, int] = orjson.loads(self.row.nodes)["counts"]
        return found


def _most(places: Iterable[dict[str, int]]) -> Counter[str]:
    found: dict[str, int] = {}
    for counts in places:
        for name, n in counts.items():
            found[name] = found.get(name, 0) + n
    return Counter(found)


def _line(groups: Sequence[_Group], known: Any, names: Sequence[str]) -> Plain:
    """Return one signature; its groups come the latest first."""
    latest = groups[0].row
    sites = _most(group.sites for group in groups)
    example = name_of(known[latest.dataset], latest.job, latest.task, latest.attempt)
    by_tasks = sorted(groups[:MOST_DATASETS], key=lambda group: (-group.row.tasks, group.row.dataset))
    return {
        **entry(Kind(latest.kind), example),
        "signature": latest.signature,
        "pattern": latest.pattern,
        "message": latest.message,
        "attempts": sum(group.row.attempts for group in groups),
        "tasks": sum(group.row.tasks for group in groups),
        "first": iso(min(group.row.first_at for group in groups)),
        "last": iso(max(group.row.last_at for group in groups)),
        "example": example,
        "at": {name: sites[name] for name in names if sites[name]},
        "elsewhere": sum(n for name, n in sites.items() if name not in names),
        "nodes": dict(_most(group.nodes for group in groups).most_common(MOST_SITES)),
        "datasets": [_of_dataset(group.row, known) for group in by_tasks],
        "more_datasets": max(0, len(groups) - MOST_DATASETS),
    }


def _of_dataset(row: Row, known: Any) -> Plain:
    return {
        "address": str(Address(row.dataset)),
        "name": row.name,
        "owner": row.owner,
        "team": row.team,
        "attempts": row.attempts,
        "tasks": row.tasks,
        "last": iso(row.last_at),
        "example": name_of(known[row.dataset], row.job, row.task, row.attempt),
    }


def entry(kind: Kind, example: str) -> Plain:
    """Return what the catalogue says of a kind: what it means, whose move it is, what is done, what to do and to type."""
    said, advice = CATALOGUE[kind], general(kind, example)
    return {
        "id": said.id,
        "kind": str(kind),
        "title": said.title,
        "cause": said.cause,
        "does": said.does,
        "advice": advice[:1].upper() + advice[1:],
        "whose": WHOSE[TREATMENTS[kind].whose],
        "type": [fill(line, example) for line in said.type],
    }
