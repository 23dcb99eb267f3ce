"""From what reports told to events of nodes and of features at sites, in order. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from nunatak.tasks.health.causes import CAUSES, said
from nunatak.tasks.health.events import Cause, Event, Node
from nunatak.tasks.health.features import Pair, pairs_of
from nunatak.tasks.health.news import Line, Read
from nunatak.tasks.verdicts.hindsight import blamed
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import History, Past

K = TypeVar("K", Node, Pair)


class Known(NamedTuple):
    """What lines leave out: the sites of engines and the features of shapes, by number."""

    sites: Mapping[int, str]
    features: Mapping[int, tuple[str, ...]]


class Try(NamedTuple):
    """A try of a task that went well later on `well`; it says something if it failed on another node."""

    well: Node
    node: Node
    work: tuple[int, int]
    shape: int
    kind: Kind
    began: float
    wall: float


def heard(news: Iterable[Read], known: Known) -> Iterator[tuple[Node, Event, tuple[str, ...]]]:
    """Return what is said of nodes, with the features that were asked for; engines that are gone say nothing."""
    for told in news:
        for engine, host in told.begun:
            if engine in known.sites:
                yield Node(known.sites[engine], host), Event((-1, -1), Cause.BEGUN, told.at), ()
        for line in told.lines:
            if line.engine in known.sites:
                yield (
                    Node(known.sites[line.engine], line.host),
                    _event(line, told.at),
                    known.features.get(line.shape, ()),
                )


def _event(line: Line, at: float) -> Event:
    cause = CAUSES[line.kind]
    kind = "" if cause is Cause.OK else said(line.kind)
    return Event((line.dataset, line.task), cause, at, line.began, kind, line.wall / line.n, line.host, line.n)


def in_hindsight(
    tries: Iterable[Try], features: Mapping[int, tuple[str, ...]], at: float
) -> Iterator[tuple[Node, Event, tuple[str, ...]]]:
    """Return what tries say of their nodes now that the task went well elsewhere."""
    for one in tries:
        past = Past(one.kind, node=f"{one.node.site}/{one.node.name}")  # equal names at two sites are two nodes
        if one.node.name and blamed(History(attempts=(past,)), f"{one.well.site}/{one.well.name}"):
            event = Event(one.work, Cause.ELSEWHERE, at, one.began, said(one.kind), one.wall, one.node.name)
            yield one.node, event, features.get(one.shape, ())


def of_nodes(events: Iterable[tuple[Node, Event, tuple[str, ...]]], apart: Container[Node]) -> list[tuple[Node, Event]]:
    """Return events by node, equal successes in a row told as one, but not of the nodes that are looked at closely."""
    return _packed(((node, event) for node, event, _ in events), apart)


def of_pairs(events: Iterable[tuple[Node, Event, tuple[str, ...]]], apart: Container[Pair]) -> list[tuple[Pair, Event]]:
    """Return events by pair of feature and site, likewise."""
    ended = (item for item in events if item[1].cause is not Cause.BEGUN)
    return _packed((one for node, event, features in ended for one in pairs_of(features, node, event)), apart)


def _packed(events: Iterable[tuple[K, Event]], apart: Container[K]) -> list[tuple[K, Event]]:
    packed: list[tuple[K, Event]] = []
    last: dict[K, int] = {}
    for key, event in events:
        place = last.get(key)
        if place is not None and event.cause in (Cause.OK, Cause.BEGUN) and key not in apart:
            before = packed[place][1]
            if before.cause is event.cause and before.work == event.work:
                packed[place] = (key, before._replace(at=max(before.at, event.at), n=before.n + event.n))
                continue
        last[key] = len(packed)
        packed.append((key, event))
    return packed
