"""The recipe format, described once: the checker reads this description, and the JSON Schema is generated from it."""

from __future__ import annotations

import json
from typing import Any

from nunatak.datasets.engines import ENGINES
from nunatak.datasets.growth import EXAMPLES, PATTERN
from nunatak.datasets.kinds import Amount, Anything, Flag, Simple, Text, Whole
from nunatak.datasets.records import Either, Field, Listing, Record, Table

MOST_JOBS = 999_999_999
"""Jobs of a dataset; a job's index has at most nine digits in an address."""
MOST_TASKS = 1000
"""Tasks of a recipe."""
PLATFORMS = ("linux/x86_64", "linux/aarch64", "linux/ppc64le", "linux/riscv64", "darwin/arm64", "darwin/x86_64")
"""Platforms a task may ask for: operating system / architecture, as `uname` spells them."""
GIVEN = ("dataset", "job", "jobs", "task", "attempt", "store")
"""Names every expression knows; `job` only where there is one."""
FILE_NAMES = ("input", "inputs", "output", "outputs")
"""Names of a task's own files."""
ITEM_NAMES = ("path", "name", "stem", "suffix", "item", "repetition")
"""Names that `foreach` adds for files and lists."""

_IDENTIFIER = (
    r"^(?!(?:and|or|not|in|is|if|else|for|lambda|True|False|None|true|false|null)$)[A-Za-z_][A-Za-z0-9_]{0,62}$"
)
_RESERVED = (*GIVEN, *FILE_NAMES)
_FILES = Listing(Text("the name of a file beside the recipe"), single=True)

PARAMETERS = Table(Anything(), _IDENTIFIER, "a name (letters, digits and _, a letter first)", (*_RESERVED, *ITEM_NAMES))
NEEDS = Record(
    "needs",
    "What a task needs of a machine. Every value may be an expression.",
    {
        "cpu": Field(Whole(1, 1024, template=True), "CPU cores.", (1, 8), default=1),
        "gpu": Field(Whole(0, 64, template=True), "GPUs.", (1,), default=0),
        "memory": Field(Amount("memory", 10**6), "Memory, with its unit.", ("2 GB", "512 MB"), default="1 GB"),
        "disk": Field(Amount("disk", 10**3), "Scratch disk, inputs and outputs included.", ("5 GB",), default="1 GB"),
        "time": Field(Amount("time"), "Wall-clock time.", ("10 min", "1.5 h"), default="1 h"),
        "platform": Field(
            Text("a platform", rf"^(?:{'|'.join(PLATFORMS)})$|\{{", 100, known=PLATFORMS),
            "Operating system and architecture; any, if not given.", ("linux/x86_64",),
        ),
        "features": Field(
            Listing(Text("a feature", r"^[A-Za-z0-9][A-Za-z0-9_.:+=-]*$|\{", 100), 100, single=True),
            "Features a machine must have, as its site names them.", ("avx2", "cvmfs"),
        ),
    },
)  # fmt: skip
ENVIRONMENT = Record(
    "environment",
    "What surrounds the commands of a task.",
    {
        "variables": Field(
            Table(Simple(), r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable"),
            "Environment variables.", ({"OMP_NUM_THREADS": 1},),
        ),
        "setup": Field(
            Text("the name of a shell script"),
            "A shell script sourced before each command: a file beside the recipe, or one under /cvmfs.", ("setup.sh",),
        ),
        "image": Field(
            Text("a container image"),
            "A container image, for Apptainer or Singularity.", ("docker://python:3.12-slim",),
        ),
        "requirements": Field(
            Text("the name of a pip requirement file"),
            "A pip requirement file beside the recipe; made into a virtual environment that tasks share.",
            ("requirements.txt",),
        ),
    },
)  # fmt: skip
RETRY = Record(
    "retry",
    "When and how a task that failed is tried again.",
    {
        "tries": Field(Whole(1, 100), "How often in all.", (5,), default=3),
        "delay": Field(
            Amount("time"), "Pause before the second try; it doubles each time.", ("1 min",), default="10 s"
        ),
        **{
            name: Field(
                Text(f"a raise of {name}", PATTERN, advice=f'write it as "{example}", "x2" or "never"'),
                f"Ask for more {name} after a try that ran out of it: as much as was seen to be needed, at least this factor,"
                " and at most what is said or what the largest site offers.",
                (example, "never"), default="x2",
            )
            for name, example in EXAMPLES.items()
        },
    },
)  # fmt: skip
LEARN_KINDS = ("off", "within", "auto")
LEARN = Text("off, within or auto", r"^(?:off|within|auto)$", 10, known=LEARN_KINDS)
COMMAND = Record(
    "command",
    "One command of a task.",
    {
        "run": Field(Text("a command line"), "The command line.", ("python fit.py in.npz out.npz",), required=True),
        "shell": Field(Flag(), "Give the text to /bin/sh.", (True,), default=False),
        "variables": Field(
            Table(Simple(), r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable"),
            "Environment variables of this command alone.", ({"CUDA_VISIBLE_DEVICES": ""},),
        ),
        "stdin": Field(Text("the name of a file"), "A file to read as standard input.", ("steering.txt",)),
    },
)  # fmt: skip
INPUT = Record(
    "input",
    "A file a task reads.",
    {
        "from": Field(Text("a source"), "TASK/NAME, a storage URL, or a file beside the recipe.", required=True),
        "to": Field(Text("a file name"), "What the task calls it."),
        "optional": Field(Flag(), "Go on without it.", default=False),
    },
)
OUTPUT = Record(
    "output",
    "A file a task makes.",
    {
        "name": Field(Text("a file name"), "What the task calls it.", required=True),
        "to": Field(Text("a place"), "Where it is kept: a storage URL, or a path below {store}/{dataset}/."),
        "optional": Field(Flag(), "It need not appear.", default=False),
        "temporary": Field(Flag(), "Delete it when its job is done.", default=False),
    },
)
AFTER = Listing(Either((Text("the name of a task"), Whole(1, MOST_JOBS))), 1000, single=True)
TASK = Record(
    "task",
    "One step: done once a job, or once a dataset.",
    {
        "run": Field(
            Either((Text("a command line"), COMMAND, Listing(Either((Text("a command line"), COMMAND)), 100, least=1))),
            "The command, or a list of commands done in order; the first to fail ends the task.",
            ("python generate.py --events {events} --out muons.parquet",), required=True,
        ),
        "shell": Field(Flag(), "Give the commands to /bin/sh.", default=False),
        "stdin": Field(Text("the name of a file"), "A file to read as standard input.", ("steering.txt",)),
        "once": Field(Flag(), "Done once a dataset, before or after all jobs, rather than once a job.", default=False),
        "after": Field(
            AFTER,
            "Tasks that have to be done before; of another dataset as 41/{job}/detect (done in the same job), 41/detect (done in"
            " all jobs) or 41 (everything is done).",
            ("generate", ["generate", "41/{job}/detect"]),
        ),
        "parameters": Field(PARAMETERS, "Values for expressions, in this task."),
        "files": Field(_FILES, "Files beside the recipe that the task needs.", (["generate.py"],)),
        "inputs": Field(
            Listing(Either((Text("a source of a file"), INPUT)), single=True),
            "Files the task reads.", (["generate/muons.parquet -> in.parquet"],),
        ),
        "outputs": Field(
            Listing(Either((Text("a file name"), OUTPUT)), single=True),
            "Files the task makes.", (["light.parquet -> {store}/{dataset}/{job:06d}.parquet"],),
        ),
        "needs": Field(NEEDS, "What it needs of a machine.", ({"memory": "2 GB", "time": "1 h"},)),
        "splittable": Field(
            Text("the name of a parameter", _IDENTIFIER),
            "A parameter, a whole number such as events to make, that may be divided over more jobs if tasks take too long"
            " where they run.", ("events",),
        ),
        "environment": Field(ENVIRONMENT, "What surrounds its commands."),
        "engines": Field(ENGINES, "What it tells engines of one kind; all others leave it alone."),
        "retry": Field(RETRY, "When to try again.", ({"tries": 5, "memory": "x2 up to 16 GB"},)),
        "learn": Field(LEARN, "How far what it asks for follows what was seen.", ("auto",)),
        "checkpoint": Field(
            Text("a file name"),
            "A file that the task writes now and then, and goes on from where it is there at the start: kept when the task is"
            " stopped or runs out of time, and given to its next attempt.",
            ("state.npz",),
        ),
    },
)  # fmt: skip
FOREACH = Either((
    Text('a pattern of files such as "data/*.i3"'),
    Listing(Anything(), 100_000, least=1),
    Table(
        Either((Listing(Anything(), 100_000, least=1), Text("an expression"))),
        _IDENTIFIER, "a name", _RESERVED, least=1,
    ),
))  # fmt: skip
RECIPE = Record(
    "recipe",
    "A Nunatak recipe: tasks that make up a job, and how many jobs there are.",
    {
        "name": Field(
            Text("a name (one line, no control characters)", r"^[^\x00-\x1f]*$", 200),
            "What people call the dataset.", ("atmospheric muons",), required=True,
        ),
        "description": Field(Text("text"), "More about it."),
        "jobs": Field(Whole(1, MOST_JOBS), "How many jobs; with foreach, how many for each item.", (200,), default=1),
        "parameters": Field(PARAMETERS, "Values for expressions, in all tasks.", ({"events": 5000},)),
        "foreach": Field(
            FOREACH, "One job for each file of a pattern, each item of a list, or each point of a grid.",
            ("data/*.i3", ["proton", "iron"], {"energy": [1, 10, 100], "angle": [0, 30]}),
        ),
        "after": Field(
            AFTER, "Other datasets, or tasks of them, that have to be done before any task begins.", (41, "41/detect")
        ),
        "files": Field(_FILES, "Files beside the recipe that every task needs.", (["common.py"],)),
        "needs": Field(NEEDS, "What tasks need that do not say otherwise."),
        "environment": Field(ENVIRONMENT, "What surrounds the commands of all tasks."),
        "engines": Field(ENGINES, "What tasks tell engines of one kind that do not say otherwise."),
        "retry": Field(RETRY, "When to try again, for tasks that do not say otherwise."),
        "learn": Field(
            LEARN,
            "How far what tasks ask for follows what was seen: not at all; within what is written and retries may ask for;"
            " or up to whatever is needed and any site has.",
            LEARN_KINDS, default="within",
        ),
        "tasks": Field(
            Table(
                TASK, r"^[A-Za-z][A-Za-z0-9_.-]{0,62}$",
                "the name of a task (letters, digits, _ . -, a letter first)", least=1, most=MOST_TASKS,
            ),
            "The tasks, by name.", required=True,
        ),
    },
)  # fmt: skip


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a recipe."""
    shared: dict[str, Any] = {}
    body = RECIPE.body(shared)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}
    return {**head, "$defs": dict(sorted(shared.items()))}


def json_schema_text() -> str:
    """Return the JSON Schema as it is published in the documentation."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(json_schema_text(), end="")
