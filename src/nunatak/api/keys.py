"""Attempts as engines name them (address and lease as text) to the keys the database knows, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import NotFound
from nunatak.tasks import fleet
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.judging import Key

LARGEST = 2**63
_FORM = re.compile(r"([1-9][0-9]{0,8})(?:/([0-9]{1,9}))?/([^/#]*)#([1-9][0-9]{0,8})\Z").match


class Attempts:
    """Translates the attempts of one batch; those of datasets or tasks that are not there have no key."""

    def __init__(self, tx: Connection, contexts: Contexts, texts: Iterable[str]) -> None:
        """Read what is known of the datasets that occur."""
        self._parts = {text: _attempt(text) for text in texts}
        datasets = {parts[0] for parts in self._parts.values() if parts is not None}
        self._known = _contexts(tx, contexts, datasets)

    def key(self, item: Mapping[str, Any]) -> Key | None:
        """Return the key of `item["address"]` with `item["lease"]`; None for what cannot be one of ours."""
        parts, lease = self._parts[item["address"]], int(item["lease"], 16)
        if parts is None or lease >= LARGEST:
            return None
        dataset, job, task, attempt = parts
        context = self._known.get(dataset)
        number = context.plan.index.get(task) if context is not None else None
        return None if number is None else (dataset, job, number, attempt, lease)


def _attempt(text: str) -> tuple[int, int, str, int] | None:
    """Read the address of an attempt: what `core.address.parse` does, faster, as the name is looked up anyway."""
    found = _FORM(text)
    if found is None:
        return None
    dataset, job, task, attempt = found.groups()
    return int(dataset), ONCE if job is None else int(job), task, int(attempt)


def _contexts(tx: Connection, contexts: Contexts, datasets: set[int]) -> dict[int, Context]:
    try:
        return contexts.of(tx, datasets)
    except NotFound:
        known = {}
        for dataset in datasets:
            try:
                known[dataset] = contexts.one(tx, dataset)
            except NotFound:
                continue
        return known


def texts(tx: Connection, contexts: Contexts, keys: Iterable[Key]) -> list[dict[str, str]]:
    """Return attempts as address and lease."""
    listed = list(keys)
    known = contexts.of(tx, {key[0] for key in listed}) if listed else {}
    return [text(known[key[0]], *key[1:]) for key in listed]


def own(tx: Connection, contexts: Contexts, engine: int, addresses: Sequence[Address]) -> list[dict[str, str]]:
    """Return those of some attempts that are an engine's, as address and lease."""
    asked = [{"address": str(address), "lease": "0"} for address in addresses]
    attempts = Attempts(tx, contexts, [item["address"] for item in asked])
    found = [key[:4] for item in asked if (key := attempts.key(item)) is not None]
    return texts(tx, contexts, sorted(fleet.attempts_of(tx, engine, found)))


def text(context: Context, job: int, task: int, attempt: int, lease: int) -> dict[str, str]:
    """Return one attempt as address and lease."""
    middle = "" if job == ONCE else f"/{job}"
    return {"address": f"{context.dataset}{middle}/{context.plan.tasks[task].name}#{attempt}", "lease": f"{lease:x}"}
