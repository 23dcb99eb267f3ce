"""How the task matrix is drawn: cells of stacked parts in a grid, each with a link. Pure, sizes in pixels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nunatak.web.pages.dataset_matrix import Counts, Plain, counted, jobs_words, url_of
from nunatak.web.words import PARTS, number

Box = tuple[float, float, float, float]
Link = tuple[str, str, str]
"""Where a cell leads, its path, and what it says."""
Part = tuple[str, float, float]
"""A part of a cell: its class, y in the row and height."""
Cell = list[tuple[Part, str]]
"""Parts from the top, each with its letter."""
Runs = dict[Part, list[tuple[float, float]]]
"""Of one row, by part: where those like it begin and end; those that touch are one."""
Letters = dict[tuple[str, float], tuple[str, list[str]]]
"""By class and y: a letter, and each x where it stands."""
WIDTH, LEFT, TOP = 1360.0, 150.0, 18.0
"""Sizes of the drawing: whole width, the most for names of tasks on the left, numbers of jobs above."""
LETTER = 7.6
"""Width of a letter of a name, about."""
FEW = 20
"""Beside so many columns there is room for names."""
HEIGHT, GAP = 22.0, 4.0
"""Of one task, and below it."""
WIDEST, NARROWEST = 46.0, 320.0
"""Of a column, and of a drawing."""
LEAST = 4.0
"""Height of the smallest part of a cell: one failed task of a thousand is seen."""
LETTERS, TALL = 13.0, 12.0
"""Width from which a cell, and height from which a part has a letter."""
APART = 110
"""Between two numbers of jobs."""
ORDER = ("needy", "waiting", "ready", "running", "done")


@dataclass(frozen=True, slots=True)
class Grid:
    """Where cells are: the x of the first column, widths of a column and of what is drawn in it; letters of names."""

    left: float
    column: float
    inner: float
    names: int
    single: bool
    """A column is one job."""

    @property
    def wide(self) -> float:
        """Return the width of a cell as it is written."""
        return round(self.inner, 1)

    @property
    def lettered(self) -> bool:
        """Tell whether cells have room for letters."""
        return self.inner >= LETTERS - 2

    def x(self, place: int) -> float:
        """Return where a column begins."""
        return round(place * self.column, 1)


def drawn(dataset: int, shown: Plain) -> dict[str, Any]:
    """Return all there is to draw: a shape and letters for each kind of part, links by column, names, numbers of jobs.

    At most some thousand things. What is live is told apart as it changes: kinds and columns each for themselves.
    """
    columns, tasks = shown["columns"], shown["tasks"]
    grid = _grid(columns, tasks, shown["step"] == 1)
    cells = [[_cell(tuple(counts.items())) for counts in column["cells"]] for column in columns]
    paths = _paths(_runs(grid, cells, len(tasks)))
    letters = _letters(grid, cells) if grid.lettered else {}
    links = (_ones if grid.single else _tile)(dataset, shown, grid)
    return {
        "left": round(grid.left),
        "width": round(max(NARROWEST, grid.left + len(columns) * grid.column)) - round(grid.left),
        "height": round(_y(len(tasks)) + 2),
        "kinds": [{"kind": kind, "path": paths.get(kind, ""), "letters": _texts(letters, kind)} for kind in ORDER],
        "letters_alone": grid.single and grid.lettered,
        "links": list(enumerate(links)),
        "names": [
            {"text": short(name, grid.names), "whole": name, "y": _y(row) + HEIGHT / 2} for row, name in enumerate(tasks)
        ],
        "marks": _marks(grid, columns),
    }  # fmt: skip


def _grid(columns: Sequence[Plain], tasks: Sequence[str], single: bool) -> Grid:
    """Return how the columns share the width that names leave."""
    most, room = (36, 2 * LEFT) if len(columns) <= FEW else (20, LEFT)
    left = min(room, 14 + LETTER * max((len(short(name, most)) for name in tasks), default=0))
    width = min(WIDEST, (WIDTH - left) / max(1, len(columns)))
    return Grid(left, width, width - (2.0 if width > LETTERS else 0.0), most, single)


def _y(row: int) -> float:
    """Return where a row begins."""
    return TOP + row * (HEIGHT + GAP)


def short(name: str, most: int) -> str:
    """Return a name that fits beside its row."""
    return name if len(name) <= most else f"{name[: most - 1]}\u2026"


# ---- cells


@lru_cache(maxsize=10_000)
def _cell(counts: Counts) -> Cell:
    """Return the parts of one cell from the top, each with its letter; what needs a person is on top."""
    of = dict(counts)  # most cells of a matrix are like another, and stay as they were at the last look
    sizes = [(kind, letter, sum(of.get(state, 0) for state in states)) for kind, letter, _, states in PARTS]
    total = sum(n for *_, n in sizes)
    if not total:
        return []
    wanted = [max(LEAST, HEIGHT * n / total) if n else 0.0 for *_, n in sizes]
    scale = HEIGHT / sum(wanted)
    found: Cell = []
    y = 0.0
    for (kind, letter, _), size in sorted(zip(sizes, wanted, strict=True), key=lambda item: ORDER.index(item[0][0])):
        if size:
            found.append(((kind, round(y, 1), round(size * scale, 1)), letter))
            y += size * scale
    return found


def _runs(grid: Grid, columns: Sequence[Sequence[Cell]], rows: int) -> list[Runs]:
    """Return where the parts of all cells are: a million done tasks are a few rectangles."""
    runs: list[Runs] = [defaultdict(list) for _ in range(rows)]
    wide = grid.wide
    for place, cells in enumerate(columns):
        x = grid.x(place)
        for of_row, cell in zip(runs, cells, strict=True):
            for part, _ in cell:
                of = of_row[part]
                if of and abs(of[-1][1] - x) < 0.15:
                    of[-1] = (of[-1][0], x + wide)
                else:
                    of.append((x, x + wide))
    return runs


def _paths(runs: Sequence[Runs]) -> dict[str, str]:
    """Return one path for each kind of part: a browser has a few shapes to lay out, and not a thousand."""
    found: dict[str, list[str]] = defaultdict(list)
    for row, of_row in enumerate(runs):
        for (kind, below, height), of in of_row.items():
            y = round(_y(row) + below, 1)
            found[kind] += [_box(x, y, round(end - x, 1), height) for x, end in of]
    return {kind: "".join(paths) for kind, paths in found.items()}


def _letters(grid: Grid, columns: Sequence[Sequence[Cell]]) -> Letters:
    """Return the letters of parts that have room for one; of cells of many tasks only those that need a person have one."""
    letters: Letters = {}
    for place, cells in enumerate(columns):
        middle = _g(round(grid.x(place) + grid.inner / 2, 1))
        for row, cell in enumerate(cells):
            for (kind, below, height), letter in cell:
                if height >= TALL and (grid.single or kind == "needy"):
                    y = round(_y(row) + below + height / 2, 1)
                    letters.setdefault((kind, y), (letter, []))[1].append(middle)
    return letters


def _texts(letters: Letters, kind: str) -> list[dict[str, str]]:
    """Return a text for all letters of a kind that stand in one line."""
    return [
        {"text": text * len(xs), "x": " ".join(xs), "y": f"{y:g}"} for (of, y), (text, xs) in letters.items() if of == kind
    ]  # fmt: skip


def _marks(grid: Grid, columns: Sequence[Plain]) -> list[dict[str, str]]:
    """Return the numbers of the first jobs of columns, as many as have room."""
    every = max(1, round(APART / grid.column))
    return [
        {"text": number(columns[place]["first"]), "x": f"{place * grid.column:.1f}".removesuffix(".0")}
        for place in range(0, len(columns), every)
    ]


# ---- links


def _ones(dataset: int, shown: Plain, grid: Grid) -> Iterable[list[Link]]:
    """Yield a link to each task of each job."""
    rows = [(name, _y(row)) for row, name in enumerate(shown["tasks"])]
    wide = grid.wide
    for place, column in enumerate(shown["columns"]):
        x, job = grid.x(place), f"{dataset}/{column['first']}"
        yield [
            _one(f"{job}/{name}", counts, (x, y, wide, HEIGHT))
            for (name, y), counts in zip(rows, column["cells"], strict=True)
        ]


def _one(address: str, counts: Mapping[str, int], box: Box) -> Link:
    return f"/datasets/{address}", _box(*box), f"{address}: {next(iter(counts), '')}"  # names of tasks need no quoting


def _tile(dataset: int, shown: Plain, grid: Grid) -> Iterable[list[Link]]:
    """Yield a link to the jobs of each column."""
    height = len(shown["tasks"]) * (HEIGHT + GAP)
    for place, column in enumerate(shown["columns"]):
        words = [
            f"{name}: {counted(tuple(counts.items()))}"
            for name, counts in zip(shown["tasks"], column["cells"], strict=True)
        ]
        url = url_of(dataset, shown, column["first"], column["last"])
        yield [(url, _box(grid.x(place), TOP - 2, grid.wide, height), "\n".join([jobs_words(column), *words]))]


@lru_cache(maxsize=10_000)
def _g(value: float) -> str:
    return f"{value:g}"


def _box(x: float, y: float, width: float, height: float) -> str:
    """Return a rectangle as a path, which is shorter than its element: there are hundreds."""
    wide = _g(width)
    return f"M{_g(x)} {_g(y)}h{wide}v{_g(height)}h-{wide}z"
