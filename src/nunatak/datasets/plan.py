"""A recipe after checking: typed, complete, positions gone. What the server stores and every later step reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from nunatak.core.errors import NotFound
from nunatak.core.work import Shape


@dataclass(frozen=True, slots=True)
class Growth:
    """How a request grows after a try that ran out of it: by `factor` (1: never), up to `most` (bytes or seconds).

    `most` 0 is the largest that any site offers.
    """

    factor: float = 2.0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try a task again: `tries` in all, a first `delay` in seconds that doubles, and how its requests grow.

    `insist`: all tries are used, even when the same error comes back.
    """

    tries: int = 3
    insist: bool = False
    delay: float = 10.0
    memory: Growth = Growth()
    time: Growth = Growth()
    disk: Growth = Growth()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `asdict` wrote."""
        growths = {name: Growth(**plain[name]) for name in GROWING}
        return cls(**{**plain, **growths})


LEARN = "within"
"""How far what is asked for follows what was seen, unless a recipe says otherwise."""
GROWING = ("memory", "time", "disk")
"""What a retry may ask for more of."""


@dataclass(frozen=True, slots=True)
class CommandPlan:
    """One command as templates: argument words, each expanded on its own, or one text for a shell."""

    words: tuple[str, ...]
    shell: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class InputPlan:
    """A file a task reads. Exactly one source: another task's output, a storage URL, or a file of the submitter."""

    name: str  # template: where it lies in the sandbox
    task: str = ""  # the task that makes it
    output: str = ""  # template: the name of that task's output
    url: str = ""  # template
    file: str = ""  # template: a name in the plan's `files`
    optional: bool = False


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """A file a task makes; `url` is a template, "" for the usual place in the store."""

    name: str
    url: str = ""
    optional: bool = False
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Follow:
    """What a task comes after in another dataset: its task `task` ("": everything), in the same job (`each`) or in all of them."""

    dataset: int
    task: str = ""  # a name, or with `each` perhaps its number
    each: bool = False

    def __str__(self) -> str:
        """Return it as it is written in a recipe."""
        return "/".join(filter(None, (str(self.dataset), "{job}" if self.each else "", self.task)))


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One node of the job's graph; `once` = done once a dataset. `needs` holds templates where they depend on the job."""

    name: str
    once: bool
    after: tuple[str, ...]
    commands: tuple[CommandPlan, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    inputs: tuple[InputPlan, ...] = ()
    outputs: tuple[OutputPlan, ...] = ()
    needs: Mapping[str, Any] = field(default_factory=dict)  # cpu, gpu, memory, disk, time, platform, features
    shape: Shape | None = None  # None: depends on the job
    variables: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    image: str = ""
    requirements: str = ""
    retry: Retry = field(default_factory=Retry)
    learn: str = LEARN  # off, within or auto: how far what is asked for may follow what was seen
    checkpoint: str = ""  # template: the file that it goes on from
    splittable: str = ""  # a parameter, a whole number, that may be divided over more jobs
    engines: Mapping[str, Any] = field(default_factory=dict)  # by kind of engine, what it alone is told
    follows: tuple[Follow, ...] = ()  # what it comes after in other datasets


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the submitter. `url` = "" means stored by content hash with the dataset, else it stays where it is."""

    sha256: str
    size: int
    mode: int = 0o644
    url: str = ""


@dataclass(frozen=True)
class Plan:
    """A checked recipe. Tasks are in topological order; a task's index here is its number in the database."""

    name: str
    jobs: int
    tasks: tuple[TaskPlan, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Mapping[str, Any], ...] = ()  # foreach: the names each job adds; job j has items[j % len(items)]
    files: Mapping[str, StoredFile] = field(default_factory=dict)
    description: str = ""

    @cached_property
    def index(self) -> dict[str, int]:
        """Map a task's name to its index."""
        return {task.name: number for number, task in enumerate(self.tasks)}

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """Return each task's parents, as indices."""
        return tuple(tuple(self.index[name] for name in task.after) for task in self.tasks)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """Return each task's children, as indices."""
        return tuple(
            tuple(child for child, parents in enumerate(self.parents) if number in parents)
            for number in range(len(self.tasks))
        )

    @cached_property
    def follows(self) -> Mapping[int, tuple[int, Follow]]:
        """Return what tasks come after in other datasets, numbered from 1: the index of the task, and what that is."""
        pairs = [(number, follow) for number, task in enumerate(self.tasks) for follow in task.follows]
        return dict(enumerate(pairs, 1))

    def alone(self) -> Self:
        """Return the plan as if everything it follows in other datasets were done."""
        return replace(self, tasks=tuple(replace(task, follows=()) for task in self.tasks)) if self.follows else self

    def number(self, name: str) -> int:
        """Return a task's index. Raises `NotFound` naming the tasks there are."""
        if name not in self.index:
            raise NotFound(f"no task {name!r} in this recipe", code="no-task", hint=f"it has {', '.join(self.index)}")
        return self.index[name]

    def divisible(self, task: TaskPlan) -> tuple[str, int] | None:
        """Return the parameter of a task that may be divided over more jobs, and its value."""
        if not task.splittable:
            return None
        return task.splittable, int({**self.parameters, **task.parameters}[task.splittable])

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        plain = asdict(self)
        for task in plain["tasks"]:
            if task["shape"]:
                task["shape"]["features"] = list(task["shape"]["features"])
            if task["learn"] == LEARN:
                del task["learn"]  # recipes that were stored before there was a choice keep their hashes
            for name in ("checkpoint", "splittable", "engines", "follows"):
                if not task[name]:
                    del task[name]  # few tasks have one: the text, and with it the hash, is as if there were none
        return plain

    @cached_property
    def text(self) -> str:
        """Return the canonical JSON."""
        return json.dumps(self.to_plain(), sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """Return the content hash (SHA-256) by which a recipe is stored."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_plain` wrote."""
        return cls(
            **{
                **plain,
                "tasks": tuple(_task(task) for task in plain["tasks"]),
                "items": tuple(plain["items"]),
                "files": {name: StoredFile(**entry) for name, entry in plain["files"].items()},
            }
        )


def _task(plain: Mapping[str, Any]) -> TaskPlan:
    return TaskPlan(
        **{
            **plain,
            "after": tuple(plain["after"]),
            "commands": tuple(CommandPlan(**{**item, "words": tuple(item["words"])}) for item in plain["commands"]),
            "files": tuple(plain["files"]),
            "inputs": tuple(InputPlan(**item) for item in plain["inputs"]),
            "outputs": tuple(OutputPlan(**item) for item in plain["outputs"]),
            "shape": Shape.from_plain(plain["shape"]) if plain["shape"] else None,
            "retry": Retry.from_plain(plain["retry"]),
            "follows": tuple(Follow(**item) for item in plain.get("follows", ())),
        }
    )
