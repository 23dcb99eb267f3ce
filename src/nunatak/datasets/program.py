"""A plan with every template compiled, once: each of its tasks can be written out exactly, for any job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import Invalid
from nunatak.core.values import quickly_made
from nunatak.core.work import Checkpoint, Environment, Input, Output, Shape, TaskSpec
from nunatak.datasets.commands import CommandProgram, TextTable
from nunatak.datasets.manifest import relative
from nunatak.datasets.parameters import parameters_of
from nunatak.datasets.places import blob, checkpoint_place, kept_at, numbered, usual_place
from nunatak.datasets.plan import InputPlan, OutputPlan, Plan, TaskPlan
from nunatak.datasets.shape import shape_from
from nunatak.datasets.template import Mentioned, Scope, Template, compile_template


@quickly_made
@dataclass(frozen=True, slots=True)
class Recorded:
    """An output that a parent task has made; `job` is `ONCE` for a task done once a dataset."""

    task: str
    job: int
    name: str
    url: str
    size: int
    sha256: str


@quickly_made
@dataclass(frozen=True, slots=True)
class Where:
    """What an expansion depends on besides the plan and the job."""

    dataset: int
    jobs: int
    store: str
    blobs: str = ""
    most: int | None = None
    """Of so many jobs at most are outputs gathered: to be looked at, all are too many."""
    made: dict[tuple[str, int], list[Output]] = field(default_factory=dict, compare=False, repr=False)
    """Outputs by task and job whose names or places follow from inputs: in a chain each is worked out once."""


@quickly_made
@dataclass(frozen=True, slots=True)
class Order:
    """What is known of an attempt only when it is given to an engine: in place of what was planned."""

    shape: Shape | None = None
    log_limit: int = 10_000_000
    avoid: tuple[str, ...] = ()
    kept: Mapping[str, Any] | None = None
    """The checkpoint of an earlier attempt: url, size, sha256."""
    owner: str = ""
    group: str = ""


AS_PLANNED = Order()
NOTHING_KNOWN = Scope({}, {})
"""For what is the same in all jobs."""
MOST_MADE = 10_000
"""Of so many jobs and tasks it is remembered in one expansion what their outputs are called."""


class FileNames(tuple[str, ...]):
    """Names of a task's files in the sandbox: all in order, or by source or name with `by`."""

    by: Mapping[str, Any]


def program(plan: Plan) -> Program:
    """Return the compiled plan, made when first asked for and kept with it."""
    kept: Program | None = vars(plan).get("_program")
    if kept is None:
        kept = vars(plan)["_program"] = Program(plan)
    return kept


class Program:
    """A plan with every template compiled."""

    def __init__(self, plan: Plan) -> None:
        """Compile. Raises `Invalid` for a malformed template."""
        self.plan = plan
        self.tasks = [TaskProgram(self, task) for task in plan.tasks]
        self.named = {part.task.name: part for part in self.tasks}


class TaskProgram:
    """One task with every template compiled."""

    def __init__(self, whole: Program, task: TaskPlan) -> None:
        """Compile."""
        self.whole, self.task = whole, task
        self.pending: Mapping[str, Mentioned] = parameters_of(whole.plan.parameters, task.parameters)
        self.commands = [CommandProgram(command) for command in task.commands]
        self.variables = TextTable(task.variables)
        self.image = compile_template(task.image)
        constant = self.variables.constant and self.image.constant is not None
        self._same = self._environment(NOTHING_KNOWN) if constant else None  # for all jobs
        self.inputs = [_InputProgram(item) for item in task.inputs]
        self.outputs = [(item, compile_template(item.name), compile_template(item.url)) for item in task.outputs]
        self.follow_inputs = _follow_inputs(self.outputs, self.pending)
        self.checkpoint = compile_template(task.checkpoint)
        files = task.inputs or task.outputs or task.checkpoint
        self._fixed = constant and not files and all(command.constant for command in self.commands)
        self.numbers = {item.name: number for number, item in enumerate(task.outputs)}
        self._shipped: dict[str, tuple[Input, ...]] = {}

    def scope(self, where: Where, job: int, *, needs: bool = False, attempt: int = 0) -> Scope:
        """Return the names known in a job, without those of the task's own files."""
        plan = self.whole.plan
        known: dict[str, Any] = {"jobs": where.jobs, "task": self.task.name}
        if not needs:
            known["dataset"], known["store"] = where.dataset, where.store
        if attempt:
            known["attempt"] = attempt
        if job != ONCE:
            known["job"] = job
            if plan.items:
                known |= plan.items[job % len(plan.items)]
                known["repetition"] = job // len(plan.items)
        return Scope(known, self.pending)

    def spec(
        self,
        where: Where,
        job: int,
        attempt: int,
        lease: str,
        recorded: Mapping[Any, Recorded] | None,
        order: Order,
    ) -> TaskSpec:
        """Expand one attempt."""
        task = self.task
        inputs, outputs = list[Input](), list[Output]()
        scope = NOTHING_KNOWN
        if not self._fixed:
            scope = self.scope(where, job, attempt=attempt)
            inputs = self.name_inputs(scope, where, job, recorded)
            outputs = self.name_outputs(scope, where, job)
        return TaskSpec(
            address=str(Address(where.dataset, job, task.name, attempt)),
            lease=lease,
            commands=tuple(command.expand(scope) for command in self.commands),
            environment=self._same or self._environment(scope),
            inputs=(*self._files(where.blobs), *inputs),
            outputs=tuple(outputs),
            shape=order.shape or self.shape(where, job),
            log_limit=order.log_limit,
            avoid=order.avoid,
            checkpoint=self._checkpoint(scope, where, job, attempt, order.kept) if task.checkpoint else None,
            engines=task.engines,
            owner=order.owner,
            group=order.group,
        )

    def shape(self, where: Where, job: int) -> Shape:
        """Return what the task asks for in a job, rounded. Raises `Invalid` where an expression fails for this job."""
        return self.task.shape or shape_from(self.task.needs, self.scope(where, job, needs=True))

    def _environment(self, scope: Scope) -> Environment:
        task = self.task
        return Environment(self.variables.expand(scope), task.setup, self.image.render(scope), task.requirements)

    def _checkpoint(
        self, scope: Scope, where: Where, job: int, attempt: int, kept: Mapping[str, Any] | None
    ) -> Checkpoint:
        name = self.checkpoint_name(scope)
        before = kept and Input(name, str(kept["url"]), str(kept["sha256"]), int(kept["size"]), optional=True)
        return Checkpoint(
            name, checkpoint_place(where.store, where.dataset, self.task.name, job, attempt, name), before or None
        )

    def checkpoint_name(self, scope: Scope) -> str:
        """Return the name of the checkpoint in the sandbox. Raises `Invalid` for one that leads out of it."""
        return relative(self.checkpoint.render(scope))

    def name_inputs(self, scope: Scope, where: Where, job: int, recorded: Mapping[Any, Recorded] | None) -> list[Input]:
        """Return the inputs, and make their names known in the scope."""
        found: list[Input] = []
        by: dict[str, Any] = {}
        for item in self.inputs:
            made = list(item.expand(self, scope, where, job, recorded))
            found += made
            names: Any = tuple([one.name for one in made])
            if len(made) == 1 and not self.gathers(item.plan):
                names = names[0]
            for key in item.keys:
                by[key] = (*_several(by[key]), *_several(names)) if key in by else names
            if item.plan.file == "{path}" and made:
                scope["input"] = made[0].name
        everything = FileNames([item.name for item in found])
        everything.by = by
        scope["inputs"] = everything
        if len(self.inputs) == 1 and len(found) == 1 and not self.gathers(self.inputs[0].plan):
            scope["input"] = found[0].name
        return found

    def gathers(self, item: InputPlan) -> bool:
        """Tell whether an input stands for the outputs of all jobs."""
        return self.task.once and bool(item.task) and not self.whole.named[item.task].task.once

    def left_out(self, where: Where) -> int:
        """Return of how many jobs outputs were not gathered."""
        several = any(self.gathers(item.plan) for item in self.inputs)
        return max(0, where.jobs - where.most) if several and where.most is not None else 0

    def name_outputs(self, scope: Scope, where: Where, job: int) -> list[Output]:
        """Return the outputs, and make their names known in the scope."""
        found = []
        for plan, name, url in self.outputs:
            local = name.render(scope)
            if plan.name != local:
                local = relative(local)
            place = url.render(scope) if plan.url else ""
            at = kept_at(place, local, where.store, where.dataset) if place else self._usual(where, job, local)
            found.append(Output(local, at, plan.optional, plan.temporary))
        names = FileNames([item.name for item in found])
        names.by = {item.name: item.name for item in found}
        scope["outputs"] = names
        if len(found) == 1:
            scope["output"] = found[0].name
        return found

    def output_name(self, where: Where, job: int, name: str) -> tuple[str, bool]:
        """Return the name of the output written as the template `name`, and whether it is optional."""
        plan, text, _ = self.outputs[self.numbers[name]]
        return text.constant or self.output(where, job, name).name, plan.optional

    def output(self, where: Where, job: int, name: str) -> Output:
        """Return where this task keeps (or will keep) the output whose name is written as the template `name`."""
        number = self.numbers[name]
        plan, text, _ = self.outputs[number]
        if not plan.url and text.constant is not None:
            return Output(plan.name, self._usual(where, job, plan.name), plan.optional, plan.temporary)
        made = where.made.get((self.task.name, job))
        if made is None:
            scope = self.scope(where, job)
            if self.follow_inputs:
                self.name_inputs(scope, where, job, None)
            made = self.name_outputs(scope, where, job)
            if len(where.made) < MOST_MADE:
                where.made[self.task.name, job] = made
        return made[number]

    def _usual(self, where: Where, job: int, name: str) -> str:
        return usual_place(where.store, where.dataset, self.task.name, job, name)

    def _files(self, blobs: str) -> tuple[Input, ...]:
        shipped = self._shipped.get(blobs)
        if shipped is None:
            files = self.whole.plan.files
            shipped = tuple(
                _file_input(name, name, self.whole.plan, blobs) for name in self.task.files if name in files
            )
            self._shipped = {blobs: shipped}
        return shipped


def _follow_inputs(outputs: Sequence[tuple[OutputPlan, Template, Template]], pending: Mapping[str, Mentioned]) -> bool:
    """Tell whether names or places of outputs mention names of inputs, by parameters or themselves."""
    mentioned = {name for _, text, url in outputs for name in (*text.names, *url.names)}
    ahead = list(mentioned)
    while ahead:
        name = ahead.pop()
        more = pending[name].names - mentioned if name in pending else frozenset()
        mentioned |= more
        ahead += more
    return not mentioned.isdisjoint(("input", "inputs"))


def _several(names: Any) -> tuple[str, ...]:
    return names if isinstance(names, tuple) else (names,)


def _file_input(local: str, name: str, plan: Plan, blobs: str, optional: bool = False) -> Input:
    stored = plan.files[name]
    url = stored.url or blob(blobs, stored.sha256)
    return Input(local, url, stored.sha256, stored.size, optional, stored.mode)


class _InputProgram:
    """One input, compiled."""

    def __init__(self, plan: InputPlan) -> None:
        self.plan = plan
        self.name = compile_template(plan.name)
        self.source: Template = compile_template(plan.url or plan.file)
        constant = self.name.constant
        if plan.task:
            self.keys = [plan.task, f"{plan.task}/{plan.output}"]
        else:
            self.keys = [item for item in (constant, plan.url or plan.file) if item]
        if plan.task and constant:
            self.keys.append(constant)

    def expand(
        self, task: TaskProgram, scope: Scope, where: Where, job: int, recorded: Mapping[Any, Recorded] | None
    ) -> Iterator[Input]:
        plan = self.plan
        if plan.task:
            yield from self._made(task, scope, where, job, recorded)
            return
        source = self.source.render(scope)
        if plan.optional and plan.name and not self.name.render(scope):
            return  # this job has no such file
        local = self._local(scope)
        if plan.file:
            if source not in task.whole.plan.files:
                raise Invalid(f'the file "{source}" did not come with the recipe', code="no-file")
            yield _file_input(local, source, task.whole.plan, where.blobs, plan.optional)
        else:
            yield Input(local, source, optional=plan.optional)

    def _local(self, scope: Mapping[str, Any]) -> str:
        local = self.name.render(scope)
        return local if local == self.plan.name else relative(local)

    def _made(
        self, task: TaskProgram, scope: Scope, where: Where, job: int, recorded: Mapping[Any, Recorded] | None
    ) -> Iterator[Input]:
        maker = task.whole.named[self.plan.task]
        several = task.gathers(self.plan)
        jobs = where.jobs if where.most is None else min(where.jobs, where.most)
        for number in range(jobs) if several else (ONCE if maker.task.once else job,):
            made, optional = maker.output_name(where, number, self.plan.output)
            found = recorded.get((self.plan.task, number, made)) if recorded is not None else None
            if found is None and recorded is not None and optional:
                continue
            if self.name.constant:
                local = self.name.constant
            elif self.plan.name:
                local = self._local(task.scope(where, number) if several else scope)
            else:
                local = numbered(made, number) if several else made
            if found is None:
                url = maker.output(where, number, self.plan.output).url
                yield Input(local, url, optional=self.plan.optional)
            else:
                yield Input(local, found.url, found.sha256, found.size, self.plan.optional)
