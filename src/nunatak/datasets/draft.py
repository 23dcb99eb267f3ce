"""One task while it is checked: what the recipe says of it, taken apart, with the place of everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nunatak.core import units
from nunatak.core.errors import Invalid
from nunatak.datasets.engines import told
from nunatak.datasets.follow import apart, followed
from nunatak.datasets.growth import growth
from nunatak.datasets.manifest import is_pattern
from nunatak.datasets.names import Stage, Written
from nunatak.datasets.plan import GROWING, LEARN, CommandPlan, InputPlan, OutputPlan, Retry
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.template import compile_value
from nunatak.datasets.wiring import Split, default_name, read_input, read_output, split_arrow
from nunatak.datasets.words import split_commands
from nunatak.datasets.yaml_source import Path


@dataclass(slots=True)
class Draft:
    """A task taken apart; `texts` are all its expressions."""

    name: str
    entry: Mapping[str, Any]
    once: bool
    after: list[tuple[Path, str]] = field(default_factory=list)
    follows: list[tuple[Path, str]] = field(default_factory=list)  # what it comes after in other datasets
    inputs: list[tuple[Path, InputPlan]] = field(default_factory=list)
    outputs: list[tuple[Path, OutputPlan]] = field(default_factory=list)
    commands: list[CommandPlan] = field(default_factory=list)
    needs: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    image: str = ""
    retry: Retry = field(default_factory=Retry)
    learn: str = LEARN
    checkpoint: str = ""
    engines: dict[str, Any] = field(default_factory=dict)
    texts: list[Written] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Where the task stands."""
        return ("tasks", self.name)


class Drafter:
    """Takes tasks apart, the recipe's defaults laid below what each says."""

    def __init__(self, document: Mapping[str, Any], report: Report) -> None:
        """Keep the recipe's checked document; tasks that were reported are not in it."""
        self.document = document
        self.report = report
        self.entries: Mapping[str, Mapping[str, Any]] = document.get("tasks", {})
        declared = report.source.value.get("tasks") if isinstance(report.source.value, Mapping) else None
        self.declared = set(declared) if isinstance(declared, Mapping) else set()

    def drafts(self) -> dict[str, Draft]:
        """Return all tasks taken apart."""
        drafts = {name: self._draft(name, entry) for name, entry in self.entries.items()}
        for draft in drafts.values():
            self._inputs(draft, drafts)
        return drafts

    def _draft(self, name: str, entry: Mapping[str, Any]) -> Draft:
        own, others = apart(entry.get("after", ()))
        draft = Draft(name, entry, bool(entry.get("once", False)), own, others)
        self._commands(draft)
        self._outputs(draft)
        for key, value, path in self._settings(draft, "needs"):
            draft.needs[key] = [item for _, item in value] if isinstance(value, list) else value
            draft.texts.append(Written(path, draft.needs[key], Stage.NEEDS))
        self._environment(draft)
        self._retry(draft)
        below, own = self.document.get("engines", {}), entry.get("engines", {})
        draft.engines = {kind: told(below.get(kind, {}), own.get(kind, {})) for kind in {**below, **own}}
        draft.learn = draft.entry.get("learn", self.document.get("learn", LEARN))
        draft.checkpoint = entry.get("checkpoint", "")
        if draft.checkpoint:
            draft.texts.append(Written((*draft.path, "checkpoint"), draft.checkpoint, Stage.OUTPUT))
        return draft

    def _settings(self, draft: Draft, section: str) -> list[tuple[str, Any, Path]]:
        """Return (key, value, place) of a section, the task's own before the recipe's."""
        below, own = self.document.get(section, {}), draft.entry.get(section, {})
        merged = {**{key: (section, key) for key in below}, **{key: (*draft.path, section, key) for key in own}}
        return [(key, own.get(key, below.get(key)), path) for key, path in merged.items()]

    def setting(self, draft: Draft, section: str, key: str) -> tuple[Any, Path]:
        """Return one value of a section with its place; None if it is not given."""
        found = {name: (value, path) for name, value, path in self._settings(draft, section)}
        return found.get(key, (None, (*draft.path, section, key)))

    def _commands(self, draft: Draft) -> None:
        run = draft.entry.get("run")
        path: Path = (*draft.path, "run")
        if run is None:
            return
        for place, item in run if isinstance(run, list) else [(path, run)]:
            command = item if isinstance(item, Mapping) else {"run": item}
            if "run" in command:
                self._command(draft, (*place, "run") if isinstance(item, Mapping) else place, place, command)

    def _command(self, draft: Draft, path: Path, whole: Path, command: Mapping[str, Any]) -> None:
        shell = command.get("shell", draft.entry.get("shell", False))
        stdin = command.get("stdin", draft.entry.get("stdin", ""))
        variables = dict(command.get("variables", {}))
        try:
            split = [(command["run"],)] if shell else split_commands(command["run"])
        except Invalid as error:
            self.report.error(path, error)
            return
        if not split:
            self.report.add(path, "there is no command in this text")
        for words in split:
            draft.commands.append(CommandPlan(words, shell, variables, stdin))
            draft.texts += [Written(path, word, Stage.RUN, shell) for word in words]
        draft.texts += [Written((*whole, "variables", key), text, Stage.RUN) for key, text in variables.items()]
        if stdin:
            place = (*whole, "stdin") if "stdin" in command else (*draft.path, "stdin")
            draft.texts.append(Written(place, stdin, Stage.RUN))

    def _outputs(self, draft: Draft) -> None:
        seen: dict[str, Path] = {}
        for path, item in draft.entry.get("outputs", ()):
            if isinstance(item, Mapping) and "name" not in item:
                continue
            try:
                output = self._output(item)
            except Invalid as error:
                self.report.error(path, error)
                continue
            if output.name in seen:
                self.report.add(path, f"{quoted(output.name)} is an output twice")
            seen[output.name] = path
            draft.outputs.append((path, output))
            draft.texts += [Written(path, text, Stage.OUTPUT) for text in (output.name, output.url) if text]

    @staticmethod
    def _output(item: Any) -> OutputPlan:
        if not isinstance(item, Mapping):
            return read_output(split_arrow(item), False)
        split = Split(item["name"], item.get("to", ""), item.get("optional", False))
        return read_output(split, item.get("temporary", False))

    def _inputs(self, draft: Draft, drafts: Mapping[str, Draft]) -> None:
        values = self.document.get("parameters", {}) | draft.entry.get("parameters", {})
        self._staged(draft, values)
        addresses = {
            name
            for name, value in values.items()
            if isinstance(value, str) and ("://" in value or value.startswith("{store}"))
        }
        datasets = followed(self.document, draft.follows)
        for path, item in draft.entry.get("inputs", ()):
            if isinstance(item, Mapping) and "from" not in item:
                continue
            try:
                split = split_arrow(item) if isinstance(item, str) else _split(item)
                plan = read_input(split, self.declared, addresses, datasets)
            except Invalid as error:
                self.report.error(path, error)
                continue
            maker = drafts.get(plan.task)
            several = draft.once and maker is not None and not maker.once
            if plan.task and not plan.name:
                plan = InputPlan(default_name(plan.output, several), plan.task, plan.output, optional=plan.optional)
            draft.inputs.append((path, plan))
            draft.texts += [Written(path, text, Stage.SOURCE) for text in (plan.url, plan.file) if text]
            if plan.name:
                draft.texts.append(Written(path, plan.name, Stage.LOCAL, several=several))

    def _staged(self, draft: Draft, values: Mapping[str, Any]) -> None:
        """Let a task that mentions `{input}` read the file of foreach, unless its inputs name that file."""
        if draft.once or not over_files(self.document.get("foreach")):
            return
        given = [
            item.get("from", "") if isinstance(item, Mapping) else item for _, item in draft.entry.get("inputs", ())
        ]
        if not any(re.match(r"\{(input|path)\}\??(\s|$)", text) for text in given) and self._mentions(draft, values):
            draft.inputs.append(((*draft.path, "run"), InputPlan("{name}", file="{path}")))

    @staticmethod
    def _mentions(draft: Draft, values: Mapping[str, Any]) -> bool:
        ahead: list[Any] = [written.value for written in draft.texts]
        seen: set[str] = set()
        while ahead:
            try:
                names = compile_value(ahead.pop()).names - seen
            except Invalid:
                continue
            seen |= names
            ahead += [values[name] for name in names if name in values]
        return "input" in seen

    def _environment(self, draft: Draft) -> None:
        own = draft.entry.get("environment", {}).get("variables", {})
        below = self.document.get("environment", {}).get("variables", {})
        draft.variables = {**below, **own}
        for key, text in draft.variables.items():
            start: Path = draft.path if key in own else ()
            draft.texts.append(Written((*start, "environment", "variables", key), text, Stage.RUN))
        image, path = self.setting(draft, "environment", "image")
        if image:
            draft.image = image
            draft.texts.append(Written(path, image, Stage.RUN))

    def _retry(self, draft: Draft) -> None:
        given = {key: (value, path) for key, value, path in self._settings(draft, "retry")}
        values: dict[str, Any] = {}
        if "tries" in given:
            values |= {"tries": given["tries"][0], "insist": True}
        try:
            if "delay" in given:
                key = "delay"
                values["delay"] = float(units.seconds(given["delay"][0]))
            for key in (name for name in GROWING if name in given):
                values[key] = growth(key, given[key][0])
        except Invalid as error:
            self.report.error(given[key][1], error)
        draft.retry = Retry(**values)


def over_files(foreach: Any) -> bool:
    """Tell whether a checked `foreach` is over files."""
    if isinstance(foreach, list):
        return all(isinstance(item, str) and is_pattern(item) for _, item in foreach)
    return isinstance(foreach, str)


def _split(item: Mapping[str, Any]) -> Split:
    source = split_arrow(item["from"])
    if source.right:
        raise Invalid("an arrow has no place here", code="bad-path", hint="say from: and to:")
    return Split(source.left, item.get("to", ""), source.optional or item.get("optional", False))
