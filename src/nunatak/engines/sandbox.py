"""The local engine's only memory: one sandbox directory an attempt, and an index of them in order of arrival.

ROOT/42/17/propagate.2.9f3c/     a sandbox (`once` in place of the job for a task done once a dataset)
    task.json                    what to run; without `launch` beside it, the attempt waits
    launch                       made just before the worker is started, so never twice
    worker.json                  process and start of the worker
    stop.json                    it was told to stop, and why
    stdout stderr usage.json outcome.json worker.log work/    the worker's
    ended.json                   how it ended, where the engine had to say it
    begun                        in a series: made by the worker before it begins the attempt, or by who takes it away
ROOT/.index/000000000017         a link to a sandbox whose end has not been acknowledged
ROOT/.series/000000000004/       a series: its worker has `launch` and `worker.json` here
    series.json                  its shape, and its sandboxes in order
ROOT/.trash/                     sandboxes being deleted
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nunatak.core.address import ONCE, Address
from nunatak.core.errors import Unavailable
from nunatak.core.work import Outcome, Shape, TaskSpec
from nunatak.engines.folder import Folder
from nunatak.engines.keys import attempt_of
from nunatak.engines.protocol import Handle

SERIES = "series.json"
_MOST_TASK = 256_000_000


@dataclass(frozen=True, slots=True)
class Sandbox(Folder):
    """The directory of one attempt, and the name of its entry in the index."""

    entry: Path
    handle: Handle

    def read_task(self) -> TaskSpec:
        """Return what to run. Raises `ValueError`, `KeyError` or `TypeError` if the file is damaged."""
        return TaskSpec.from_plain(json.loads(self.read("task.json", most=_MOST_TASK)))

    def write_end(self, outcome: Outcome) -> None:
        """Record an end that the worker did not. Raises `OSError`."""
        self.write("ended.json", outcome.to_plain())


class Shelf:
    """All sandboxes under one directory, which belongs to one engine process at a time."""

    def __init__(self, root: Path, *, keep: bool) -> None:
        """Take possession of `root`. Raises `Unavailable` while another process has it or it cannot be written."""
        self.root = root.absolute()
        self._keep = keep
        self._index, self._trash, self._series = self.root / ".index", self.root / ".trash", self.root / ".series"
        try:
            self._index.mkdir(parents=True, exist_ok=True)
            self._trash.mkdir(exist_ok=True)
            self._series.mkdir(exist_ok=True)
        except OSError as error:
            raise _unavailable(f"the engine cannot use the directory {self.root}", error) from None
        self._lock = possess(self.root)
        names = [entry.name for entry in (*self._entries(), *self._series.iterdir())]
        self._number = max((int(name) for name in names if name.isdigit()), default=0)
        for left in self._trash.iterdir():
            remove(left)

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

    def place_series(self, shape: Shape, handles: Sequence[Handle]) -> Folder:
        """Store what belongs together, before the sandboxes are made. Raises `OSError`."""
        self._number += 1
        home = Folder(self._series / f"{self._number:012d}")
        home.path.mkdir(parents=True)
        members = [f"../../{handle.external}" for handle in handles]
        home.write(SERIES, {"format": 1, "shape": shape.to_plain(), "members": members})
        return home

    def all_series(self) -> list[tuple[Folder, Shape, list[str]]]:
        """Return every series with its shape and its sandboxes relative to the root; drop what a crash left half-made."""
        found = []
        for path in sorted(self._series.iterdir()):
            home = Folder(path)
            plain = home.read_plain(SERIES)
            try:
                shape = Shape.from_plain(plain["shape"])
                found.append((home, shape, [str(name).removeprefix("../../") for name in plain["members"]]))
            except (KeyError, TypeError, ValueError):
                self.discard_series(home)
        return found

    def discard_series(self, home: Folder) -> None:
        """Forget a series whose worker is gone and whose attempts are all forgotten."""
        remove(home.path)

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
            remove(grave)
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


def possess(root: Path) -> int:
    """Take a directory for this process; return the open file that keeps it. Raises `Unavailable` if another has it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unavailable(f"the engine cannot use the directory {root}", error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Unavailable(
            f"another engine works in {root}",
            code="engine-busy",
            hint="stop it first, or give this one a directory of its own",
        ) from None
    return lock


def _handle_at(place: str) -> Handle | None:
    """Return the handle of a sandbox from its path relative to the root."""
    try:
        dataset, job, name = place.split("/")
        task, attempt, lease = name.rsplit(".", 2)
        address = Address(int(dataset), None if job == "once" else int(job), task, int(attempt))
    except ValueError:
        return None
    return Handle(str(address), lease, place)


def remove(path: Path) -> None:
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
