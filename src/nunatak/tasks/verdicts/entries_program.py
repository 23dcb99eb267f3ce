"""The catalogue: what the task's own program and recipe do, and what is ours."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.tasks.verdicts.entries import RETRY, SEE, Entry
from nunatak.tasks.verdicts.kinds import Kind

K = Kind

PROGRAM: Mapping[Kind, Entry] = {
    K.COMMAND_FAILED: Entry(
        "NUN-FAILED",
        "a command failed",
        "A command ended with an exit code other than zero, or died of a signal. From one failure alone "
        "nobody can tell whether the program is to blame or the node.",
        "Tries on another node. When it ends the same way there, it becomes NUN-USER; when it works there, it"
        " counts against the first node. What varies (numbers, paths, times) does not count as different.",
        SEE,
    ),
    K.USER_ERROR: Entry(
        "NUN-USER",
        "the program fails the same way wherever it runs",
        "The same error came on different nodes, or again and again on the only one: the program, its parameters "
        "or its input is to blame.",
        "Stops, even if there are tries left. The lines of the log that say why are shown; of a Python "
        "traceback the last line comes first. When at least twenty tasks, and a tenth of those that ended, "
        "failed so, the whole dataset is held, so that a typo costs 20 tasks.",
        ("nunatak errors {dataset}", *SEE, "nunatak try {task}"),
    ),
    K.KILLED: Entry(
        "NUN-KILLED",
        "it was killed, and nothing tells by whom",
        "A process got SIGKILL or SIGTERM (exit codes 137 and 143 in a shell). The memory that was measured "
        "was below the limit, and neither the kernel nor the batch system left a word, so it is not called "
        "out of memory.",
        "Tries again on another node until the tries are used up.",
        SEE,
    ),
    K.CANNOT_RUN: Entry(
        "NUN-COMMAND",
        "the command cannot be started",
        "What the recipe names is not in the sandbox, is not executable, is a directory, or is a script "
        "without a first line such as `#!/bin/sh`.",
        "Does not try again: it would be the same everywhere.",
        ("nunatak try {task}",),
    ),
    K.SETUP: Entry(
        "NUN-SETUP",
        "the environment could not be made",
        "The setup script failed, the container image could not be opened, or pip could not install what is "
        "under `requirements`.",
        "Tries on another node; when it ends the same way there, the task has failed.",
        (*SEE, *RETRY),
    ),
    K.GPU_NOT_ASKED: Entry(
        "NUN-NO-GPU-ASKED",
        "it looks for a GPU and asked for none",
        "The program found no GPU. The task had none: `needs.gpu` is 0.",
        "Does not try again.",
        ("nunatak submit RECIPE",),
    ),
    K.SERVICE_DOWN: Entry(
        "NUN-SERVICE",
        "a service did not answer",
        "The program talks to a database or a web service that refused the connection, timed out or was overloaded.",
        "Tries again with growing pauses until the tries are used up.",
        (*SEE, *RETRY),
    ),
    K.BAD_OUTCOME: Entry(
        "NUN-OUTCOME",
        "the node reported nonsense",
        "The outcome could not be understood, belongs to another attempt, or claims outputs that were not asked for.",
        "Believes none of it, and tries on another node until the tries are used up.",
        ("nunatak status '{attempt}'", *RETRY),
    ),
    K.WORKER_ERROR: Entry(
        "NUN-WORKER",
        "the worker itself failed",
        "An error in Nunatak's own worker, which is not the task's fault. Its traceback is in `worker.log`.",
        "Tries on another node until the tries are used up.",
        ("nunatak status '{attempt}'", *RETRY),
    ),
    K.UNKNOWN: Entry(
        "NUN-UNKNOWN",
        "nobody knows",
        "No rule explains how it ended.",
        "Tries again until the tries are used up.",
        SEE,
    ),
}
