"""How much the health of nodes costs: an event, a decision, a sweep over 20,000 nodes, a minute of 100,000 events."""

from __future__ import annotations

import random
import sys
import time
import tracemalloc
from collections.abc import Callable

from bench.say import say
from nunatak.tasks.health.badput import Use, account
from nunatak.tasks.health.board import Board, nodes_board
from nunatak.tasks.health.drain import Health, Standing
from nunatak.tasks.health.events import Cause, Event, Node
from nunatak.tasks.health.review import review

NOW = 1_800_000_000.0
NODES = 20_000
EVENTS = 100_000


def timed(call: Callable[[], object]) -> float:
    """Return processor seconds of one call."""
    begin = time.process_time()
    call()
    return time.process_time() - begin


def minute(share: float, seed: int) -> list[tuple[Node, Event]]:
    """Return the events of a minute, of which a share are faults."""
    draw = random.Random(seed)
    nodes = [Node(f"site{number % 20}", f"node{number}") for number in range(NODES)]
    made = []
    for number in range(EVENTS):
        cause = Cause.NODE if draw.random() < share else Cause.OK
        at = NOW + 60 * number / EVENTS
        work = (draw.randrange(30), draw.randrange(2))
        made.append((draw.choice(nodes), Event(work, cause, at, at - 1, "exec format error", 1.0)))
    return made


def fold(board: Board[Node], news: list[tuple[Node, Event]]) -> None:
    """Take all events."""
    for key, event in news:
        board.take(key, event)


def count(news: list[tuple[Node, Event]]) -> None:
    """Count them by node and end: the least that any scoreboard does."""
    counts: dict[tuple[Node, bool], float] = {}
    for key, event in news:
        of = (key, event.cause is Cause.OK)
        counts[of] = counts.get(of, 0.0) + 1.0


def reviews(board: Board[Node], news: list[tuple[Node, Event]]) -> int:
    """Look at the news once a second; returns how many standings there are in the end."""
    standings: dict[Node, Standing] = {}
    step = EVENTS // 60
    for first in range(0, EVENTS, step):
        part = news[first : first + step]
        standings.update(review(board, standings, part, part[-1][1].at, lambda: 0.5).changed)
    return sum(standing.health is Health.DRAINED for standing in standings.values())


def main() -> None:
    """Measure and print."""
    usual, broken = minute(0.01, 1), minute(1.0, 2)
    tracemalloc.start()
    fold(nodes_board(NOW), usual[:1000])
    before = tracemalloc.get_traced_memory()[0]
    board = nodes_board(NOW)
    fold(board, usual)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    say("health: memory of 20,000 nodes", held / 1e6, "MB", "< 60")
    limit = EVENTS / timed(lambda: count(usual))
    say("health: events", EVENTS / timed(lambda: fold(nodes_board(NOW), usual)), "/s", ">= 20000", limit)
    for name, news in (("1 % faults", usual), ("every attempt a fault", broken)):
        fresh = nodes_board(NOW)
        seconds = timed(lambda fresh=fresh, news=news: reviews(fresh, news))  # type: ignore[misc]
        say(f"health: a minute of 100,000 events, {name}", seconds, "s", "< 12")
    now = NOW + 60
    looked = timed(lambda: [board.finding(key, now) for key in board.scores])
    say("health: sweep over 20,000 nodes, 1 % faults", 1000 * looked, "ms", "< 50")
    all_bad = nodes_board(NOW)
    fold(all_bad, broken)
    looked = timed(lambda: [all_bad.finding(key, now) for key in all_bad.scores])
    say("health: decisions, every node has faults", NODES / looked, "/s", ">= 5000")
    uses = [Use(event.work[0], key.site, event.cause, 1.0, 1.0) for key, event in usual]
    say("health: badput", EVENTS / timed(lambda: account(uses)), "/s", ">= 100000")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
