"""What a shell offers for a word that is being typed: addresses from the server, words of which there are few."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nunatak.core.states import Derived, TaskState

if TYPE_CHECKING:
    from nunatak.client import Client

MOST = 50
"""Datasets that are offered, the newest."""
Offers = list[tuple[str, str]]


def addresses(incomplete: str) -> Offers:
    """Offer datasets by their numbers, then what is below one: tasks done once, a job, its tasks. Nothing if no server answers."""
    try:
        from nunatak.client import Client

        with Client(patience=0.0) as client:
            return _addresses(client, incomplete)
    except Exception:  # noqa: BLE001 - whoever types is not to be disturbed, whatever is wrong
        return []


def _addresses(client: Client, incomplete: str) -> Offers:
    parts = incomplete.split("/")
    if len(parts) == 1:
        found = [(str(one.dataset), f"{one.name}, {one.state}") for one in client.datasets(limit=MOST)]
        return _beginning(incomplete, found)
    plan = client.recipe(parts[0])["plan"]["tasks"]
    once = [task["name"] for task in plan if task.get("once")]
    if len(parts) == 2:
        offers = [(f"{parts[0]}/{name}", "done once a dataset") for name in once]
        return _beginning(incomplete, [(f"{parts[0]}/0", "the first job"), *offers])
    head = "/".join(parts[:2])
    return _beginning(incomplete, [(f"{head}/{task['name']}", "") for task in plan if task["name"] not in once])


def _beginning(incomplete: str, offers: Iterable[tuple[str, str]]) -> Offers:
    return [offer for offer in offers if offer[0].startswith(incomplete)]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what offers some words."""

    def offered(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return offered


dataset_states = one_of(*Derived)
task_states = one_of(*TaskState)
