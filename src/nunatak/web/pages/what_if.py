"""Why something does not run, as a checklist; and what would be if there were more slots, or another priority."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query, Request

from nunatak.api.requests import Have, address_of
from nunatak.api.services import Services
from nunatak.core.errors import NunatakError
from nunatak.datasets import store
from nunatak.simulation.aside import Answer, Aside, Question, left_of
from nunatak.tasks.looking import explain, snapshot
from nunatak.tasks.looking.conditions import checklist
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import plural

pages = Pages()

SIGNS = {True: ("holds", "\u2713"), False: ("not", "\u2717"), None: ("later", "\u00b7")}
SAID = {True: "holds", False: "does not hold", None: "not yet known"}
MOST_SLOTS = 5000

Text = Annotated[str, Query(max_length=100)]
Number = Annotated[str, Query(pattern="^[0-9]{0,9}$")]


@pages.page("/why", name="page_why", template="why.html", live=True, tools={"signs": SIGNS, "said_of": SAID})
def why(services: Have, address: Text = "") -> View:
    """Show why a dataset, job or task is as it is; of a task, each condition for it to run."""
    if not address.strip():
        return View(
            "Why is it not running?", {"address": "", "reasons": [], "conditions": []}, cli="nunatak why ADDRESS"
        )
    wanted = address_of(address.strip(), "dataset", "job", "task")
    now, rules = services.clock(), services.rules
    with services.database.read() as tx:
        context = services.contexts.one(tx, wanted.dataset)
        found = explain.why(tx, services.contexts, context, wanted, now, rules)
        of_task = wanted.level == "task"
        checked = checklist(tx, services.contexts, context, wanted, now, rules) if of_task else []
    alarm = {"failed": "failed", "held": "failed", "running": "busy"}.get(str(found["state"]), "")
    title = f"{found['address']} is {found['state']} \u00b7 Why"
    return View(title, {**found, "dataset": wanted.dataset, "conditions": checked}, f"nunatak why {wanted}", alarm)


@pages.page(
    "/what-if", name="page_what_if", template="what_if.html", live=True, shared=True, tools={"most_slots": MOST_SLOTS}
)
def what_if(
    request: Request, services: Have, dataset: Number = "", slots: Number = "", each: Text = "",
    priority: Annotated[str, Query(pattern=r"^([0-9]{1,4}(\.[0-9]{1,3})?)?$")] = "",
) -> View:  # fmt: skip
    """Show a form, and when a dataset would be done with more slots or another priority, against as it is now.

    The page is there at once, and has the answer as a part that comes when it is worked out; the JSON waits for it.
    """
    asked = {"dataset": dataset, "slots": slots, "each": each.strip(), "priority": priority}
    if not int(dataset or 0):
        return View(
            "What if?",
            {**asked, "found": None, "problem": None, "now": None, "working": False},
            cli='nunatak what-if 42 --add "100 slots"',
        )
    question, aside = _question(asked), request.app.state.aside
    wants, path = bool(question.add) or question.priority is not None, request.scope["path"]
    answer = (aside.last if path.endswith(".live") else aside.known)(question) if wants else None
    data: dict[str, Any] = {**asked, "found": None, "problem": None, "working": False}
    begun = aside.begun(question) if wants and answer is None and not path.endswith(".json") else None
    if begun is not None:
        data |= {"now": dict(begun.now), "left": begun.left, "working": "now"}
    elif answer is None:
        seen, plan = _seen(services, question.dataset)
        data |= {"now": seen, "left": left_of(seen)}
        if wants and data["left"]:
            answer = _begun(aside, question, seen, plan, data, waits=path.endswith(".json"))
    if answer is not None:
        data |= {"now": dict(answer.now), "left": answer.left, "found": answer.found, "working": False}
        data["problem"] = _problem(answer.error) if answer.error else None
    return View(_title(question, data), data, _command(question), "busy" if data["working"] else "")


def _begun(
    aside: Aside, question: Question, seen: dict[str, Any], plan: dict[str, Any], data: dict[str, Any], *, waits: bool
) -> Answer | None:
    """Let a question be worked out, at once or when the one before it is; return the answer if the caller waits for it."""
    try:
        if waits:
            return aside.ask(question, seen, plan)
        data["working"] = "now" if aside.begin(question, seen, plan) else "later"
    except NunatakError as error:
        data["problem"] = _problem(error)
    return None


def _problem(error: NunatakError) -> dict[str, str]:
    return {"detail": error.message, "hint": error.hint}


def _question(asked: Mapping[str, str]) -> Question:
    slots, priority = int(asked["slots"] or 0), float(asked["priority"] or 0.0)
    add = f"{min(slots, MOST_SLOTS)} slots {asked['each']}".strip() if slots else ""
    return Question(int(asked["dataset"]), add, min(priority, 1000.0) if priority >= 0.001 else None)


def _seen(services: Services, dataset: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a simulation starts from, and the plan."""
    with services.database.read() as tx:
        context = services.contexts.one(tx, dataset)
        seen = snapshot.snapshot(tx, services.contexts, context, services.clock())
        return seen, json.loads(store.RECIPE(tx, digest=seen["recipe"])[0].plan)


def _title(question: Question, data: Mapping[str, Any]) -> str:
    left = plural(data["left"], "task") + " left"
    said = data["found"]["sentence"] if data["found"] else f"working it out, {left}" if data["working"] else left
    return f"{question.dataset}: {said} \u00b7 What if"


def _command(question: Question) -> str:
    """Return the command that works out the same."""
    words = f"nunatak what-if {question.dataset}"
    if question.add or question.priority is None:
        words += f' --add "{question.add or "100 slots"}"'
    return words + (f" --priority {question.priority:g}" if question.priority is not None else "")
