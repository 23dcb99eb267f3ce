"""Hold what is asked for against what a cluster has and allows: which queues could take it, what is free. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from nunatak.core.work import Shape
from nunatak.engines.batch.model import Cluster, Node, Queue
from nunatak.engines.slots import excess

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Terms:
    """What an installation adds to what a cluster says: queues it may use (() = those open to all), margins and promises.

    `memory` bytes and `time` seconds are asked for beyond what an attempt asks for: for the worker itself, and for staging.
    """

    queues: tuple[str, ...] = ()
    memory: int = 0
    time: int = 0
    disk: int = 10**15
    features: tuple[str, ...] = ()
    platform: str = ""

    def request(self, shape: Shape) -> Shape:
        """Return what is asked of the batch system for an attempt; memory in whole MiB, which is how they count."""
        memory = -(-(shape.memory + self.memory) // MIB) * MIB
        return replace(shape, memory=memory, time=shape.time + self.time)


def queues_for(shape: Shape, cluster: Cluster, terms: Terms, without: Container[str] = ()) -> tuple[str, ...]:
    """Return the queues in which a request, margins included, could start some day on a node not in `without`.

    Where the installation names its queues these are all that fit; else the default one if it fits, then the others.
    """
    fitting = [
        queue
        for queue in _allowed(cluster, terms)
        if any(_takes(shape, *pair, terms) for pair in _pairs(queue, cluster) if pair[0].name not in without)
    ]
    default = [queue for queue in fitting if queue.default]
    return tuple(queue.name for queue in (default if default and not terms.queues else fitting))


def destination(
    shape: Shape, cluster: Cluster, terms: Terms, avoid: Iterable[str], drained: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return queues for a request and the nodes it is kept from; no queues if all that could take it are drained.

    Nodes to avoid are avoided where that leaves any; a batch system refuses what excludes every node.
    """
    names = known({*avoid, *drained}, cluster)
    queues = queues_for(shape, cluster, terms, names)
    if not queues:
        names = known(drained, cluster)
        queues = queues_for(shape, cluster, terms, names)
    return queues, names


def largest(cluster: Cluster, terms: Terms) -> Shape:
    """Return what one attempt may ask for at most: the largest of each over nodes and queues, less the margins."""
    return _most([_room(node, queue, terms, free=False) for node, queue in _all(cluster, terms)], terms)


def free(cluster: Cluster, terms: Terms) -> Shape:
    """Return what one attempt that asks for the most may find free now."""
    rooms = [_room(node, queue, terms, free=True) for node, queue in _all(cluster, terms) if node.usable]
    return replace(_most(rooms, terms), time=largest(cluster, terms).time)


def idle(cluster: Cluster, terms: Terms) -> int:
    """Return how many cores nobody uses."""
    nodes = {node.name: node for node, _ in _all(cluster, terms) if node.usable}
    return sum(max(0, node.cpu - node.cpu_taken) for node in nodes.values())


def taken(running: Iterable[tuple[str, Shape]]) -> Counter[tuple[str, str]]:
    """Return what attempts take, by node and resource; `running` are their nodes and shapes."""
    sums: Counter[tuple[str, str]] = Counter()
    for host, shape in running:
        sums.update({(host, "cpu"): shape.cpu, (host, "memory"): shape.memory, (host, "gpu"): shape.gpu})
    return sums


def since(cluster: Cluster, then: Counter[tuple[str, str]], now: Counter[tuple[str, str]]) -> Cluster:
    """Return a cluster as it is by what of ours began and ended since it was looked at."""

    def moved(node: Node) -> Node:
        cpu, memory, gpu = (now[node.name, what] - then[node.name, what] for what in ("cpu", "memory", "gpu"))
        if not (cpu or memory or gpu):
            return node
        return replace(
            node,
            cpu_taken=max(0, node.cpu_taken + cpu),
            memory_taken=max(0, node.memory_taken + memory),
            gpu_taken=max(0, node.gpu_taken + gpu),
        )

    return replace(cluster, nodes=tuple(map(moved, cluster.nodes)))


def why_not(shape: Shape, cluster: Cluster, terms: Terms) -> str:
    """Say in words why an attempt of this shape can never run here."""
    said = excess(shape, largest(cluster, terms))
    return said or "no queue and node has all of it together"


def known(names: Iterable[str], cluster: Cluster) -> tuple[str, ...]:
    """Return those names that are nodes of the cluster, sorted; a batch system refuses others."""
    return tuple(sorted({node.name for node in cluster.nodes} & set(names)))


def constraints(shape: Shape, cluster: Cluster) -> tuple[str, ...]:
    """Return the features that nodes have by name; others are promised by the installation for all nodes."""
    there = {feature for node in cluster.nodes for feature in node.features}
    return tuple(feature for feature in shape.features if feature in there)


def _allowed(cluster: Cluster, terms: Terms) -> list[Queue]:
    if not terms.queues:
        return [queue for queue in cluster.queues if queue.open]
    by_name = {queue.name: queue for queue in cluster.queues}
    return [by_name[name] for name in terms.queues if name in by_name]


def _pairs(queue: Queue, cluster: Cluster) -> list[tuple[Node, Queue]]:
    return [(node, queue) for node in cluster.nodes if queue.name in node.queues]


def _all(cluster: Cluster, terms: Terms) -> list[tuple[Node, Queue]]:
    return [pair for queue in _allowed(cluster, terms) for pair in _pairs(queue, cluster)]


def _room(node: Node, queue: Queue, terms: Terms, *, free: bool) -> Shape:
    """Return what an attempt finds on a node in a queue, when it is empty or now."""
    cpu, memory, gpu = node.cpu, node.memory, node.gpu
    if free:
        cpu, memory, gpu = cpu - node.cpu_taken, memory - node.memory_taken, gpu - node.gpu_taken
    cpu, memory = min(cpu, queue.cpu or cpu), min(memory, queue.memory or memory)
    return Shape(
        cpu=max(0, cpu),
        gpu=max(0, gpu),
        memory=max(0, memory - terms.memory),
        disk=terms.disk,
        time=max(0, (queue.time or 366 * 86400) - terms.time),
        platform=terms.platform or node.platform,
        features=(*node.features, *terms.features),
    )


def _takes(request: Shape, node: Node, queue: Queue, terms: Terms) -> bool:
    room = _room(node, queue, replace(terms, memory=0, time=0), free=False)
    return request.fits(room)


def _most(rooms: Sequence[Shape], terms: Terms) -> Shape:
    if not rooms:
        return Shape(0, 0, 0, terms.disk, 0, terms.platform, tuple(sorted(terms.features)))
    return Shape(
        cpu=max(room.cpu for room in rooms),
        gpu=max(room.gpu for room in rooms),
        memory=max(room.memory for room in rooms),
        disk=terms.disk,
        time=max(room.time for room in rooms),
        platform=next((room.platform for room in rooms if room.platform), ""),
        features=tuple(sorted({feature for room in rooms for feature in room.features})),
    )
