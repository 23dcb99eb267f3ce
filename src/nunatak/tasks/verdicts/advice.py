"""One line for a person: what to do next, and what to type."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.core.work import Shape
from nunatak.tasks.verdicts.kinds import RETRIED, Action, Kind
from nunatak.tasks.verdicts.raising import TEXT, More, set_to

K = Kind
_LOG = "look at the log: nunatak logs '{attempt}'"
_OPERATOR = "tell the operator of the site; when it is mended: nunatak retry {task}"

ADVICE: Mapping[Kind, str] = {
    K.OUT_OF_MEMORY: "set needs.memory to {needs} or more, or raise the cap under retry.memory",
    K.OUT_OF_GPU_MEMORY: "make batches smaller, or ask for a GPU with more memory under needs.features",
    K.OVER_TIME: "set needs.time to {needs} or more, or divide the work over more jobs",
    K.OVER_DISK: "set needs.disk to {needs} or more, or let the program remove what it no longer needs",
    K.STALLED: "find out what it waits for: nunatak logs '{attempt}'",
    K.EVICTED: "choose a site that lets it finish, or make the task shorter; then: nunatak retry {task}",
    K.NODE_LOST: _OPERATOR,
    K.LOST: "see the engine's log; then: nunatak retry {task}",
    K.UNBEGUN: "see why the workers of this engine end early, in its log; then: nunatak retry {task}",
    K.LEASE_EXPIRED: "see whether the engine runs: nunatak status; then: nunatak retry {task}",
    K.SUBMIT_FAILED: "see the engine's log; then: nunatak retry {task}",
    K.NO_SITE: "ask for less under needs, or add an engine that has it; see: nunatak why {task}",
    K.WRONG_ARCHITECTURE: "build it for the nodes there are, or set needs.platform to what it is built for",
    K.OLD_PROCESSOR: "build it for older processors (-march=x86-64), or ask for newer ones under needs.features",
    K.COMMAND_NOT_FOUND: "check its name; bring it along under files, or name an image or requirements that have it",
    K.MISSING_LIBRARY: "bring it along under files or requirements, or name an image or a setup script that has it",
    K.NOT_MOUNTED: _OPERATOR,
    K.SCRATCH_FULL: _OPERATOR,
    K.BROKEN_GPU: _OPERATOR,
    K.NO_CONTAINER: "choose sites that run containers under needs.features, or do without environment.image",
    K.NO_NETWORK: "bring along what it downloads, under files or inputs, or choose sites with a network",
    K.NODE_FAULT: _OPERATOR,
    K.SOFTWARE_MISSING: "check its name; bring it along under files, or name an image that has it: nunatak edit {dataset}",
    K.INPUT_MISSING: "see whether it was moved or not made yet; when it is there: nunatak retry {task}",
    K.INPUT_TRUNCATED: "replace the file, then: nunatak retry {task}",
    K.INPUT_CHANGED: "put the old file back and: nunatak retry {task}; or submit it again to use the new one",
    K.STAGE_IN: "see that the file can be read by the jobs; then: nunatak retry {task}",
    K.STORAGE_DOWN: "wait until the storage answers again, then: nunatak retry {dataset}",
    K.STORAGE_FULL: "make room there, then: nunatak retry {dataset}",
    K.STORAGE_DENIED: "see that the jobs may write there, then: nunatak retry {dataset}",
    K.STAGE_OUT: "see that the storage can be written; then: nunatak retry {task}",
    K.OUTPUT_MISSING: "check the names under outputs, or mark it optional; what it printed: nunatak logs '{attempt}'",
    K.COMMAND_FAILED: _LOG,
    K.USER_ERROR: _LOG + "; to run it here: nunatak try {task}",
    K.KILLED: "if it may be memory, raise needs.memory; then: nunatak retry {task}",
    K.CANNOT_RUN: "check the command's name and that it is executable, and mend it: nunatak edit {dataset}",
    K.SETUP: "check environment: the setup script, image or requirements; what was said: nunatak logs '{attempt}'",
    K.GPU_NOT_ASKED: "set needs.gpu to 1: nunatak edit {dataset} --retry-failed",
    K.SERVICE_DOWN: "see that the service answers, then: nunatak retry {task}",
    K.BAD_OUTCOME: _OPERATOR,
    K.WORKER_ERROR: "see worker.log of the attempt, and report it",
    K.UNKNOWN: _LOG,
    K.CANCELLED: "to bring it back: nunatak retry {task}",
    K.HELD: "to let it go on: nunatak release {task}",
    K.SUPERSEDED: "nothing: it runs again by itself",
}
"""For every kind but `ok`; `{task}`, `{attempt}` and `{dataset}` are addresses, `{needs}` an amount."""

_FIELD = {K.OUT_OF_MEMORY: "memory", K.OVER_TIME: "time", K.OVER_DISK: "disk"}


def advise(kind: Kind, action: Action, address: str, shape: Shape, more: More | None) -> str:
    """Return what a person has to do; nothing where it goes on by itself."""
    if action in RETRIED:
        return ""
    text = fill(ADVICE[kind], address)
    return text.replace("{needs}", _needs(kind, shape, more)) if "{needs}" in text else text


def general(kind: Kind, address: str) -> str:
    """Return what a person has to do about failures of a kind, the latest of which was the attempt at `address`."""
    return fill(ADVICE[kind], address).replace("{needs}", "what it was seen to need")


def fill(text: str, address: str) -> str:
    """Put the addresses of an attempt, its task and its dataset into a text."""
    task = address.partition("#")[0]
    return text.replace("{attempt}", address).replace("{task}", task).replace("{dataset}", task.partition("/")[0])


def _needs(kind: Kind, shape: Shape, more: More | None) -> str:
    """Return what it needs at least: more than it had, and than was measured."""
    field = _FIELD[kind]
    least = max(round(1.2 * more.needs) if more else 0, 2 * getattr(shape, field))
    return TEXT[field](getattr(set_to(shape, field, least).rounded(), field))
