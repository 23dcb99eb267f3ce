"""A checked document to a plan: every step reports what is wrong and goes on with what is sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.datasets.draft import Draft, Drafter
from nunatak.datasets.follow import Follower
from nunatak.datasets.foreach import items_of
from nunatak.datasets.manifest import Manifest
from nunatak.datasets.names import Namer, Stage, Written
from nunatak.datasets.order import Order
from nunatak.datasets.plan import Plan, TaskPlan
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.schema import ITEM_NAMES, MOST_JOBS
from nunatak.datasets.shape import shape_from
from nunatak.datasets.shelf import Shelf
from nunatak.datasets.template import Mentioned, Scope, compile_value
from nunatak.datasets.trial import Trial
from nunatak.datasets.wiring import circle, ordered
from nunatak.datasets.yaml_source import Path


class Builder:
    """Goes from the checked document to the plan."""

    def __init__(self, document: Mapping[str, Any], report: Report, manifest: Manifest) -> None:
        """Keep the document; parameters that do not compile are reported and left out."""
        self.document, self.report = document, report
        self.shelf = Shelf(manifest, report)
        self.outer = self._compiled(document.get("parameters", {}), ("parameters",))
        self.sound = True
        self.unsound: set[str] = set()

    def build(self) -> Plan:
        """Return the plan; only good if nothing was reported."""
        drafter = Drafter(self.document, self.report)
        drafts = drafter.drafts()
        items = self._items()
        namers = {name: self._namer(draft, items) for name, draft in drafts.items()}
        self._check_names(drafts, namers)
        self._check_dataset_parameters(drafts, items)
        parents = Order(drafts, drafter.declared, self.report, self.unsound).parents()
        self._find_inputs(drafts)
        follower = Follower(self.document, self.report)
        follows = {
            name: follower.of(draft.follows, namers[name], once=draft.once, first=not parents[name])
            for name, draft in drafts.items()
        }
        tasks = {
            name: replace(self._task(draft, drafter, namers[name], parents[name]), follows=follows[name])
            for name, draft in drafts.items()
        }
        order = ordered(parents) if not circle(parents) else list(parents)
        plan = Plan(
            name=self.document.get("name", "?"),
            description=self.document.get("description", ""),
            jobs=self.document.get("jobs", 1) * max(1, len(items)),
            tasks=tuple(tasks[name] for name in order),
            parameters=self.document.get("parameters", {}),
            items=tuple(items),
            files=dict(self.shelf.files),
        )
        if plan.jobs > MOST_JOBS:
            self.report.add(("jobs",), f"{plan.jobs:,} jobs are over {MOST_JOBS:,}")
            return plan
        trial = Trial(self._tried(plan), drafts, self.shelf, self.report)
        trial.run({name: namers[name] for name in drafts if name in self.unsound or not self.sound})
        return replace(plan, files=dict(sorted(self.shelf.files.items())))

    def _tried(self, plan: Plan) -> Plan:
        """Return the part of the plan in which nothing was reported."""
        tasks = tuple(task for task in plan.tasks if self.sound and task.name not in self.unsound)
        return replace(plan, tasks=tasks, parameters={name: plan.parameters[name] for name in self.outer})

    def _compiled(self, values: Mapping[str, Any], path: Path) -> dict[str, Mentioned]:
        found = {}
        for name, value in values.items():
            try:
                found[name] = compile_value(value)
            except Invalid as error:
                self.report.error((*path, name), error)
        return found

    def _items(self) -> list[Mapping[str, Any]]:
        value = self.document.get("foreach")
        if value is None:
            return []
        items = items_of(value, self.outer, self.shelf, self.report)
        clash = set(items[0] if items else ()) & set(self.document.get("parameters", {}))
        for name in sorted(clash):
            self.report.add(
                ("foreach", name), f"{quoted(name)} is also a parameter", "give one of them another name", key=True
            )
        self.sound = self.sound and not self.report.touches(("foreach",))
        return items

    def _item_names(self, items: list[Mapping[str, Any]]) -> frozenset[str]:
        if "foreach" not in self.report.source.value:
            return frozenset()
        given = set(items[0]) if items else {*ITEM_NAMES}
        return frozenset(given | {"repetition"})

    def _namer(self, draft: Draft, items: list[Mapping[str, Any]]) -> Namer:
        own = draft.entry.get("parameters", {})
        plans = [plan for _, plan in draft.inputs]
        files = {"inputs", "outputs"}
        if len(draft.outputs) == 1:
            files.add("output")
        return Namer(
            self.report,
            self.outer,
            self._compiled(own, (*draft.path, "parameters")),
            frozenset((*self._raw("parameters"), *self._raw("tasks", draft.name, "parameters"))),
            self._item_names(items),
            draft.once,
            draft.name,
            frozenset(files | ({"input"} if _has_input(plans, draft) else set())),
        )

    def _raw(self, *path: str) -> frozenset[str]:
        """Return the keys the file has under `path`, right or wrong."""
        value = self.report.source.value
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return frozenset(value) if isinstance(value, Mapping) else frozenset()

    def _check_names(self, drafts: Mapping[str, Draft], namers: Mapping[str, Namer]) -> None:
        for name, draft in drafts.items():
            namer = namers[name]
            namer.check_parameters()
            before = len(self.report.problems)
            for written in draft.texts:
                namer.check(written)
            if (
                len(self.report.problems) > before
                or self.report.touches(draft.path)
                or any(namer.depends_on_broken(written.value) for written in draft.texts)
            ):
                self.unsound.add(name)

    def _check_dataset_parameters(self, drafts: Mapping[str, Draft], items: list[Mapping[str, Any]]) -> None:
        declared = self._raw("parameters").union(*(self._raw("tasks", name, "parameters") for name in drafts))
        Namer(self.report, self.outer, {}, declared, self._item_names(items), False, "").check_parameters()

    def _find_inputs(self, drafts: Mapping[str, Draft]) -> None:
        for name, draft in drafts.items():
            for path, plan in draft.inputs:
                others = ", ".join(other for other in drafts if other != name) if plan.file and "/" in plan.file else ""
                if (
                    plan.file
                    and "{" not in plan.file
                    and not self.shelf.find(plan.file, path, f"the tasks are {others}" if others else "")
                ):
                    self.unsound.add(name)

    def _task(self, draft: Draft, drafter: Drafter, namer: Namer, parents: list[str]) -> TaskPlan:
        setup, requirements = (self._environment_file(draft, drafter, key) for key in ("setup", "requirements"))
        files = self._files(draft, namer, [setup, requirements])
        task = TaskPlan(
            name=draft.name,
            once=draft.once,
            after=tuple(parents),
            commands=tuple(draft.commands),
            parameters=draft.entry.get("parameters", {}),
            files=tuple(files),
            inputs=tuple(plan for _, plan in draft.inputs),
            outputs=tuple(plan for _, plan in draft.outputs),
            needs=draft.needs,
            variables=draft.variables,
            setup=setup,
            image=draft.image,
            requirements=requirements,
            retry=draft.retry,
            learn=draft.learn,
            checkpoint=draft.checkpoint,
            splittable=self._splittable(draft),
            engines=draft.engines,
        )
        return self._shaped(task, draft, namer)

    def _shaped(self, task: TaskPlan, draft: Draft, namer: Namer) -> TaskPlan:
        if draft.name in self.unsound or any(namer.varies(value) for value in draft.needs.values()):
            return task
        try:
            return replace(task, shape=shape_from(draft.needs, Scope({"task": draft.name}, namer.parameters)))
        except Invalid:
            return task  # the trial reports it, at its place

    def _splittable(self, draft: Draft) -> str:
        """Return the parameter that may be divided over more jobs; "" if none, or after reporting one that cannot be."""
        name, path = draft.entry.get("splittable", ""), (*draft.path, "splittable")
        if not name:
            return ""
        values = {**self.document.get("parameters", {}), **draft.entry.get("parameters", {})}
        if draft.once:
            self.report.add(path, "a task done once a dataset cannot be divided over more jobs")
        elif name not in values:
            hint = f"the parameters are {', '.join(sorted(values))}" if values else "declare it under parameters:"
            self.report.add(path, f"there is no parameter {quoted(name)}", hint)
        elif type(values[name]) is not int or values[name] < 1:
            self.report.add(path, f"{quoted(name)} is not a whole number above zero, and cannot be divided")
        else:
            return str(name)
        return ""

    def _environment_file(self, draft: Draft, drafter: Drafter, key: str) -> str:
        name, path = drafter.setting(draft, "environment", key)
        if not name:
            return ""
        if key == "setup" and str(name).startswith("/cvmfs/") and ".." not in str(name):
            return str(name)
        return self.shelf.find(str(name), path)

    def _files(self, draft: Draft, namer: Namer, more: list[str]) -> list[str]:
        """Return the names of files to ship: the recipe's, the task's, and those its environment and stdin name."""
        found: dict[str, None] = {}
        for path, text in [*self.document.get("files", ()), *draft.entry.get("files", ())]:
            name = self._fixed(path, text, draft, namer)
            found |= dict.fromkeys(self.shelf.names(name, path) if name else ())
        found |= {name: None for name in more if name and not name.startswith("/")}
        local = {*found, *(plan.name for _, plan in draft.inputs), *(plan.name for _, plan in draft.outputs)}
        for command in draft.commands:
            if command.stdin and "{" not in command.stdin and command.stdin not in local:
                path = (*draft.path, "stdin") if "stdin" in draft.entry else (*draft.path, "run")
                hint = "name one of the task's files, inputs or outputs, or a file beside the recipe"
                name = self.shelf.find(command.stdin, path, hint)
                found |= {name: None} if name else {}
        return list(found)

    def _fixed(self, path: Path, text: str, draft: Draft, namer: Namer) -> str:
        """Return a file name after its expressions, which may only use parameters; "" after reporting."""
        if "{" not in text:
            return text
        before = len(self.report.problems)
        namer.check(Written(path, text, Stage.FIXED))
        if len(self.report.problems) > before or draft.name in self.unsound or not self.sound:
            return ""
        try:
            return str(compile_value(text).evaluate(Scope({"task": draft.name}, namer.parameters)))
        except Invalid as error:
            self.report.error(path, error)
            return ""


def _has_input(plans: list[Any], draft: Draft) -> bool:
    """Tell whether `{input}` means one file: that of foreach, or the only one."""
    if any(plan.file == "{path}" for plan in plans):
        return True
    return len(plans) == 1 and not (draft.once and plans[0].task)
