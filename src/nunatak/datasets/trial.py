"""Evaluates every expression of a plan for a sample of jobs, so that what would fail later fails now, at its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nunatak.core.address import ONCE
from nunatak.core.errors import Invalid
from nunatak.core.units import memory_text, time_text
from nunatak.core.work import Input, Output, Shape
from nunatak.datasets.commands import shell_parts
from nunatak.datasets.draft import Draft
from nunatak.datasets.names import Namer, Stage, Written
from nunatak.datasets.plan import GROWING, Plan
from nunatak.datasets.program import Program, TaskProgram, Where
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.shape import need
from nunatak.datasets.shelf import Shelf
from nunatak.datasets.template import Scope, compile_template, compile_value
from nunatak.datasets.yaml_source import Path

MOST_TRIED = 64
"""Jobs for which everything is evaluated, at most."""
MOST_EVALUATED = 20_000
"""Texts evaluated in all: the more a recipe has, the fewer jobs are tried."""
MOST_SECONDS = 2.0
"""Seconds of processor after which no more than one job is tried of each further task: texts may cost what they like."""
MOST_LISTED = 10_000
"""Jobs for which outputs are compared and names of the submitter's files are looked up."""


def sample(jobs: int, items: int, most: int) -> list[int]:
    """Return up to about `most` jobs: the first, the last, some between, and repetitions of the first item."""
    if jobs <= most:
        return list(range(jobs))
    step = jobs / (most // 2)
    spread = {int(number * step) for number in range(most // 2)}
    return sorted(
        {*range(most // 2 - 4), *spread, jobs - 1, *(number for number in (items, items + 1) if 0 < number < jobs)}
    )


class Trial:
    """One pass over all tasks that are sound so far."""

    def __init__(
        self,
        plan: Plan,
        drafts: Mapping[str, Draft],
        shelf: Shelf,
        report: Report,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """Keep what is to be tried; `clock` tells the processor time that was used."""
        self.clock, self.until = clock, clock() + MOST_SECONDS
        self.plan, self.drafts, self.shelf, self.report = plan, drafts, shelf, report
        texts = sum(len(draft.texts) for draft in drafts.values())
        self.tried = max(4, min(MOST_TRIED, MOST_EVALUATED // max(1, texts)))
        self.where = Where(1, plan.jobs, "file:///store", "file:///files", most=self.tried)
        self.failed: set[Path] = set()
        self.written: dict[str, tuple[str, int]] = {}

    def run(self, unsound: Mapping[str, Namer]) -> None:
        """Report all that fails; of tasks that are not sound, what can be evaluated by itself."""
        self._files()
        program = Program(replace(self.plan, files=self.shelf.files))
        for part in program.tasks:
            if {item.task for item in part.task.inputs if item.task} <= set(program.named):
                self._task(part, self.drafts[part.task.name])
        for part in program.tasks:
            if {item.task for item in part.task.inputs if item.task} <= set(program.named):
                self._places(part, self.drafts[part.task.name])
        for name, namer in unsound.items():
            self._alone(self.drafts[name], namer)

    def _alone(self, draft: Draft, namer: Namer) -> None:
        """Evaluate what needs nothing but parameters and the job's number."""
        known = {"task": draft.name, "jobs": self.plan.jobs, "dataset": 1, "store": "file:///store"}
        known |= {} if draft.once else {"job": 0}
        for written in draft.texts:
            if namer.depends_on_broken(written.value):
                continue
            value = compile_value(written.value)
            if frozenset().union(*(namer.leaves(name) for name in value.names)) <= set(known):
                try:
                    _evaluate(written, Scope(known, namer.parameters))
                except Invalid as error:
                    self.report.error(written.path, error)

    def _jobs(self, part: TaskProgram, most: int) -> list[int]:
        return [ONCE] if part.task.once else sample(self.plan.jobs, len(self.plan.items), most)

    def _files(self) -> None:
        """Look up the submitter's files that inputs name, for all jobs where the name differs."""
        for part in Program(self.plan).tasks:
            for path, item in self.drafts[part.task.name].inputs:
                if item.file and item.file != "{path}" and "{" in item.file:
                    self._named_files(part, path, item.file)
                elif item.file and (not self.plan.items or "path" not in self.plan.items[0]):
                    self.report.add(
                        path, "there is no foreach over files", "say foreach: with a pattern such as data/*.i3"
                    )
                    self.failed.add(path)

    def _named_files(self, part: TaskProgram, path: Path, text: str) -> None:
        template = compile_template(text)
        for job in self._jobs(part, MOST_LISTED):
            try:
                found = self.shelf.find(template.render(part.scope(self.where, job)), path)
            except Invalid as error:
                self.report.error(path, error)
                found = ""
            if not found:
                self.failed.add(path)
                return

    def _task(self, part: TaskProgram, draft: Draft) -> None:
        for number, job in enumerate(self._jobs(part, self.tried)):
            if number and self.clock() > self.until:
                return
            before = len(self.report.problems)
            self._needs(part, draft, job)
            scope = part.scope(self.where, job, attempt=1)
            where = replace(self.where, jobs=min(self.where.jobs, self.tried))
            try:
                inputs = self._after(
                    draft, scope, (Stage.SOURCE, Stage.LOCAL), "inputs", part.name_inputs, scope, where, job, None
                )
                outputs = self._after(
                    draft, scope, (Stage.OUTPUT,), "outputs", part.name_outputs, scope, self.where, job
                )
                self._try(draft, scope, (Stage.RUN,))
                self._distinct(part, draft, inputs, outputs)
                self._checkpoint(part, draft, scope, inputs)
            except _Stop:
                return
            if len(self.report.problems) > before:
                return

    def _after(
        self,
        draft: Draft,
        scope: Scope,
        stages: tuple[Stage, ...],
        key: str,
        call: Callable[..., list[Any]],
        *values: Any,
    ) -> list[Any]:
        """Try the texts of some stages, then what is made of them; stop if later texts would miss names."""
        before = len(self.report.problems)
        self._try(draft, scope, stages)
        if len(self.report.problems) > before or any(path in self.failed for path, _ in draft.inputs):
            raise _Stop
        try:
            return call(*values)
        except Invalid as error:
            self.report.error((*draft.path, key), error)
            raise _Stop from None

    def _needs(self, part: TaskProgram, draft: Draft, job: int) -> None:
        scope = part.scope(self.where, job, needs=True)
        first = {name: getattr(Shape(), name) for name in GROWING}
        for written in draft.texts:
            if written.stage is Stage.NEEDS:
                try:
                    amount = need(str(written.path[-1]), written.value, scope)
                except Invalid as error:
                    self.report.error(written.path, error)
                    continue
                first[str(written.path[-1])] = amount
        for name in GROWING:
            most = getattr(draft.retry, name).most
            if 0 < most < first[name]:
                own = name in draft.entry.get("retry", {})
                path: Path = (*draft.path, "retry", name) if own else ("retry", name)
                say = time_text if name == "time" else memory_text
                self.report.add(
                    path,
                    f"{name} is raised up to {say(most)}, but the task needs {say(first[name])} at first",
                    "raise the limit",
                )

    def _try(self, draft: Draft, scope: Scope, stages: tuple[Stage, ...]) -> None:
        for written in draft.texts:
            if written.stage in stages and not written.several and written.path not in self.failed:
                try:
                    _evaluate(written, scope)
                except Invalid as error:
                    self.report.error(written.path, error)

    def _distinct(self, part: TaskProgram, draft: Draft, inputs: list[Input], outputs: list[Output]) -> None:
        """Report files of one task that have the same name in its sandbox."""
        seen = dict.fromkeys(part.task.files, "one of its files")
        for name, what, path in self._local_names(draft, inputs, outputs):
            if name in seen:
                hint = f'call the input something else: "SOURCE -> {"in." + name if "/" not in name else "in/" + name}"'
                self.report.add(path, f"{quoted(name)} is both {seen[name]} and {what} of this task", hint)
            seen[name] = what

    def _checkpoint(self, part: TaskProgram, draft: Draft, scope: Scope, inputs: list[Input]) -> None:
        """Report a checkpoint whose name leads out of the sandbox or is that of a file which is there at the start."""
        path = (*draft.path, "checkpoint")
        if not draft.checkpoint:
            return
        try:
            name = part.checkpoint_name(scope)
        except Invalid as error:
            self.report.error(path, error)
            return
        if name in {*part.task.files, *(item.name for item in inputs)}:
            self.report.add(
                path, f"{quoted(name)} is both the checkpoint and an input of this task", "rename one of them"
            )

    @staticmethod
    def _local_names(draft: Draft, inputs: list[Input], outputs: list[Output]) -> Iterator[tuple[str, str, Path]]:
        several = len(inputs) != len(draft.inputs)
        for number, item in enumerate(inputs):
            yield item.name, "an input", (*draft.path, "inputs") if several else draft.inputs[number][0]
        for number, output in enumerate(outputs):
            yield output.name, "an output", draft.outputs[number][0]

    def _places(self, part: TaskProgram, draft: Draft) -> None:
        """Report outputs of different jobs or tasks that would be kept at the same place."""
        if self.report.touches(draft.path):
            return
        for job in self._jobs(part, MOST_LISTED if self.plan.items else MOST_TRIED):
            try:
                made = [part.output(self.where, job, plan.name) for _, plan in draft.outputs]
            except Invalid:
                return
            for (path, plan), output in zip(draft.outputs, made, strict=True):
                owner = self.written.setdefault(output.url, (part.task.name, job))
                if owner != (part.task.name, job):
                    self._collision(path, plan.url or plan.name, owner, (part.task.name, job))
                    return
            if len({output.url for output in made}) < len(made):
                path, plan = draft.outputs[-1]
                self.report.add(path, f"two outputs of this task are kept at {quoted(plan.url or plan.name)}")
                return

    def _collision(self, path: Path, place: str, first: tuple[str, int], second: tuple[str, int]) -> None:
        if first[0] != second[0]:
            who, hint = f'the tasks "{first[0]}" and "{second[0]}"', "give one of them another place"
        else:
            who, hint = f"the jobs {first[1]} and {second[1]}", "put {job:06d} into the place"
        self.report.add(path, f"{who} both keep an output at {quoted(place)}", hint)


def _evaluate(written: Written, scope: Scope) -> None:
    if written.stage is Stage.NEEDS:
        need(str(written.path[-1]), written.value, scope)
    elif written.shell:
        list(shell_parts(compile_template(written.value), scope, {}))
    elif written.stage is Stage.RUN and written.path[2:3] == ("run",):
        compile_template(written.value).words(scope)
    else:
        compile_template(written.value).render(scope)


class _Stop(Exception):  # noqa: N818 - ends the trial of one task, never leaves this module
    pass
