"""One job of a recipe in the foreground: expanded as for an engine and run by the real worker, one task after another."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import typer

from nunatak.cli.elsewhere import brought, elsewhere
from nunatak.cli.group import WORK_FAILED
from nunatak.cli.talk import say
from nunatak.client import sending
from nunatak.client.sending import Order
from nunatak.core.address import ONCE
from nunatak.core.errors import Conflict, Invalid
from nunatak.core.units import memory_text, time_text
from nunatak.core.work import FileRecord, Outcome, Reason, TaskSpec
from nunatak.datasets.expand import expand
from nunatak.datasets.gather import read_shipped
from nunatak.datasets.graph import Graph
from nunatak.datasets.places import blob, usual_place
from nunatak.datasets.plan import Plan
from nunatak.datasets.program import Recorded
from nunatak.worker.build import unpack

DATASET = 1
"""What a trial calls its dataset."""
FILES = "files"
"""The directory, below that of a trial, of what came with the recipe."""
_LOOK = 0.1  # seconds between two looks at the logs of the worker


@dataclass(slots=True)
class Trial:
    """What to run, and where: `outputs` and `sandboxes` are below `directory`.

    `bring` returns what is to be done with its inputs brought here; `gathered` is of how many jobs outputs are gathered.
    """

    plan: Plan
    job: int
    tasks: list[int]
    directory: Path
    bring: Callable[[TaskSpec, Path], TaskSpec]
    dataset: int = DATASET
    attempt: int = 1
    own: int = DATASET
    """The dataset whose outputs are made here: what tasks read of others is asked for."""
    gathered: int = 1
    recorded: list[Recorded] = field(default_factory=list)
    untried: Sequence[str] = ()
    """Tasks that nobody asked for, to be named at the end."""

    @classmethod
    def prepare(
        cls, recipe: Path, job: int, task: str | None, to: Path | None, jobs: int | None, parameters: dict[str, str]
    ) -> Trial:
        """Check the recipe and choose what to run. Raises `Invalid`, `NotFound`, `Conflict`."""
        order = sending.read(recipe, jobs, parameters)
        plan = order.plan()
        if job >= plan.jobs:
            raise no_job(job, plan.jobs)
        directory = empty_directory(to)
        ship(order, directory / FILES)
        tasks = chosen(plan, job, task)
        untried = [name for name, number in plan.index.items() if task is None and number not in tasks]
        return cls(plan, job, tasks, directory, bring=lambda spec, _: spec, untried=untried)

    def run(self) -> list[Outcome]:
        """Run the tasks in order until one fails; return how each ended."""
        outcomes = []
        for number in self.tasks:
            outcomes.append(self._run_task(number))
            if outcomes[-1].reason is not Reason.OK:
                break
        return outcomes

    def _run_task(self, number: int) -> Outcome:
        task = self.plan.tasks[number]
        gathers = bool(Graph(self.plan).gathers[number])
        spec = expand(
            self.plan,
            dataset=self.dataset,
            job=ONCE if task.once else self.job,
            task=number,
            attempt=self.attempt,
            lease="1",
            store=self._store,
            blobs=(self.directory / FILES).as_uri(),
            recorded=self.recorded,
            jobs=self.gathered if gathers else self.plan.jobs,
        )
        spec = self._kept_here(self.bring(self._with_others(spec), self.directory), task.name)
        sandbox = self.directory / "sandboxes" / task.name
        sandbox.mkdir(parents=True)
        (sandbox / "task.json").write_text(json.dumps(spec.to_plain()))
        say(f"{task.name}{' (once a dataset)' if task.once else ''} ...")
        outcome = self._work(spec, sandbox)
        self.recorded += [
            Recorded(task.name, ONCE if task.once else self.job, file.name, file.url, file.size, file.sha256)
            for file in outcome.outputs
        ]
        say(f"{task.name}: {_words(outcome)}")
        return outcome

    @property
    def _store(self) -> str:
        return (self.directory / "outputs").as_uri()

    def _kept_here(self, spec: TaskSpec, task: str) -> TaskSpec:
        """Return the same with no output kept elsewhere: a trial must not replace what the real task made."""
        there = [item for item in spec.outputs if not item.url.startswith(f"{self._store}/")]
        for item in there:
            say(f"{item.name} is kept here, not at {item.url}")
        here = {item: usual_place(self._store, self.dataset, task, self.job, item.name) for item in there}
        return replace(spec, outputs=tuple(replace(item, url=here.get(item, item.url)) for item in spec.outputs))

    def _with_others(self, spec: TaskSpec) -> TaskSpec:
        """Return what is to be done with what it reads of other datasets brought here; a server is asked only then."""
        followed = {follow.dataset for task in self.plan.tasks for follow in task.follows}
        wanted = elsewhere(spec, self._store, self.own, followed)
        if not wanted:
            return spec
        from nunatak.cli.look import client

        for one in wanted:
            say(f"reads {one.address} of another dataset: asking the server for it")
        return brought(spec, wanted, client(), self.directory / "elsewhere")

    def _work(self, spec: TaskSpec, sandbox: Path) -> Outcome:
        """Run the worker on a sandbox, showing its logs as they grow."""
        worker = unpack(self.directory / FILES)
        argv = [
            sys.executable,
            "-I",
            "-S",
            str(worker),
            str(sandbox),
            "--cache",
            str(self.directory / FILES),
            "--keep",
        ]
        shown = {"stdout": 0, "stderr": 0}
        process = subprocess.Popen(argv)
        try:
            while process.poll() is None:
                _show(sandbox, shown)
                time.sleep(_LOOK)
        except KeyboardInterrupt:
            process.wait()  # the terminal has told it to stop, too
            raise
        _show(sandbox, shown)
        try:
            return Outcome.from_plain(json.loads((sandbox / "outcome.json").read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            message = f"the worker ended with {process.returncode} and left no outcome"
            return Outcome(spec.address, spec.lease, Reason.LOST, message)

    def path_of(self, file: FileRecord) -> Path:
        """Return where an output lies."""
        return Path(unquote(urlsplit(file.url).path))

    def conclude(self, outcomes: Sequence[Outcome]) -> None:
        """Say where everything is. Raises `typer.Exit` if a task failed."""
        say(f"outputs, logs and sandboxes are in {self.directory}")
        if self.untried:
            say(f"not tried: {', '.join(self.untried)} (name one with --task)")
        if any(outcome.reason is not Reason.OK for outcome in outcomes):
            raise typer.Exit(WORK_FAILED)


def chosen(plan: Plan, job: int, task: str | None) -> list[int]:
    """Return the tasks to run, in order: those of the job with what they need, or one named with what it needs.

    Raises `NotFound` for a name that is no task, `Invalid` for a task that gathers all jobs unless it is the first.
    """
    graph = Graph(plan)
    ahead = list(graph.per_job) if task is None else [plan.number(task)]
    found: set[int] = set()
    while ahead:
        number = ahead.pop()
        if number not in found:
            found.add(number)
            ahead += plan.parents[number]
    gathering = [plan.tasks[number].name for number in sorted(found) if graph.gathers[number]]
    if gathering and job:
        raise Invalid(
            f"{gathering[0]} gathers all jobs: it can be tried with the first alone", code="gathers", hint="--job 0"
        )
    return sorted(found)


def ship(order: Order, files: Path) -> None:
    """Put the files beside a recipe where its tasks look for them."""
    for name, file in order.manifest.files.items():
        if not file.url:
            place = Path(blob(str(files), file.sha256))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(read_shipped(order.directory, name, file))


def no_job(job: int, jobs: int) -> Invalid:
    """Return what is to be said of a job that is not there."""
    return Invalid(f"there is no job {job}", code="no-job", hint=f"jobs are numbered from 0 to {jobs - 1}")


def empty_directory(to: Path | None) -> Path:
    """Return where a trial may write: `to`, or a fresh directory. Raises `Conflict` if something is there."""
    if to is None:
        return Path(tempfile.mkdtemp(prefix="nunatak-try-"))
    if to.exists() and any(to.iterdir()):
        raise Conflict(
            f"{to} is not empty", code="not-empty", hint="name a directory that is, or that is not there yet"
        )
    to.mkdir(parents=True, exist_ok=True)
    return to.absolute()


def _show(sandbox: Path, shown: dict[str, int]) -> None:
    """Write what logs grew by to stderr: stdout is for results."""
    for stream, offset in shown.items():
        try:
            with (sandbox / stream).open("rb") as file:
                file.seek(offset)
                data = file.read()
        except OSError:
            continue
        shown[stream] += len(data)
        sys.stderr.write(data.decode("utf-8", "replace"))
    sys.stderr.flush()


def _words(outcome: Outcome) -> str:
    usage = outcome.usage
    used = [
        *([time_text(usage.wall)] if usage.wall is not None else []),
        *([memory_text(usage.memory)] if usage.memory is not None else []),
    ]
    if outcome.reason is not Reason.OK:
        return f"failed ({outcome.reason}): {outcome.message}"
    return f"done ({', '.join(used)})" if used else "done"
