"""Who comes before whom: checks `after`, inputs from other tasks, circles, and tasks done once."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.core.spelling import nearest
from nunatak.datasets.draft import Draft
from nunatak.datasets.plan import InputPlan
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.wiring import ancestors, circle
from nunatak.datasets.yaml_source import Path


class Order:
    """Finds each task's parents; `unsound` gets the tasks for which that went wrong."""

    def __init__(self, drafts: Mapping[str, Draft], declared: set[str], report: Report, unsound: set[str]) -> None:
        """Keep the tasks; `declared` has the names of those left out too."""
        self.drafts, self.declared, self.report, self.unsound = drafts, declared, report, unsound

    def parents(self) -> dict[str, list[str]]:
        """Return each task's parents: what it comes after, and the tasks whose outputs it reads."""
        parents = {name: self._after(draft) for name, draft in self.drafts.items()}
        implied = {
            name: parents[name]
            + [plan.task for _, plan in draft.inputs if plan.task in self.drafts and not parents[name]]
            for name, draft in self.drafts.items()
        }
        for name, draft in self.drafts.items():
            before = ancestors(name, implied)
            for path, plan in draft.inputs:
                if plan.task:
                    self._check_made(draft, path, plan, before)
                if plan.task in self.drafts and plan.task not in parents[name]:
                    parents[name].append(plan.task)
        self._check_circle(parents)
        self._check_once(parents)
        return parents

    def _after(self, draft: Draft) -> list[str]:
        found: list[str] = []
        for path, name in draft.after:
            if name == draft.name:
                self.report.add(path, f"the task {quoted(name)} cannot come after itself")
            elif name not in self.declared:
                self.report.add(path, f"there is no task {quoted(name)}", nearest(name, self.declared - {draft.name}))
            elif name in found:
                self.report.add(path, f"{quoted(name)} is named twice")
            elif name in self.drafts:
                found.append(name)
        return found

    def _check_made(self, draft: Draft, path: Path, plan: InputPlan, before: set[str]) -> None:
        if plan.task == draft.name:
            self.report.add(path, f"the task {quoted(draft.name)} cannot read its own output")
            self.unsound.add(draft.name)
            return
        maker = self.drafts.get(plan.task)
        if maker is None:
            return
        made = {output.name: output for _, output in maker.outputs}
        if plan.output not in made:
            if not self.report.touches((*maker.path, "outputs")):
                hint = nearest(plan.output, made) or f"{plan.task} has no outputs"
                self.report.add(path, f"the task {quoted(plan.task)} has no output {quoted(plan.output)}", hint)
            self.unsound.add(draft.name)
        elif made[plan.output].optional and not plan.optional:
            hint = f'write "{plan.task}/{plan.output}?"'
            self.report.add(path, f"{quoted(plan.output)} need not appear, so it has to be optional here too", hint)
        elif made[plan.output].temporary and draft.once and not maker.once:
            hint = "remove temporary: true"
            self.report.add(path, f"{quoted(plan.output)} is deleted when its job is done, before all jobs are", hint)
        if draft.after and plan.task not in before:
            after = ", ".join(name for _, name in draft.after)
            message = f"the task {quoted(plan.task)} does not come before {quoted(draft.name)}"
            self.report.add(path, message, f"write after: [{after}, {plan.task}]")

    def _check_circle(self, parents: Mapping[str, list[str]]) -> None:
        others = {name: [other for other in before if other != name] for name, before in parents.items()}
        found = circle(others)
        if not found:
            return
        self.unsound.update(parents)
        waits = found[0]
        key = "after" if any(name == found[1] for _, name in self.drafts[waits].after) else "inputs"
        shown = " > ".join(found)
        self.report.add(
            (*self.drafts[waits].path, key), f"tasks wait for each other in a circle: {shown}", "break it somewhere"
        )

    def _check_once(self, parents: Mapping[str, list[str]]) -> None:
        for name, draft in self.drafts.items():
            if not draft.once:
                continue
            before = sorted(other for other in ancestors(name, parents) if not self.drafts[other].once)
            later = sorted(
                other for other, task in self.drafts.items() if not task.once and name in ancestors(other, parents)
            )
            if before and later:
                message = f"a task done once comes before all jobs or after them: this is after {quoted(before[0])}"
                hint = "put what follows into a dataset of its own that reads these outputs"
                self.report.add((*draft.path, "once"), f"{message} and before {quoted(later[0])}", hint)
