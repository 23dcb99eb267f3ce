"""The directory of each attempt: what was asked for, what goes to the node, and what came back.

ROOT/42/17/propagate.2.9f3c/     a box (`once` in place of the job for a task done once a dataset)
    task.json travel.json        what was asked for, and which names its files have on the node
    node/                        the job's initial directory, written by HTCondor when the job has ended
        task.json in/            the order for the worker, and links to the files that go with it
        outcome.json usage.json stdout stderr worker.log output.0 launch.err    what comes back
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nunatak.core.address import parse
from nunatak.core.errors import NunatakError
from nunatak.core.work import FileRecord, Outcome, Reason, TaskSpec
from nunatak.engines.htcondor.options import Keep
from nunatak.engines.htcondor.travel import Travel, home_again, plan
from nunatak.engines.keys import Key
from nunatak.engines.outcomes import conclude, held_to_promise, shown
from nunatak.engines.protocol import Handle
from nunatak.engines.sandbox import Sandbox, place_of, remove

_MOST_TASK = 256_000_000


@dataclass(frozen=True, slots=True)
class Box:
    """The directory of one attempt; `inner` is what HTCondor sees of it."""

    outer: Sandbox
    inner: Sandbox

    def spec(self) -> TaskSpec:
        """Return what was asked for. Raises `ValueError`, `KeyError` or `TypeError` if the file is damaged."""
        return self.outer.read_task()

    def travel(self) -> Travel:
        """Return the names its files have on the node."""
        plain = self.outer.read_plain("travel.json")
        return Travel({}, {}, tuple(plain.get("urls", ())), plain.get("back", {}), plain.get("gone", {}))


class Boxes:
    """All boxes under one directory."""

    def __init__(self, root: Path, shared: Sequence[str], plugins: Sequence[str], keep: Keep) -> None:
        """Begin with what is there; `keep` stores outputs that came back."""
        self._root, self._shared, self._plugins, self._keep = root, tuple(shared), tuple(plugins), keep

    def of(self, key: Key) -> Box:
        """Return the box of an attempt, which need not exist."""
        path = self._root / place_of(parse(key[0]), key[1])
        handle = Handle(*key)
        return Box(Sandbox(path, path, handle), Sandbox(path / "node", path, handle))

    def place(self, spec: TaskSpec) -> Travel:
        """Make the box of an attempt, anew if there is one. Raises `OSError`."""
        box, travel = self.of((spec.address, spec.lease)), plan(spec, self._shared, self._plugins)
        remove(box.outer.path)
        (box.inner.path / "in").mkdir(parents=True)
        for name, path in travel.take.items():
            (box.inner.path / name).symlink_to(path)
        box.inner.write("task.json", travel.order)
        box.outer.write("travel.json", {"back": travel.back, "gone": travel.gone, "urls": travel.urls})
        box.outer.write("task.json", spec.to_plain())
        return travel

    def missing(self, spec: TaskSpec) -> str:
        """Say which input is not here, of those that have to go with the job; "" if all are."""
        carried = plan(spec, self._shared, self._plugins).take
        for number, item in enumerate(spec.inputs):
            path = carried.get(f"in/{number}")
            if path is None or item.optional:
                continue
            try:
                regular = stat.S_ISREG(Path(path).stat().st_mode) and os.access(path, os.R_OK)
            except OSError as error:
                return f"the input {item.name} is missing: {error.strerror}: {path}"
            if not regular:
                return f"the input {item.name} could not be had: {path} is not a file that the engine may read"
        return ""

    def discard(self, key: Key) -> None:
        """Delete a box."""
        path = self.of(key).outer.path
        remove(path)
        for parent in (path.parent, path.parent.parent):
            try:
                parent.rmdir()
            except OSError:
                return

    def conclude(self, key: Key, words: str) -> Outcome:
        """Return how an attempt ended whose files are back, its outputs stored; `words` tell how the worker ended."""
        box = self.of(key)
        told = box.inner.read("outcome.json") if box.inner.has("outcome.json") else None
        complaint = box.inner.read("launch.err", most=4096)
        words += f"; it said {shown(complaint[-300:], 300)}" if complaint else ""
        outcome = conclude(box.inner.handle, told, box.inner.read("usage.json"), None, words)
        if told is None or outcome.reason is Reason.INVALID:
            return outcome
        try:
            promised, travel = box.spec().outputs, box.travel()
        except (ValueError, KeyError, TypeError, AttributeError):
            return replace(
                outcome, reason=Reason.INVALID, message="what was asked for can no longer be read", outputs=()
            )
        home = held_to_promise(home_again(outcome, travel), promised)
        return home if home.reason is not Reason.OK else self._store(box, home, outcome.outputs, travel)

    def _store(self, box: Box, outcome: Outcome, carried: Sequence[FileRecord], travel: Travel) -> Outcome:
        for record in carried:
            if record.url not in travel.back:
                continue
            try:
                self._keep(travel.back[record.url], _file(box.inner.path / record.url, record), record.sha256)
            except (NunatakError, OSError) as error:
                said = error.message if isinstance(error, NunatakError) else f"{error.strerror or error}"
                message = f"the output {record.name} could not be stored: {said}"
                return replace(outcome, reason=Reason.STAGE_OUT, message=message, outputs=())
        return outcome

    def read(self, key: Key, stream: str, offset: int, most: int) -> bytes:
        """Return bytes of a log that came back."""
        return self.of(key).inner.read(stream, offset, most)

    def waiting(self, key: Key) -> TaskSpec | None:
        """Return what to submit once more; None if it can no longer be read."""
        try:
            plain: Any = json.loads(self.of(key).outer.read("task.json", most=_MOST_TASK))
            return TaskSpec.from_plain(plain)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _file(path: Path, record: FileRecord) -> Path:
    """Return a file that came back, if it is one of the right size. Raises `OSError`."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path.name} is not a regular file")
    if found.st_size != record.size:
        raise OSError(f"it came back with {found.st_size} bytes instead of {record.size}")
    return path
