"""What a site cannot do: pairs of a feature and a site where work fails that goes well at other sites.

A pair is judged like a node and has the same standings: `drained` means that work with this feature is not sent there.
It is compared with the same feature at other sites in the same work, so that a bug of a dataset blames no site.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from nunatak.tasks.health.board import Board
from nunatak.tasks.health.drain import OUT, Policy, Standing
from nunatak.tasks.health.events import AGAINST_SITE, Cause, Event, Node
from nunatak.tasks.health.review import Rules
from nunatak.tasks.health.standout import PAIRS
from nunatak.tasks.health.window import MEMORY, Memory

PLAIN = ""
"""The feature that all work has: what fails so does not work at the site at all."""


class Pair(NamedTuple):
    """A feature at a site."""

    feature: str
    site: str


FEATURE_RULES = Rules(PAIRS, Policy(first=3600.0, share=0.5))
"""Sites are tried again more slowly than nodes; at most half of those that have a feature are given up."""


def pairs_board(now: float, memory: Memory = MEMORY) -> Board[Pair]:
    """Return a board of pairs, each compared with the same feature at other sites."""
    return Board(lambda pair: (pair[0],), now, AGAINST_SITE, memory)


def pairs_of(features: Iterable[str], node: Node, event: Event) -> Iterator[tuple[Pair, Event]]:
    """Return what an attempt on a node says of the features its task asks for.

    A success speaks for all of them and for plain work, a fault against all of them (the next success without the guilty
    one tells them apart); a fault falls on plain work only if the task asks for nothing.
    """
    heard, asked = event._replace(source=node.name), sorted(set(features) - {PLAIN})
    for feature in (PLAIN, *asked) if event.cause is Cause.OK or not asked else asked:
        yield Pair(feature, node.site), heard


def lacking(standings: Mapping[Pair, Standing]) -> dict[str, list[str]]:
    """Return by site the features that fail there, in order."""
    by_site: dict[str, list[str]] = {}
    for pair, standing in sorted(standings.items()):
        if standing.health in OUT:
            by_site.setdefault(pair.site, []).append(pair.feature)
    return by_site
