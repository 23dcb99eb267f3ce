"""My work: datasets as rows, what needs a person on top, what was used below."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request

from nunatak.api.requests import Caller, Have
from nunatak.tasks.looking import overview
from nunatak.tasks.looking.overview import Wish
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import moment, number, plural

pages = Pages()

PATH = "/datasets"
EVERYBODY = "*"
ORDER_WORDS = {
    "newest": "newest first", "oldest": "oldest first", "name": "name", "jobs": "most jobs", "needs": "most that need you"
}  # fmt: skip
STATE_WORDS = {"": "all", "open": "open", "needs": "need you", "held": "held", "failed": "failed", "done": "done"}

Word = Annotated[str, Query(max_length=255)]


def list_url(filters: dict[str, str], **changes: str) -> str:
    """Return the address of the same list with other filters; what is as usual is left out."""
    wanted = {**filters, **changes}
    kept = {key: value for key, value in wanted.items() if value and (key, value) != ("sort", "newest")}
    return PATH + (f"?{urlencode(kept)}" if kept else "")


TOOLS = {"orders": ORDER_WORDS, "states": STATE_WORDS, "list_url": list_url}


@pages.page(PATH, name="page_work", template="work.html", live=True, tools=TOOLS)
def work(
    request: Request,
    services: Have,
    caller: Caller,
    q: Word = "",
    state: Word = "",
    owner: Word = "",
    group: Word = "",
    sort: Word = "newest",
    after: Word = "",
) -> View:
    """Show the datasets of a person, or of everybody (`owner` is `*`)."""
    now = services.clock()
    whose = "" if owner == EVERYBODY else owner or caller.name
    wish = Wish(q.strip(), state, whose, group, sort, after)
    with services.database.read() as tx:
        found = overview.rows(tx, services.contexts, request.app.state.forecasts, wish, now)
        needs = overview.needs_you(tx, whose)
        use = overview.use_of(tx, whose or caller.name, services.rules.decay, now)
        others = bool(found["items"]) or overview.any_dataset(tx)
    filters = {"q": q, "state": state, "owner": owner, "group": group, "sort": sort}
    for item in found["items"]:
        item["took"] = _took(item)
    data: dict[str, Any] = {**found, "needs": needs, "use": use, "filters": filters, "others": others}
    return View(_title(data, whose, caller.name), data, cli=_command(wish), alarm=_alarm(data))


def _took(item: dict[str, Any]) -> float | None:
    """Return the seconds from a dataset's submission to its end."""
    ended = item["ended"]
    return (moment(ended) - moment(item["created"])).total_seconds() if ended else None


def _title(data: dict[str, Any], whose: str, me: str) -> str:
    name = "My work" if whose == me else f"Work of {whose}" if whose else "Everybody's work"
    if data["needs"]:
        return f"{number(len(data['needs']))} {'needs' if len(data['needs']) == 1 else 'need'} you \u00b7 {name}"
    running = sum(item["tasks"]["running"] for item in data["items"])
    return f"{plural(running, 'task')} running \u00b7 {name}" if running else name


def _alarm(data: dict[str, Any]) -> str:
    if data["needs"]:
        return "failed"
    return "busy" if any(item["tasks"]["running"] for item in data["items"]) else ""


def _command(wish: Wish) -> str:
    """Return the command that lists the same."""
    words = ["nunatak", "ls"]
    if wish.state and wish.state != overview.NEEDS:
        words += ["--state", wish.state]
    if wish.owner:
        words += ["--owner", wish.owner]
    if wish.text:
        words += ["--name", wish.text]
    return " ".join(word if word.isalnum() or word.startswith("--") else f"'{word}'" for word in words)
