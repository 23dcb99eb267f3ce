"""What has to hold before a task runs, as a checklist: each condition, whether it holds, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from nunatak.core.address import Address
from nunatak.core.states import TaskState
from nunatak.core.work import Shape
from nunatak.datasets import store as datasets_store
from nunatak.tasks.choosing import Rules
from nunatak.tasks.context import Context, Contexts
from nunatak.tasks.looking import following_look, waiting
from nunatak.tasks.looking.explain import unfinished_parents
from nunatak.tasks.looking.hindrance import Hindrance, What
from nunatak.tasks.looking.look import Plain, locate, task_status
from nunatak.tasks.looking.scenes import scene_for

S = TaskState
TAKEN = frozenset({S.QUEUED, S.RUNNING, S.DONE})
BEGUN = frozenset({S.RUNNING, S.DONE})
STOPPED = frozenset({S.HELD, S.FAILED})
OF_SLOTS = (
    (What.NO_PLACE, "an engine has slots that could take it"),
    (What.CAP, "no cap of an operator stops it"),
    (What.PROBE, "no first try has to end before"),
    (What.FULL, "there is room, and it is its turn"),
)
"""What is asked of ready tasks only, in the order in which it stops them."""


class Condition(NamedTuple):
    """One line of the checklist; `holds` is None while it is too early to say."""

    name: str
    holds: bool | None
    texts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()  # addresses to look at

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return {"name": self.name, "holds": self.holds, "texts": list(self.texts), "links": list(self.links)}


def checklist(
    tx: Connection, contexts: Contexts, context: Context, address: Address, now: float, rules: Rules
) -> list[Plain]:
    """Return the conditions of a task, in the order in which they come to hold. Raises `NotFound` for what is not there."""
    plain = task_status(tx, contexts, context, address, now)
    found: list[Hindrance] = []
    if plain["state"] == S.READY:
        shape = Shape.from_plain(plain["shape"]) if plain["shape"] else None
        scene = scene_for(tx, contexts, context.dataset, rules, now)
        found = waiting.of_task(scene, context, locate(context, address)[1], shape)
    head = datasets_store.DATASET(tx, dataset=context.dataset)[0]
    parents = unfinished_parents(tx, context, address) if plain["state"] == S.WAITING else []
    links = [item.address for item in following_look.of_task(tx, context, *locate(context, address)) if not item.done]
    held = head.reason or "it is held" if head.held else ""
    return [item.to_plain() for item in conditions(plain, held, parents, found, links)]


def conditions(
    task: Plain, held: str, parents: Sequence[str], found: Sequence[Hindrance], links: Sequence[str] = ()
) -> Iterator[Condition]:
    """Yield the conditions of a task (see `look.task_status`); `found` is what hinders it if it is ready. Pure.

    `links` are the addresses in other datasets that it waits for.
    """
    state = task["state"]
    ready = state == S.READY
    yield Condition("its dataset is not held", not held, (held,) if held else ())
    yield Condition("the tasks before it are done", state != S.WAITING, tuple(parents), tuple(links))
    stopped = state in STOPPED
    yield Condition("it needs no person", not stopped, (str(task["reason"] or f"it is {state}"),) if stopped else ())
    later = task["not_before"]
    again = f"it is tried again at {later}: {task['reason']}" if later else ""
    yield Condition("it need not wait before its next try", not later, (again,) if later else ())
    said = {item.what: item.texts for item in found}
    for what, name in OF_SLOTS:
        holds = True if state in TAKEN else what not in said if ready else None
        yield Condition(name, None if what is What.FULL and holds and ready else holds, said.get(what, ()))
    engine = f"engine {task['engine']} has it" if state == S.QUEUED else ""
    yield Condition(
        "an engine has it", state in TAKEN if state in TAKEN or ready else None, (engine,) if engine else ()
    )
    yield Condition("it has begun", state in BEGUN if state in TAKEN else None)
