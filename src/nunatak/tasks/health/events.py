"""What is heard of attempts, as far as the health of nodes and sites is concerned."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Cause(StrEnum):
    """Why an attempt ended as it did, as far as nodes and sites are concerned."""

    BEGUN = "begun"  # it did not end, it began: the node is there
    OK = "ok"
    NODE = "node"  # a fault of the node, by its kind
    ELSEWHERE = (
        "elsewhere"  # it failed here, for no known fault of the node, and the same task went well elsewhere later
    )
    SITE = "site"  # software, storage or network of the site
    DATA = "data"  # an input
    USER = "user"  # the task itself
    FREE = "free"  # evicted, preempted, lost: nobody's fault
    OURS = "ours"  # Nunatak
    ASKED = "asked"  # a person cancelled or held it, or added jobs: it says nothing of anybody


AGAINST_NODE = frozenset({Cause.NODE, Cause.ELSEWHERE})
AGAINST_SITE = frozenset({Cause.NODE, Cause.ELSEWHERE, Cause.SITE})

Work = tuple[int, int]
"""What attempts are compared within: a dataset and the number of a task in its plan."""


class Node(NamedTuple):
    """A node; equal names at two sites are two nodes."""

    site: str
    name: str


class Event(NamedTuple):
    """One attempt ended (or began); times are the server's, `wall` is in seconds, `source` the node it ran on.

    `n` attempts of one work that went the same way may be told as one event.
    """

    work: Work
    cause: Cause
    at: float
    began: float = 0.0  # when it began to run, or was claimed if that is not known
    kind: str = ""  # of the fault, as it is said: 'exec format error'
    wall: float = 0.0
    source: str = ""
    n: int = 1
