"""What the task matrix says in words and in a table, and the addresses of other ranges of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nunatak.web.words import link, number

Plain = Mapping[str, Any]
Counts = tuple[tuple[str, int], ...]
Cell = list[tuple[str, str, str]]
"""For each state of a cell what separates it, where it leads, and its words."""


def url_of(
    dataset: int, shown: Plain, first: int | None = None, last: int | None = None, row: int | None = None
) -> str:
    """Return the address of a matrix of other jobs or tasks; what is as usual is left out."""
    first = shown["first"] if first is None else max(0, first)
    last = shown["last"] if last is None else min(last, shown["total"])
    row = shown["row"] if row is None else row
    return _url(dataset, first, 0 if last == shown["total"] else last, row, bool(shown.get("as_table")))


@lru_cache(maxsize=10_000)
def _url(dataset: int, first: int, last: int, row: int, as_table: bool) -> str:
    wanted = [
        f"from={first}" if first else "", f"to={last}" if last else "", f"row={row}" if row else "",
        "as=table" if as_table else "",
    ]  # fmt: skip
    query = "&".join(filter(None, wanted))
    return f"/datasets/{dataset}{'?' if query else ''}{query}#matrix"


def out_url(dataset: int, shown: Plain) -> str:
    """Return the address of ten times as many jobs around those shown; "" if all are."""
    n = shown["last"] - shown["first"]
    if n >= shown["total"]:
        return ""
    first = max(0, (shown["first"] + shown["last"]) // 2 - 5 * n)
    return url_of(dataset, shown, first - first % max(1, 10 ** (len(str(n)) - 1)), first + 10 * n)


def next_url(dataset: int, shown: Plain) -> str:
    """Return the address of as many jobs after those shown; "" after the last."""
    n = shown["last"] - shown["first"]
    return url_of(dataset, shown, shown["last"], shown["last"] + n) if shown["last"] < shown["total"] else ""


def previous_url(dataset: int, shown: Plain) -> str:
    """Return the address of as many jobs before those shown; "" before the first."""
    n = shown["last"] - shown["first"]
    first = max(0, shown["first"] - n)
    return url_of(dataset, shown, first, first + n) if shown["first"] else ""


@lru_cache(maxsize=10_000)
def counted(counts: Counts) -> str:
    """Return a cell in words: `980 done, 20 failed`."""
    return ", ".join(f"{number(n)} {state}" for state, n in counts if n) or "nothing"


def jobs_words(column: Plain) -> str:
    """Return the jobs of a column: `job 3`, `jobs 100 to 199`."""
    one = column["last"] - column["first"] == 1
    return f"job {column['first']}" if one else f"jobs {number(column['first'])} to {number(column['last'] - 1)}"


def table(dataset: int, shown: Plain) -> Iterator[tuple[Plain, list[Cell]]]:
    """Yield each column with its cells.

    A number leads to the list of its tasks, the state of a single one to that task.
    """
    tasks: Sequence[str] = shown["tasks"]
    for column in shown["columns"]:
        first, last = column["first"], column["last"]
        if shown["step"] == 1:
            of = [(link(f"{dataset}/{first}/{name}"), "", "") for name in tasks]
        else:  # names of tasks and states need no quoting in addresses
            of = [(f"/datasets/{dataset}/tasks?state=", f"&task={name}&from={first}&to={last}", " ") for name in tasks]
        yield column, [_cell_links(counts, *ends) for counts, ends in zip(column["cells"], of, strict=True)]


def _cell_links(counts: Mapping[str, int], url: str, query: str, gap: str) -> Cell:
    found = [
        (", ", f"{url}{state}{query}", f"{number(n)} {state}") if gap else (", ", url, state)
        for state, n in counts.items()
    ]
    return [("", *found[0][1:]), *found[1:]] if found else []


def other_url(dataset: int, shown: Plain) -> str:
    """Return the address of the same jobs as a table, or drawn again."""
    return url_of(dataset, {**shown, "as_table": not shown.get("as_table")})
