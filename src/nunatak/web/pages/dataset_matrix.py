"""How the task matrix is drawn: cells of stacked parts in a grid, each with a link; and the addresses of other ranges. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from nunatak.web.words import PARTS, link, number

Plain = Mapping[str, Any]
Counts = tuple[tuple[str, int], ...]
Box = tuple[float, float, float, float]
Cell = list[tuple[str, str, str]]
Link = tuple[str, str, str]
"""Where a cell leads, its path, and what it says."""
Part = tuple[tuple[str, float, float], str]
"""A part of a cell: its class, y in the row and height; and its letter."""
Runs = dict[tuple[str, float, float], list[tuple[float, float]]]
"""Of one row, by class, y in it and height: where parts begin and end; those that touch are one."""
WIDTH, LEFT, TOP = 1360.0, 150.0, 18.0
"""Sizes of the drawing: whole width, the most for names of tasks on the left, numbers of jobs above."""
LETTER = 7.6
"""Width of a letter of a name, about."""
FEW = 20
"""Beside so many columns there is room for names."""
HEIGHT, GAP = 22.0, 4.0
"""Of one task, and below it."""
WIDEST = 46.0
LEAST = 4.0
"""Height of the smallest part of a cell: one failed task of a thousand is seen."""
LETTERS = 13.0
"""Width from which a cell has a letter."""


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


def cell_words(counts: Mapping[str, int]) -> str:
    """Return a cell in words: `980 done, 20 failed`."""
    return _words(tuple(counts.items()))


@lru_cache(maxsize=10_000)
def _words(counts: Counts) -> str:
    return ", ".join(f"{number(n)} {state}" for state, n in counts if n) or "nothing"


def jobs_words(column: Plain) -> str:
    """Return the jobs of a column: `job 3`, `jobs 100 to 199`."""
    one = column["last"] - column["first"] == 1
    return f"job {column['first']}" if one else f"jobs {number(column['first'])} to {number(column['last'] - 1)}"


@lru_cache(maxsize=10_000)
def _cell(counts: Counts, height: float) -> list[Part]:
    """Return the parts of one cell from the top, each with its letter; what needs a person is on top."""
    of = dict(counts)  # most cells of a matrix are like another, and stay as they were at the last look
    sizes = [(kind, letter, sum(of.get(state, 0) for state in states)) for kind, letter, _, states in PARTS]
    total = sum(n for *_, n in sizes)
    if not total:
        return []
    wanted = [max(LEAST, height * n / total) if n else 0.0 for *_, n in sizes]
    scale = height / sum(wanted)
    found: list[Part] = []
    y = 0.0
    for (kind, letter, _), size in sorted(zip(sizes, wanted, strict=True), key=lambda item: ORDER.index(item[0][0])):
        if size:
            found.append(((kind, round(y, 1), round(size * scale, 1)), letter))
            y += size * scale
    return found


ORDER = ("needy", "waiting", "ready", "running", "done")


def drawn(dataset: int, shown: Plain) -> dict[str, Any]:
    """Return all there is to draw: a shape and letters for each kind of part, links by column, names, numbers of jobs.

    At most some thousand things. What is live is told apart as it changes: kinds and columns each for themselves.
    """
    columns: Sequence[Plain] = shown["columns"]
    tasks: Sequence[str] = shown["tasks"]
    most, room = (36, 2 * LEFT) if len(columns) <= FEW else (20, LEFT)
    left = min(room, 14 + LETTER * max((len(short(name, most)) for name in tasks), default=0))
    width = min(WIDEST, (WIDTH - left) / max(1, len(columns)))
    inner = width - (2.0 if width > LETTERS else 0.0)
    runs: list[Runs] = [defaultdict(list) for _ in tasks]
    links = []
    letters: dict[tuple[str, float], tuple[str, list[str]]] = {}
    wide, height_of_all = round(inner, 1), len(tasks) * (HEIGHT + GAP)
    lettered, single = inner >= LETTERS - 2, shown["step"] == 1
    for place, column in enumerate(columns):
        x = round(left + place * width, 1)
        end = x + wide
        words, of_column = [], []
        for row, counts in enumerate(column["cells"]):
            key = tuple(counts.items())
            of_row = runs[row]
            for part, letter in _cell(key, HEIGHT):
                of = of_row[part]
                if of and abs(of[-1][1] - x) < 0.15:  # what touches is one: a million done tasks are a few rectangles
                    of[-1] = (of[-1][0], end)
                else:
                    of.append((x, end))
                kind, below, height = part
                if lettered and (single or kind == "needy") and height >= 12:
                    middle = round(TOP + row * (HEIGHT + GAP) + below + height / 2, 1)
                    _, across = letters.setdefault((kind, middle), (letter, []))
                    across.append(_g(round(x + inner / 2, 1)))
            if single:
                of_column.append(
                    _one(dataset, column, tasks[row], counts, (x, TOP + row * (HEIGHT + GAP), wide, HEIGHT))
                )
            else:
                words.append(f"{tasks[row]}: {_words(key)}")
        if not single:
            of_column.append(_tile(dataset, shown, column, words, (x, TOP - 2, wide, height_of_all)))
        links.append(of_column)
    paths = _paths(runs)
    return {
        "width": round(max(320.0, left + len(columns) * width)),
        "height": round(TOP + len(tasks) * (HEIGHT + GAP) + 2),
        "kinds": [
            {
                "kind": kind,
                "path": paths.get(kind, ""),
                "letters": [
                    {"text": text * len(xs), "x": " ".join(xs), "y": f"{y:g}"}
                    for (of, y), (text, xs) in letters.items() if of == kind
                ],
            }
            for kind in ORDER
        ],
        "letters_alone": shown["step"] == 1 and lettered,
        "links": list(enumerate(links)),
        "names": [
            {"text": short(name, most), "whole": name, "y": TOP + row * (HEIGHT + GAP) + HEIGHT / 2}
            for row, name in enumerate(tasks)
        ],
        "marks": [
            {"text": number(column["first"]), "x": f"{left + place * width:.1f}".removesuffix(".0")}
            for place, column in enumerate(columns)
            if place % max(1, round(110 / width)) == 0
        ],
    }  # fmt: skip


def short(name: str, most: int) -> str:
    """Return a name that fits beside its row."""
    return name if len(name) <= most else f"{name[: most - 1]}\u2026"


def _one(dataset: int, column: Plain, name: str, counts: Mapping[str, int], box: Box) -> Link:
    state = next(iter(counts), "")
    address = f"{dataset}/{column['first']}/{name}"
    return f"/datasets/{address}", _box(*box), f"{address}: {state}"  # names of tasks need no quoting


def _tile(dataset: int, shown: Plain, column: Plain, words: list[str], box: Box) -> Link:
    url = url_of(dataset, shown, column["first"], column["last"])
    return url, _box(*box), "\n".join([jobs_words(column), *words])


@lru_cache(maxsize=10_000)
def _g(value: float) -> str:
    return f"{value:g}"


def _box(x: float, y: float, width: float, height: float) -> str:
    """Return a rectangle as a path, which is shorter than its element: there are hundreds."""
    wide = _g(width)
    return f"M{_g(x)} {_g(y)}h{wide}v{_g(height)}h-{wide}z"


def _paths(runs: Sequence[Runs]) -> dict[str, str]:
    """Return one path for each kind of part: a browser has a few shapes to lay out, and not a thousand."""
    found: dict[str, list[str]] = defaultdict(list)
    for row, of_row in enumerate(runs):
        for (kind, below, height), of in of_row.items():
            y = round(TOP + row * (HEIGHT + GAP) + below, 1)
            found[kind] += [_box(x, y, round(end - x, 1), height) for x, end in of]
    return {kind: "".join(paths) for kind, paths in found.items()}


def table(dataset: int, shown: Plain) -> Iterator[tuple[Plain, list[Cell]]]:
    """Yield each column with its cells: for each state of a cell what separates it, where it leads, and its words.

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
