"""Which names an expression may use where, checked before anything is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.datasets.functions import FUNCTIONS
from nunatak.datasets.parameters import joined
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.schema import FILE_NAMES, GIVEN
from nunatak.datasets.template import Mentioned, compile_value
from nunatak.datasets.yaml_source import Path

MOST_CHAIN = 50
"""How many parameters may build on each other."""


class Stage(Enum):
    """When a text is evaluated: each stage knows more names than those before it."""

    FIXED = "a name of a file that is the same in every job"
    NEEDS = "needs"
    SOURCE = "a source of an input"
    LOCAL = "the name of an input"
    OUTPUT = "an output"
    RUN = "a command"


@dataclass(frozen=True, slots=True)
class Written:
    """A value with expressions, where it stands and when it is evaluated."""

    path: Path
    value: Any
    stage: Stage
    shell: bool = False  # a text for a shell
    several: bool = False  # the name of an input that stands for those of all jobs


@dataclass(slots=True)
class Namer:
    """Checks the names in one task's texts (or with `task` empty, in the dataset's parameters)."""

    report: Report
    outer: Mapping[str, Mentioned]  # the dataset's parameters that compile
    inner: Mapping[str, Mentioned]  # the task's
    declared: frozenset[str]  # all parameters, compiling or not
    items: frozenset[str]  # names that foreach adds
    once: bool
    task: str
    files: frozenset[str] = frozenset()  # which of input, inputs, output, outputs there are
    parameters: Mapping[str, Mentioned] = field(init=False)
    walked: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)  # parameters with a problem
    known_leaves: dict[str, frozenset[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Join the parameters."""
        self.parameters = joined(self.outer, self.inner)

    def check_parameters(self) -> None:
        """Report names in parameters that stand for nothing, and parameters that refer to each other in a circle."""
        self.broken |= self.declared - set(self.parameters)
        for name, value in (self.inner if self.task else self.outer).items():
            for mentioned in sorted(value.names - self.everything()):
                self._unknown(self._path(name), mentioned)
        for name, value in self.parameters.items():
            if value.names - self.everything():
                self.broken.add(name)
            self._follow(name, ())

    def _path(self, name: str) -> Path:
        return ("tasks", self.task, "parameters", name) if name in self.inner else ("parameters", name)

    def everything(self) -> frozenset[str]:
        """Return every name that means something somewhere in this task."""
        return frozenset((*GIVEN, *FILE_NAMES)) | self.declared | self.items

    def _follow(self, name: str, chain: tuple[str, ...]) -> None:
        if name in chain:
            circle = chain[chain.index(name) :]
            first = circle.index(min(circle))
            shown = " > ".join((*circle[first:], *circle[:first], circle[first]))
            self.report.add(self._path(circle[first]), f"parameters refer to each other in a circle: {shown}")
            self.broken.update(circle)
        elif len(chain) >= MOST_CHAIN:
            self.report.add(self._path(chain[0]), f"over {MOST_CHAIN} parameters build on each other")
            self.broken.add(chain[0])
        elif name not in self.walked:
            for inner in sorted(self.parameters[name].names & set(self.parameters)):
                self._follow(inner, (*chain, name))
            self.walked.add(name)

    def depends_on_broken(self, value: Any) -> bool:
        """Tell whether a value depends on a parameter that has a problem, or has one itself."""
        try:
            return bool(self._reached(compile_value(value).names) & self.broken)
        except Invalid:
            return True

    def _reached(self, names: Iterable[str]) -> set[str]:
        """Return the names, and those of the parameters they stand for."""
        seen: set[str] = set()
        ahead = list(names)
        while ahead:
            name = ahead.pop()
            if name not in seen:
                seen.add(name)
                ahead += self.parameters[name].names if name in self.parameters else ()
        return seen

    def check(self, written: Written) -> None:
        """Report what a text mentions that is not known where it is evaluated."""
        try:
            value = compile_value(written.value)
        except Invalid as error:
            self.report.error(written.path, error)
            return
        known = self.known(written)
        for name in sorted(value.names - self.everything()):
            self._unknown(written.path, name)
        for name in sorted(value.names & (self.everything() | set(self.parameters))):
            for leaf in sorted(self.leaves(name) - known):
                self._missing(written, name, leaf)
        if written.stage in (Stage.NEEDS, Stage.FIXED):
            for function in sorted(self.functions(value)):
                if FUNCTIONS[function].drawn:
                    self.report.add(written.path, f"{function}() has no place in {written.stage.value}")

    def known(self, written: Written) -> frozenset[str]:
        """Return the names that have a value when a text is evaluated."""
        stage = written.stage
        names = {"task"}
        if stage is not Stage.FIXED:
            names |= {"jobs"}
            if not self.once or written.several:
                names |= {"job", *self.items}
        if stage not in (Stage.FIXED, Stage.NEEDS):
            names |= {"dataset", "store"}
        if stage in (Stage.OUTPUT, Stage.RUN):
            names |= self.files & {"input", "inputs"}
        if stage is Stage.RUN:
            names |= {"attempt"} | self.files
        return frozenset(names)

    def leaves(self, name: str) -> frozenset[str]:
        """Return the names that are not parameters on which `name` depends in the end."""
        if name not in self.parameters:
            return frozenset() if name in self.declared else frozenset((name,))
        if name not in self.known_leaves:
            self.known_leaves[name] = frozenset()  # a circle is reported elsewhere, and must not be followed for ever
            inner = self.parameters[name].names & self.everything()
            self.known_leaves[name] = frozenset(leaf for other in inner for leaf in self.leaves(other))
        return self.known_leaves[name]

    def functions(self, value: Mentioned) -> frozenset[str]:
        """Return the functions a value calls, itself or by parameters."""
        return value.functions.union(
            *(self.parameters[name].functions for name in self._reached(value.names) if name in self.parameters)
        )

    def varies(self, value: Any) -> bool:
        """Tell whether a value depends on the job, or on how many there are."""
        names = compile_value(value).names
        return any(self.leaves(name) - {"task"} for name in names)

    def _unknown(self, path: Path, name: str) -> None:
        known: Iterable[str] = self.everything() - (frozenset() if self.task else frozenset(FILE_NAMES))
        self.report.add(path, f"{quoted(name)} is not a known name", nearest(name, known))

    def _missing(self, written: Written, name: str, leaf: str) -> None:
        by = "" if name == leaf else f" (by way of the parameter {quoted(name)})"
        message, hint = self._why(leaf, written)
        self.report.add(written.path, message + by, hint)

    def _why(self, leaf: str, written: Written) -> tuple[str, str]:
        if written.stage is Stage.FIXED:
            return f"{quoted(leaf)} has no place in {written.stage.value}", "name it under inputs"
        if self.once and leaf in ("job", *self.items):
            return f"{quoted(leaf)} is not known in a task done once a dataset", "remove once: true, or the name"
        if leaf == "input" and written.stage in (Stage.RUN, Stage.OUTPUT):
            return '"input" is for a task with one input', "name one as {inputs.TASK}, all as {inputs}"
        if leaf == "output" and written.stage is Stage.RUN:
            return '"output" is for a task with one output', "name one as {outputs[0]}, all as {outputs}"
        return f"{quoted(leaf)} is not known yet in {written.stage.value}", ""
