"""What an installation says of a batch system that is not asked what it has: one kind of node in every queue. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nunatak.core.work import Shape
from nunatak.engines.batch.dialect import Ask, nothing
from nunatak.engines.batch.model import Cluster, Job, Node, Queue

MIB = 1024 * 1024
ANY = "any"
"""The name of the queue where none is given: the batch system's own choice."""


def cluster(most: Shape, queues: Sequence[str], array: int, history: str = "") -> Ask[Cluster]:
    """Return a question without commands whose answer is made of options; `most` is what one attempt may ask for."""
    names = tuple(queues) or (ANY,)
    node = Node("", most.cpu, most.memory, most.gpu, platform=most.platform, queues=names)
    found = Cluster((node,), tuple(Queue(name, time=most.time) for name in names), array, history)
    return Ask((), lambda _answers: found)


class Plain:
    """What dialects have in common whose batch system keeps no list of nodes, and signals all processes of a job at once."""

    _most: Shape
    _queues: Sequence[str]

    def skip(self, _jobs: Sequence[Job]) -> Ask[None]:
        """It signals all processes of a job, so that no series are run."""
        return Ask((), nothing)

    def avoid(self, _ids: Sequence[str], _nodes: Sequence[str]) -> Ask[None]:
        """What waits is left where it is."""
        return Ask((), nothing)

    def cluster(self) -> Ask[Cluster]:
        """Return what the installation says there is."""
        return cluster(self._most, self._queues, 1000)


def queue(queues: Sequence[str]) -> str:
    """Return the one queue that is asked for; these systems take no list."""
    return next((name for name in queues if name != ANY), "")


def head(sign: str, options: Iterable[tuple[str, str]]) -> str:
    """Return the head of a script: one option a line, those without a value left out."""
    lines = [" ".join((sign, *filter(None, (name, _one_line(value))))) for name, value in options if value]
    return "\n".join(["#!/bin/sh", *lines])


def clock(seconds: int) -> str:
    """Return seconds as `H:MM:SS`."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def mebibytes(memory: int) -> int:
    """Return bytes in whole MiB, rounded up."""
    return max(1, -(-memory // MIB))


def _one_line(value: str) -> str:
    return " ".join(value.splitlines())
