"""The page that shows what a command prints: on pages, advice to type something is a link where there is one. Pure."""

from __future__ import annotations

import shlex

from nunatak.core.address import Address, parse
from nunatak.core.errors import Invalid

OF_DATASETS = ("tasks", "errors", "recipe", "edit", "files", "history")
"""Verbs that have a part of a dataset's page."""
ALONE = {"ls": "/datasets", "errors": "/errors", "usage": "/usage"}
"""Verbs that need no address."""


def page_of(command: str) -> str:
    """Return the path of the page that shows the same as a command; "" if none does."""
    try:
        program, verb, *rest = shlex.split(command)
        if program != "nunatak" or len(rest) > 1:
            return ""
        return _page(verb, parse(rest[0])) if rest else ALONE.get(verb, "")
    except (ValueError, Invalid):  # no command, or no address
        return ""


def _page(verb: str, address: Address) -> str:
    path = f"/datasets/{Address(address.dataset, address.job, address.task)}"
    whole = path if address.attempt is None else f"{path}/{address.attempt}"
    if verb == "status":
        return whole
    if verb == "logs" and address.task is not None:
        return f"{whole}/log"
    if verb == "why":
        return f"/why?address={Address(address.dataset, address.job, address.task)}"
    return f"{path}/{verb}" if verb in OF_DATASETS and path.count("/") == 2 else ""
