"""The forms of answers about an address, and about what went wrong anywhere."""

from __future__ import annotations

from typing import Any

from nunatak.api.views.answers import View


class Status(View):
    """The status of a dataset, job, task or attempt."""

    address: str
    state: str


class Why(View):
    """Why something is as it is, in words."""

    address: str
    state: str
    sentence: str
    reasons: list[str]
    links: list[str] = []  # addresses in other datasets that it waits for


class Snapshot(View):
    """What a simulation of a dataset starts from; seconds and bytes. `jobs` are those not settled."""

    dataset: int
    name: str
    recipe: str
    state: str
    owner: str
    team: str
    priority: float
    jobs: int
    tasks: list[dict[str, Any]]
    engines: list[dict[str, Any]]
    half_lives: dict[str, float]
    others: list[dict[str, Any]]
    others_left_out: int
    shares: list[dict[str, Any]]


class LogText(View):
    """Part of a log: `text` from position `offset` of `total`; ask on from `next`."""

    address: str
    stream: str
    offset: int
    next: int
    total: int
    complete: bool
    text: str


class ErrorsAcross(View):
    """Failures of several datasets by what they have in common; `at` of an item counts attempts at each of `sites`.

    `left_out`: the oldest were not looked at.
    """

    items: list[dict[str, Any]]
    sites: list[str]
    more_sites: bool
    signatures: int
    attempts: int
    tasks: int
    left_out: bool
