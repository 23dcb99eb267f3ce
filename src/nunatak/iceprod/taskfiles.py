"""Files attached to single tasks (IceProd's `task_files`): a list of them becomes a row of the recipe for each job."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.core.errors import Invalid, Problem
from nunatak.core.spelling import nearest as nearest_name
from nunatak.iceprod.deferred import PERHAPS, Deferred, Mixed
from nunatak.iceprod.findings import Findings, Path, spelled
from nunatak.iceprod.positions import nearest, places

MOST_FILES = 100_000
"""Files of all tasks and jobs together, those of jobs that have fewer than others counted as well: no recipe has room for more."""


@dataclass(slots=True)
class TaskFiles:
    """The files of each task, by job; `rows` is the recipe's `foreach`, a table a job."""

    jobs: int = 0
    rows: list[dict[str, str]] = field(default_factory=list)
    columns: dict[str, list[tuple[str, dict[str, Any]]]] = field(default_factory=dict)
    schemes: dict[str, str] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)  # columns that are empty in some jobs

    def strangers(self, tasks: Sequence[Mapping[str, Any]], findings: Findings) -> None:
        """Note files of tasks that the configuration does not have."""
        known = [str(task["name"]) for task in tasks]
        for name in self.columns:
            if name not in known:
                findings.wrong(
                    ("tasks",), f'files are given for the task "{name}", which is not there', nearest_name(name, known)
                )

    def data(self, task: Mapping[str, Any], path: Path, findings: Findings) -> list[dict[str, Any]]:
        """Return a task's files as `data`, its addresses being names of the row."""
        columns = self.columns.get(task["name"], [])
        if task["task_files"] and not columns:
            findings.wrong((*path, "task_files"), "no files are given for this task", "--task-files FILES.json")
        if columns and not task["task_files"]:
            findings.wrong((*path, "task_files"), "files are given for this task, but task_files is not true")
        return [
            {
                "path": (*path, "task_files", number), "remote": self._address(column), "local": self._local(column),
                "type": "permanent", "movement": entry["movement"],
                "transfer": "maybe" if column in self.partial else entry["transfer"],
            }
            for number, (column, entry) in enumerate(columns)
        ]  # fmt: skip

    def _local(self, column: str) -> Deferred:
        """Return the name of a file in the sandbox; "" in a job that has none."""
        name = f"{column}_name"
        return Deferred(name, kind=PERHAPS if column in self.partial else "")

    def _address(self, column: str) -> Deferred | Mixed:
        """Return the address of a file of each job: its scheme, which all have in common, and a name of the row."""
        scheme = self.schemes.get(column, "")
        return Mixed((f"{scheme}://", (Deferred(column), ""))) if scheme else Deferred(column)


@dataclass(frozen=True, slots=True)
class _Listed:
    """The text of a list of files, and what people call it."""

    text: str
    filename: str

    def bad(self, message: str, hint: str = "", path: Path = (), place: tuple[int, int] = (0, 0)) -> Invalid:
        """Return what is wrong at a place in it, which is that of `path` unless it is given."""
        line, column = place if place[0] or not path else nearest(path, places(self.text))
        problem = Problem(message, spelled(path), hint, self.filename, line, column)
        return Invalid(message, code="bad-task-files", hint=hint, problems=[problem])

    def entries(self) -> list[dict[str, Any]]:
        """Return its entries, completed."""
        try:
            entries = json.loads(self.text)
            json.dumps(entries, ensure_ascii=False).encode()  # half a character, as \\ud800, is none
        except json.JSONDecodeError as error:
            place = (error.lineno, error.colno)
            raise self.bad(f"{self.filename} is no JSON: {error.msg}", place=place) from None
        except (ValueError, RecursionError) as error:
            raise self.bad(f"{self.filename} is no list of files: {error}") from None
        if not isinstance(entries, list):
            raise self.bad(f"{self.filename} is no list of files", 'write [{"filename": ..., "task_name": ...}, ...]')
        return [self._entry(entry, number) for number, entry in enumerate(entries)]

    def _entry(self, entry: Any, number: int) -> dict[str, Any]:
        if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str) or not entry["filename"]:
            raise self.bad(f"file {number} has no filename", path=(number,))
        job = entry.get("job_index")
        if not isinstance(job, int) or isinstance(job, bool) or not 0 <= job < 100_000:
            raise self.bad(f"file {number} needs a job_index from 0", path=(number,))
        if not isinstance(entry.get("task_name"), str):
            raise self.bad(f"file {number} needs a task_name", path=(number,))
        if not isinstance(entry.get("local") or "", str):
            raise self.bad(f"file {number}: its name on the machine is no text", path=(number, "local"))
        movement = entry.get("movement", "input")
        if movement not in ("input", "output", "both"):
            message = f'file {number}: "{movement}" is no movement'
            raise self.bad(message, "input, output or both", (number, "movement"))
        return {
            "filename": entry["filename"], "task_name": entry["task_name"], "job_index": job, "movement": movement,
            "local": entry.get("local") or posixpath.basename(entry["filename"]), "transfer": entry.get("transfer", True),
            "number": number,
        }  # fmt: skip


def read_task_files(text: str | bytes | None, filename: str) -> TaskFiles:
    """Read a JSON list of files as IceProd's API takes them: `filename`, `task_name`, `job_index`, `movement`, `local`.

    Raises `Invalid` (code `bad-task-files`), with the place.
    """
    if not text:
        return TaskFiles()
    given = _Listed(text.decode("utf-8-sig", "replace") if isinstance(text, bytes) else text, filename)
    listed = given.entries()
    jobs = 1 + max((entry["job_index"] for entry in listed), default=-1)
    found = TaskFiles(jobs, [{} for _ in range(jobs)])
    counts: dict[tuple[str, int], int] = {}
    for entry in listed:
        task, job, here = entry["task_name"], entry["job_index"], (entry["number"],)
        number = counts[task, job] = counts.get((task, job), -1) + 1
        columns = found.columns.setdefault(task, [])
        if number == len(columns):
            columns.append((f"file_{list(found.columns).index(task)}_{number}", entry))
        column, first = columns[number]
        if (entry["movement"], entry["transfer"]) != (first["movement"], first["transfer"]):
            raise given.bad(f"file {number} of {task} is moved otherwise in job {job} than in other jobs", path=here)
        scheme, separator, rest = entry["filename"].rpartition("://")
        if found.schemes.setdefault(column, scheme) != scheme:
            raise given.bad(
                f"file {number} of {task} lies elsewhere in job {job}: {scheme}:// and not {found.schemes[column]}://",
                path=here,
            )
        found.rows[job][column] = rest if separator else entry["filename"]
        found.rows[job][f"{column}_name"] = entry["local"]
    if jobs * len(found.schemes) > MOST_FILES:
        raise given.bad(
            f"{jobs} jobs with {len(found.schemes)} files each are over {MOST_FILES:,}", "submit it in parts"
        )
    for job, row in enumerate(found.rows):
        for column, first in (pair for columns in found.columns.values() for pair in columns if pair[0] not in row):
            if first["movement"] != "input":
                said = f"job {job} has fewer files than others that its tasks make"
                raise given.bad(said, "give every job the same number of such files for a task")
            found.partial.add(column)
            row |= {column: "", f"{column}_name": ""}
    return found
