"""Errors across datasets: signatures by site, each with what the catalogue says of it, and links to datasets and examples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query

from nunatak.api.requests import Have
from nunatak.tasks.looking import across
from nunatak.tasks.looking.across import Wish
from nunatak.tasks.verdicts.catalogue import CATALOGUE
from nunatak.web.render import View
from nunatak.web.routing import Pages
from nunatak.web.words import plural

pages = Pages()

PATH = "/errors"
Word = Annotated[str, Query(max_length=255)]


def errors_url(filters: Mapping[str, Any], **changes: str) -> str:
    """Return the address of this page with other filters; those that are empty are left out."""
    return _url(tuple([item for item in {**filters, **changes}.items() if item[1]]))


@lru_cache(maxsize=10_000)
def _url(kept: tuple[tuple[str, str], ...]) -> str:
    return PATH + (f"?{urlencode(kept)}" if kept else "")


def heat(n: int, of: int) -> int:
    """Return how strongly a number stands out: 0 for none, up to 4 for more than half of all."""
    return 0 if not n or not of else min(4, 1 + int(6 * n / of))


def cells(
    item: Mapping[str, Any], sites: Sequence[str], filters: Mapping[str, Any]
) -> Iterator[tuple[int, str, str, int]]:
    """Yield for each site how strongly it stands out, where it leads, what that says, and how many attempts failed there."""
    at, of = item["at"], item["attempts"]
    wanted = [(name, value) for name, value in filters.items() if value and name not in ("site", "signature")]
    signature = [("signature", item["signature"])] if item["signature"] else []
    for site in sites:
        n = at.get(site, 0)
        if n:
            url = _url((*wanted, ("site", site), *signature))
            yield heat(n, of), url, f"{plural(n, 'attempt')} at {site}", n
        else:
            yield 0, "", "", 0


TOOLS = {
    "errors_url": errors_url,
    "cells": cells,
    "kinds": {str(kind): entry.title for kind, entry in CATALOGUE.items()},
}


@pages.page(PATH, name="page_errors", template="errors.html", live=True, shared=True, tools=TOOLS)
def errors(
    services: Have,
    owner: Word = "",
    group: Word = "",
    dataset: Annotated[str, Query(pattern="^[0-9]{0,9}$")] = "",
    site: Word = "",
    kind: Word = "",
    signature: Word = "",
) -> View:
    """Show what fails, equal failures of all datasets together, and where."""
    wish = Wish(owner.strip(), group.strip(), int(dataset or 0), site.strip(), kind, signature)
    with services.database.read() as tx:
        data = across.across(tx, services.contexts, wish)
    filters = {
        "owner": owner, "group": group, "dataset": dataset, "site": site, "kind": kind, "signature": signature
    }  # fmt: skip
    return View(
        _title(data, filters),
        {**data, "filters": filters},
        cli=_command(wish),
        alarm="failed" if data["items"] else "",
    )


def _title(data: Mapping[str, Any], filters: Mapping[str, str]) -> str:
    of = [f"{name} {value}" for name, value in filters.items() if value and name != "signature"]
    where = f" of {', '.join(of)}" if of else ""
    if filters["signature"] and data["items"]:
        return f"{data['items'][0]['id']}: {plural(data['tasks'], 'task')}{where} \u00b7 Errors"
    if not data["items"]:
        return f"No errors{where}"
    return f"{plural(data['signatures'], 'kind')} of errors in {plural(data['tasks'], 'task')}{where} \u00b7 Errors"


def _command(wish: Wish) -> str:
    """Return the command that lists the same; of a dataset, all that failed in it."""
    if wish.dataset:
        return f"nunatak errors {wish.dataset}"
    filters = {
        "owner": wish.owner,
        "group": wish.team,
        "site": wish.site,
        "kind": wish.kind,
        "signature": wish.signature,
    }
    words = [word for name, value in filters.items() if value for word in (f"--{name}", shlex.quote(value))]
    return " ".join(["nunatak errors", *words])
