"""A trial of what was submitted: recipe, files and what was made before come from the server in use, not from here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nunatak.cli.talk import plain, say
from nunatak.cli.trial import FILES, Trial, empty_directory, no_job
from nunatak.client.statuses import AttemptStatus
from nunatak.core.address import ONCE, Address, parse
from nunatak.core.errors import Conflict, Invalid, NotFound
from nunatak.core.units import memory_text
from nunatak.core.work import Input, TaskSpec
from nunatak.datasets.graph import Graph
from nunatak.datasets.places import blob
from nunatak.datasets.plan import Plan
from nunatak.datasets.program import Recorded

if TYPE_CHECKING:
    from nunatak.client import Client
    from nunatak.client.results import OutputFile
    from nunatak.client.statuses import DatasetStatus


def wanted(address: Address, job: int | None, task: str | None) -> Address:
    """Return the address that is to be tried, options added to it. Raises `Invalid` where they contradict it."""
    if job is not None and address.level != "dataset":
        raise Invalid(f"{address} and --job {job} both say which job", code="twice", hint=f"nunatak try {address}")
    if task is not None and address.task is not None:
        raise Invalid(f"{address} and --task {task} both say which task", code="twice", hint=f"nunatak try {address}")
    return replace(address, job=address.job if job is None else job, task=address.task if task is None else task)


def prepare(client: Client, address: Address, to: Path | None) -> Trial:
    """Fetch what a dataset's recipe is and choose what to run. Raises `NotFound`, `Invalid`, `Conflict`."""
    dataset = client.dataset(address.dataset)
    ran_by = _revision(client, address)
    plan = replace(Plan.from_plain(client.recipe(address, ran_by)["plan"]), jobs=max(1, dataset.jobs.total))
    number = None if address.task is None else plan.number(address.task)
    once = number is not None and plan.tasks[number].once
    if once and address.job is not None:
        raise Invalid(
            f"{address.task} is done once a dataset, not in a job", code="bad-address",
            hint=f"nunatak try {address.dataset}/{address.task}",
        )  # fmt: skip
    job = ONCE if once else address.job or 0
    if job >= plan.jobs:
        raise no_job(job, plan.jobs)
    ahead = _Ahead(client, plan, dataset, job)
    ahead.look([number] if number is not None else Graph(plan).per_job)
    say(f'dataset {dataset.dataset} of {dataset.owner}, "{plain(dataset.name)}", runs here, with your rights')
    untried = [name for name, at in plan.index.items() if number is None and at not in ahead.seen]
    return Trial(
        plan, job, sorted(ahead.run), empty_directory(to),
        bring=_Brought(client, dataset.dataset, plan, ahead.made, ran_by).bring, untried=untried,
        dataset=dataset.dataset, attempt=address.attempt or 1, own=0, gathered=plan.jobs,
        recorded=[Recorded(one.task, _job(one), one.name, one.url, one.size, one.sha256) for one in ahead.made],
    )  # fmt: skip


def _revision(client: Client, address: Address) -> int | None:
    """Return by which revision of the recipe an attempt ran; None where none is named: the present one."""
    if address.attempt is None:
        return None
    found = client.status(address)
    assert isinstance(found, AttemptStatus)
    return found.revision


class _Ahead:
    """Decides which tasks run here, and what those before them have made already."""

    def __init__(self, client: Client, plan: Plan, dataset: DatasetStatus, job: int) -> None:
        self.client, self.plan, self.dataset, self.job = client, plan, dataset, job
        self.run: set[int] = set()
        self.seen: set[int] = set()
        self.made: list[OutputFile] = []

    def look(self, first: Iterable[int]) -> None:
        """Find the tasks to `run`, and what those before them that are done have `made`."""
        ahead = list(first)
        self.run |= set(ahead)
        self.seen |= set(ahead)
        gathers = Graph(self.plan).gathers
        while ahead:
            number = ahead.pop()
            for parent in (one for one in self.plan.parents[number] if one not in self.seen):
                self.seen.add(parent)
                found = self._of_all(number, parent) if parent in gathers[number] else self._of_one(parent)
                if found is None:
                    self.run.add(parent)
                    ahead.append(parent)
                else:
                    self.made += found

    def _of_one(self, task: int) -> list[OutputFile] | None:
        """Return what a task made; None if it is not done."""
        plan = self.plan.tasks[task]
        address = Address(self.dataset.dataset, None if plan.once else max(self.job, 0), plan.name)
        return list(self.client.files(address)) if self.client.status(address).state == "done" else None

    def _of_all(self, gathering: int, task: int) -> list[OutputFile]:
        """Return what a task made in all jobs. Raises `Conflict` if it is not done in all of them."""
        name, number = self.plan.tasks[task].name, self.dataset.dataset
        counts = self.dataset.per_task.get(name)
        done = counts.done if counts else 0
        if done < self.plan.jobs:
            raise Conflict(
                f"{number}/{self.plan.tasks[gathering].name} gathers {name} of all jobs, and {done} of"
                f" {self.plan.jobs} are done", code="not-made",
                hint=f"try it when they are, or try a task of one job: nunatak try {number}/0/{name}",
            )  # fmt: skip
        return [file for file in self.client.files(number) if file.task == name]


class _Brought:
    """Brings what a task needs when it needs it: files of the recipe, and outputs that the server recorded."""

    def __init__(
        self, client: Client, dataset: int, plan: Plan, made: Iterable[OutputFile], revision: int | None
    ) -> None:
        self.client, self.dataset, self.revision = client, dataset, revision
        self.shipped = {file.sha256: name for name, file in plan.files.items() if not file.url}
        self.made = {one.url: one for one in made}

    def bring(self, spec: TaskSpec, to: Path) -> TaskSpec:
        """Return the same with its inputs here; those kept elsewhere than in the store stay where they are."""
        for item in spec.inputs:
            self._file(item, to / FILES)
        wanted = {item.url: self.made[item.url] for item in spec.inputs if item.url in self.made}
        here = {url: self._output(file, to) for url, file in wanted.items()}
        _say_brought([file for url, file in wanted.items() if here[url] != url])
        return replace(spec, inputs=tuple(replace(item, url=here.get(item.url, item.url)) for item in spec.inputs))

    def _file(self, item: Input, files: Path) -> None:
        name, place = self.shipped.get(item.sha256), Path(blob(str(files), item.sha256))
        if name is not None and item.url == place.as_uri() and not place.exists():
            self.client.recipe_file(self.dataset, name, place, self.revision)

    def _output(self, file: OutputFile, to: Path) -> str:
        """Return where an output is now."""
        try:
            (got,) = self.client.fetch([file], to / "inputs")
        except NotFound as error:
            if error.code != "file-elsewhere":
                raise
            return file.url
        return got.path.absolute().as_uri()


def _say_brought(files: Sequence[OutputFile]) -> None:
    if files:
        names = ", ".join(f"{file.address}/{plain(file.name)}" for file in files[:3])
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        say(f"brought {names}{more} ({memory_text(sum(file.size for file in files))})")


def _job(file: OutputFile) -> int:
    job = parse(file.address).job
    return ONCE if job is None else job
