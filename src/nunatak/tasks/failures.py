"""Failures grouped by what they have in common, kept as they come; a dataset whose tasks all fail alike is held."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from nunatak.core.work import Outcome
from nunatak.datasets import store as datasets_store
from nunatak.datasets.progress import Moves
from nunatak.db.statement import Row
from nunatak.tasks import store
from nunatak.tasks.judging import Judged, Key
from nunatak.tasks.verdicts.advice import general
from nunatak.tasks.verdicts.dataset import hold_dataset
from nunatak.tasks.verdicts.kinds import Action, Kind
from nunatak.tasks.verdicts.model import Verdict
from nunatak.tasks.verdicts.top import Top
from nunatak.tasks.verdicts.treatments import BADPUT_ONLY, FAULTS

Group = tuple[int, str]  # dataset, signature
MOST = 500
"""Groups that are kept of a dataset; what is beyond is counted as one."""
BEYOND = ("", "many different errors")
INNOCENT = BADPUT_ONLY | FAULTS
"""Kinds that say nothing against a dataset."""


def note(
    tx: Connection, judged: Judged, closed: Mapping[Key, Row], ended: Mapping[Key, Outcome], moves: Moves, now: float
) -> None:
    """Count the attempts that were closed and did not go well, and hold datasets whose tasks fail alike."""
    failed = {key: row for key, row in closed.items() if key in judged.before}
    if not failed:
        return
    known = _known(tx, judged, failed)
    groups: dict[Group, list[Key]] = defaultdict(list)
    for key in sorted(failed):
        groups[_group(key, judged.verdicts[key], known)].append(key)
    rows = [_row(group, keys, judged, failed, ended, known.get(group), now) for group, keys in sorted(groups.items())]
    _hold_by_verdict(judged, failed, moves)
    _hold_by_share(tx, store.MOVE_GROUPS(tx, v=rows), judged, moves)


def _known(tx: Connection, judged: Judged, failed: Iterable[Key]) -> dict[Group, Row | None]:
    """Return the groups there are; None for one that would be one too many."""
    wanted = sorted({(key[0], judged.verdicts[key].signature) for key in failed})
    found: dict[Group, Row | None] = {(r.dataset, r.signature): r for r in store.GROUPS_OF(tx, v=wanted)}
    missing = [group for group in wanted if group not in found]
    room = {dataset: MOST - store.COUNT_GROUPS(tx, dataset=dataset)[0].n for dataset in {group[0] for group in missing}}
    for group in missing:
        room[group[0]] -= 1
        if room[group[0]] < 0:
            found[group] = None
    return found


def _group(key: Key, verdict: Verdict, known: Mapping[Group, Row | None]) -> Group:
    group = (key[0], verdict.signature)
    return (key[0], BEYOND[0]) if group in known and known[group] is None else group


def _row(
    group: Group,
    keys: list[Key],
    judged: Judged,
    failed: Mapping[Key, Row],
    ended: Mapping[Key, Outcome],
    old: Row | None,
    now: float,
) -> tuple[Any, ...]:
    assert judged.pool is not None
    latest = keys[-1]
    verdict = judged.verdicts[latest]
    new = {key[:3] for key in keys if not _seen(judged, key)}
    sites = _top(old.sites if old else None, (judged.pool.sites.get(failed[key].engine, "") for key in keys))
    nodes = _top(old.nodes if old else None, (ended[key].host or failed[key].host or "" for key in keys))
    pattern = verdict.pattern if group[1] else BEYOND[1]
    lines = json.dumps(verdict.lines) if verdict.lines else None
    advice = verdict.advice or ("" if verdict.kind in INNOCENT else general(verdict.kind, ended[latest].address))
    return (
        *group, verdict.kind, pattern, len(keys), len(new), now, now, *latest[1:4], verdict.sentence, advice,
        lines, sites, nodes,
    )  # fmt: skip


def _seen(judged: Judged, key: Key) -> bool:
    """Tell whether an earlier try of the task ended the same way."""
    signature = judged.verdicts[key].signature
    return any(past.signature == signature for past in judged.before[key].attempts)


def _top(kept: str | None, names: Iterable[str]) -> str:
    """Return the most frequent names with their counts as JSON, with more names counted in."""
    plain = json.loads(kept) if kept else {}
    top = Top(counts=dict(plain.get("counts", {})), error=dict(plain.get("error", {})), more=plain.get("more", False))
    for name, n in sorted(Counter(names).items()):
        top.add(name, n)
    return json.dumps({"counts": top.counts, "error": top.error, "more": top.more})


def _hold_by_verdict(judged: Judged, failed: Iterable[Key], moves: Moves) -> None:
    for key in failed:
        if judged.verdicts[key].action is Action.HOLD_DATASET:
            moves.hold(key[0], judged.verdicts[key].message)


def _hold_by_share(tx: Connection, groups: Iterable[Row], judged: Judged, moves: Moves) -> None:
    """Hold datasets of which too many tasks failed alike: on several nodes, unless there is only one."""
    assert judged.pool is not None
    alone = judged.pool.nodes == 1
    failing: dict[int, list[Row]] = defaultdict(list)
    raised = {(key[0], verdict.signature) for key, verdict in judged.verdicts.items() if verdict.shape is not None}
    for row in groups:
        places = len(json.loads(row.nodes)["counts"])
        if row.signature and Kind(row.kind) not in INNOCENT and (alone or places > 1):
            failing[row.dataset].append(row)
    for dataset, rows in sorted(failing.items()):
        if not hold_dataset(0, {row.signature: row.tasks for row in rows}):
            continue
        counts = datasets_store.TASK_COUNTS(tx, dataset=dataset)
        stuck = sum(row.failed + row.held for row in counts)
        worst = {f"{row.kind}: {row.pattern}": _failing(row, raised, stuck) for row in rows}
        reason = hold_dataset(sum(row.done for row in counts), worst)
        if reason:
            moves.hold(dataset, reason)


def _failing(row: Row, raised: Collection[Group], stuck: int) -> int:
    """Return how many tasks of a group count as failing: of those that are tried again with more, the ones that gave up."""
    tasks: int = row.tasks
    return min(tasks, stuck) if (row.dataset, row.signature) in raised else tasks
