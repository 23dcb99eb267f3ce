"""The local engine's only memory: one sandbox directory an attempt, and an index of them in order of arrival.

ROOT/42/17/propagate.2.9f3c/     a sandbox (`once` in place of the job for a task done once a dataset)
    task.json                    what to run; without `launch` beside it, the attempt waits
    launch                       made just before the worker is started, so never twice
    worker.json                  process and start of the worker
    stop.json                    it was told to stop, and why
    stdout stderr usage.json outcome.json worker.log work/    the worker's
    ended.json                   how it ended, where the engine had to say it
ROOT/.index/000000000017         a link to a sandbox whose end has not been acknowledged
ROOT/.trash/                     sandboxes being deleted
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, TaskSpec
from nunatak.engines.keys import attempt_of
from nunatak.engines.outcomes import MOST_OUTCOME
from nunatak.engines.protocol import Handle

_MOST_TASK = 256_000_000


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The directory of one attempt, and the name of its entry in the index."""

    path: Path
    entry: Path
    handle: Handle

    def read_task(self) -> TaskSpec:
        """Return what to run. Raises `ValueError`, `KeyError` or `TypeError` if the file is damaged."""
        return TaskSpec.from_plain(json.loads(self.read("task.json", most=_MOST_TASK)))

    def read(self, name: str, offset: int = 0, most: int = MOST_OUTCOME + 1) -> bytes:
        """Return at most `most` bytes of a file from `offset`; empty if there is none.

        The task can write here too: a link, a pipe or a device in place of a file is never followed.
        """
        try:
            file = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            return os.pread(file, most, offset) if stat.S_ISREG(os.fstat(file).st_mode) else b""
        except OSError:
            return b""
        finally:
            os.close(file)

    def read_plain(self, name: str) -> dict[str, Any]:
        """Return a JSON object the engine wrote; empty if there is none or it is damaged."""
        try:
            plain = json.loads(self.read(name))
        except (ValueError, RecursionError):
            return {}
        return plain if isinstance(plain, dict) else {}

    def has(self, name: str) -> bool:
        """Tell whether there is a file of this name."""
        return os.path.lexists(self.path / name)

    def write(self, name: str, plain: dict[str, Any]) -> None:
        """Write a JSON object atomically. Raises `OSError`."""
        draft = self.path / f".{name}"
        draft.write_text(json.dumps(plain))
        draft.rename(self.path / name)

    def intend(self) -> None:
        """Record that the worker is about to be started. Raises `OSError`, also if it was recorded before."""
        os.close(os.open(self.path / "launch", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))

    def take_back(self) -> None:
        """Undo `intend`: the worker was not started and may be started later."""
        (self.path / "launch").unlink(missing_ok=True)

    def write_end(self, outcome: Outcome) -> None:
        """Record an end that the worker did not. Raises `OSError`."""
        self.write("ended.json", outcome.to_plain())


class Shelf:
    """All sandboxes under one directory, which belongs to one engine process at a time."""

    def __init__(self, root: Path, *, keep: bool) -> None:
        """Take possession of `root`. Raises `Unavailable` while another process has it or it cannot be written."""
        self.root = root.absolute()
        self._keep = keep
        self._index, self._trash = self.root / ".index", self.root / ".trash"
        try:
            self._index.mkdir(parents=True, exist_ok=True)
            self._trash.mkdir(exist_ok=True)
            self._lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unavailable(f"the engine cannot use the directory {self.root}", error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise Unavailable(
                f"another engine works in {self.root}",
                code="engine-busy",
                hint="stop it first, or give this one a directory of its own",
            ) from None
        self._number = max((int(entry.name) for entry in self._entries()), default=0)
        for left in self._trash.iterdir():
            _remove(left)

    def close(self) -> None:
        """Let another process have the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def handle(self, spec: TaskSpec) -> Handle:
        """Return the handle of a spec; `external` is its sandbox relative to the root. Raises `Invalid`."""
        address = attempt_of(spec)
        job = "once" if address.job in (None, ONCE) else str(address.job)
        place = f"{address.dataset}/{job}/{address.task}.{address.attempt}.{spec.lease}"
        return Handle(spec.address, spec.lease, place)

    def place(self, handle: Handle, spec: TaskSpec) -> Sandbox:
        """Store a spec as the last of the index; one that is there already is kept as it is. Raises `OSError`.

        The entry comes first: whatever a crash leaves half-made is found by `all`, and was never started.
        """
        self._number += 1
        box = Sandbox(self.root / handle.external, self._index / f"{self._number:012d}", handle)
        box.entry.symlink_to(Path("..") / handle.external)
        try:
            box.path.mkdir(parents=True, exist_ok=True)
            if not box.has("task.json"):
                box.write("task.json", spec.to_plain())
        except OSError:
            self.undo(box)
            raise
        return box

    def undo(self, box: Sandbox) -> None:
        """Take back `place`; a kept sandbox of an attempt that once ran stays."""
        self.discard(box, keep=box.has("launch") or box.has("ended.json"))

    def all(self) -> list[Sandbox]:
        """Return every sandbox whose end was not acknowledged, in order; drop what a crash left half-made."""
        found = []
        for entry in sorted(self._entries()):
            place = str(entry.readlink()).removeprefix("../")
            handle = _handle_at(place)
            if handle is None:
                entry.unlink()
                continue
            box = Sandbox(self.root / place, entry, handle)
            if box.has("task.json"):
                found.append(box)
            else:
                self.discard(box, keep=False)
        return found

    def discard(self, box: Sandbox, *, keep: bool | None = None) -> None:
        """Forget an attempt; delete its sandbox unless sandboxes are kept. A crash in between leaves no half of it."""
        if not (self._keep if keep is None else keep):
            grave = self._trash / box.entry.name
            try:
                box.path.rename(grave)
            except OSError:
                grave = box.path
            _remove(grave)
            self._prune(box.path.parent)
        box.entry.unlink(missing_ok=True)

    def _entries(self) -> list[Path]:
        return [entry for entry in self._index.iterdir() if entry.name.isdigit()]

    def _prune(self, directory: Path) -> None:
        for parent in (directory, directory.parent):
            try:
                parent.rmdir()
            except OSError:
                return


def _handle_at(place: str) -> Handle | None:
    """Return the handle of a sandbox from its path relative to the root."""
    try:
        dataset, job, name = place.split("/")
        task, attempt, lease = name.rsplit(".", 2)
        address = Address(int(dataset), None if job == "once" else int(job), task, int(attempt))
    except ValueError:
        return None
    return Handle(str(address), lease, place)


def _remove(path: Path) -> None:
    """Delete a tree, also where a task took its own permission to write away."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError:
        for directory, _, _ in os.walk(path):
            for below in Path(directory).iterdir():
                if below.is_dir() and not below.is_symlink():
                    below.chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)


def _unavailable(what: str, error: OSError) -> Unavailable:
    return Unavailable(
        f"{what}: {error.strerror or error}", code="engine-directory", hint="check space and permissions"
    )
