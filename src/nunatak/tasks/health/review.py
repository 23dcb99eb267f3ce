"""One look at the news: fold events into the board, decide on nodes that changed, and on those whose time is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple

from nunatak.tasks.health.board import RECENT, Board, K
from nunatak.tasks.health.drain import (
    FINE,
    OUT,
    POLICY,
    Health,
    Policy,
    Pool,
    Standing,
    Uniform,
    decide,
    probed,
    when_due,
)
from nunatak.tasks.health.events import Cause, Event
from nunatak.tasks.health.standout import NODES, Answer, Finding, Limits

H = Health


class Rules(NamedTuple):
    """What decides: when a node stands out, and what is done then."""

    limits: Limits = NODES
    policy: Policy = POLICY


RULES = Rules()


class Review(NamedTuple, Generic[K]):
    """Standings that changed, in order of key, and nodes that stand out but were left in, because too many are out.

    A standing equal to `FINE` need not be kept.
    """

    changed: dict[K, Standing]
    spared: dict[K, Finding]


def review(
    board: Board[K],
    standings: Mapping[K, Standing],
    news: Iterable[tuple[K, Event]],
    now: float,
    uniform: Uniform,
    rules: Rules = RULES,
) -> Review[K]:
    """Take the news and decide. `standings` has all nodes that are not simply fine; the board is changed.

    The cost is that of the news and of the nodes that are not fine; if one of them may have to go, all are counted once.
    """
    faulty, results = _take(board, standings, news)
    changed: dict[K, Standing] = {}
    for key, well in sorted(results.items()):
        changed[key] = probed(standings[key], well, now, uniform(), rules.policy)
        if changed[key].health is H.FINE:
            board.forgive(key)
    suspects = {key for key, standing in standings.items() if standing.health is H.SUSPECT}
    spared = _judge(board, standings, changed, faulty | suspects, now, uniform, rules)
    for key, standing in sorted(standings.items()):
        if key not in changed:
            after = when_due(standing, now, rules.policy)
            if after is not standing:
                changed[key] = after
                if after.health is H.FINE:
                    board.forgive(key)
    return Review(dict(sorted(changed.items())), spared)


def excluded(standings: Mapping[K, Standing]) -> tuple[list[K], list[K]]:
    """Return who gets no new work, and who gets one task at a time; in order."""
    out = sorted(key for key, standing in standings.items() if standing.health in OUT)
    return out, sorted(key for key, standing in standings.items() if standing.health is H.PROBING)


def _take(
    board: Board[K], standings: Mapping[K, Standing], news: Iterable[tuple[K, Event]]
) -> tuple[set[K], dict[K, bool]]:
    """Fold the news; returns who had faults, and how probes ended.

    What still ends on a drained node was begun before: it says nothing new. A probe is what began to run after it did.
    """
    faulty: set[K] = set()
    results: dict[K, bool] = {}
    for key, event in news:
        health = standings.get(key, FINE).health
        if health is H.PROBING:
            counts = event.cause is Cause.OK or event.cause in board.against
            if counts and event.began >= standings[key].since:
                results[key] = results.get(key, True) and event.cause is Cause.OK
        elif health is not H.DRAINED and board.take(key, event):
            faulty.add(key)
    return faulty, results


def _judge(
    board: Board[K],
    standings: Mapping[K, Standing],
    changed: dict[K, Standing],
    keys: set[K],
    now: float,
    uniform: Uniform,
    rules: Rules,
) -> dict[K, Finding]:
    """Decide on some nodes, the worst first, adding to `changed`. Returns those that stand out and were left in."""
    findings = [(board.finding(key, now, rules.limits), key) for key in sorted(keys)]
    serious = [
        item for item in findings if item[0].answer is not Answer.LIKE_OTHERS or standings.get(item[1], FINE) != FINE
    ]
    if not serious:
        return {}
    away = {key for key, standing in {**standings, **changed}.items() if standing.health is not H.FINE}
    known = board.known(now - RECENT, away)
    out = Counter(board.groups(key)[0] for key in away)
    spared: dict[K, Finding] = {}
    for finding, key in sorted(serious, key=lambda item: (-item[0].odds, item[1])):
        before, group = standings.get(key, FINE), board.groups(key)[0]
        pool = Pool(known[group], out[group] - (key in away))
        after = decide(before, finding, pool, now, uniform(), rules.policy)
        out[group] += (after.health is not H.FINE) - (before.health is not H.FINE)
        if after.health is H.DRAINED:
            board.hush(key)
        if after is not before:
            changed[key] = after
        elif finding.answer is Answer.STANDS_OUT and not before.by:
            spared[key] = finding
    return spared
