"""The directory of each attempt: what goes to the node, and what came back; and beside it what was asked for.

ROOT/42.0/17.propagate.2.9f3c.json     what was asked for, and which names its files have on the node
ROOT/42.0/17.propagate.2.9f3c/         the job's initial directory (a thousand jobs of the dataset are in one directory)
    task.json in/                      the order for the worker, and links to the files that go with it
    outcome.json usage.json stdout stderr worker.log output.0 launch.err    what HTCondor brings back
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from nunatak.core.address import ONCE, parse
from nunatak.core.errors import NunatakError
from nunatak.core.work import FORMAT, FileRecord, Outcome, Reason, TaskSpec
from nunatak.engines.htcondor.options import Keep
from nunatak.engines.htcondor.travel import Travel, home_again, plan
from nunatak.engines.keys import Key
from nunatak.engines.outcomes import conclude, held_to_promise, shown
from nunatak.engines.protocol import Handle
from nunatak.engines.sandbox import Sandbox, remove


@dataclass(frozen=True, slots=True)
class Box:
    """The place of one attempt: a directory that HTCondor sees, and our own file beside it."""

    inner: Sandbox
    file: Path

    def asked(self) -> tuple[TaskSpec, Travel] | None:
        """Return what was asked for and how it travelled; None if that can no longer be read."""
        try:
            plain: Any = orjson.loads(self.file.read_bytes())
            spec = TaskSpec.from_plain(plain["task"])
            return spec, Travel(spec, {}, tuple(plain["urls"]), plain["back"], plain["gone"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


class Boxes:
    """All boxes under one directory."""

    def __init__(self, root: Path, shared: Sequence[str], plugins: Sequence[str], keep: Keep) -> None:
        """Begin with what is there; `keep` stores outputs that came back."""
        self._root, self._shared, self._plugins, self._keep = root, tuple(shared), tuple(plugins), keep
        self._rubbish: dict[Path, Path] = {}

    def of(self, key: Key) -> Box:
        """Return the box of an attempt, which need not exist."""
        address = parse(key[0])
        thousand, job = (0, "once") if address.job in (None, ONCE) else (address.job // 1000, str(address.job))
        name = f"{job}.{address.task}.{address.attempt}.{key[1]}"
        path = self._root / f"{address.dataset}.{thousand}" / name
        return Box(Sandbox(path, path, Handle(*key)), path.with_name(f"{name}.json"))

    def place(self, spec: TaskSpec) -> Travel:
        """Make the box of an attempt, anew if there is one. Raises `OSError`."""
        box, travel = self.of((spec.address, spec.lease)), plan(spec, self._shared, self._plugins)
        path = box.inner.path
        self._rubbish.pop(path, None)
        try:
            path.mkdir()
        except FileNotFoundError:
            path.mkdir(parents=True)
        except FileExistsError:
            remove(path)
            path.mkdir()
        if travel.take:
            (path / "in").mkdir()
        for name, source in travel.take.items():
            (path / name).symlink_to(source)
        (path / "task.json").write_bytes(orjson.dumps(_plain(travel.order)))
        kept = {"task": _plain(spec), "back": travel.back, "gone": travel.gone, "urls": travel.urls}
        box.file.write_bytes(orjson.dumps(kept))
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
        """Have a box deleted by and by."""
        box = self.of(key)
        self._rubbish[box.inner.path] = box.file

    def sweep(self, known: Iterable[Key]) -> None:
        """Have all boxes deleted by and by but those of `known`: an earlier engine was killed before it got to it."""
        files = {self.of(key).file for key in known}
        for file in self._root.glob("*/*.json"):
            if file not in files:
                self._rubbish[file.with_suffix("")] = file

    def clear(self, seconds: float) -> None:
        """Delete boxes for about so long: on a busy disk there may be more than fits between two polls."""
        end = time.monotonic() + seconds
        while self._rubbish and time.monotonic() < end:
            path, file = next(iter(self._rubbish.items()))
            remove(path)
            with suppress(OSError):
                file.unlink(missing_ok=True)
                file.parent.rmdir()  # unless others are in it
            del self._rubbish[path]

    def conclude(self, key: Key, words: str) -> Outcome:
        """Return how an attempt ended whose files are back, its outputs stored; `words` tell how the worker ended."""
        box = self.of(key)
        told = box.inner.read("outcome.json") if box.inner.has("outcome.json") else None
        complaint = box.inner.read("launch.err", most=4096)
        words += f"; it said {shown(complaint[-300:], 300)}" if complaint else ""
        outcome = conclude(box.inner.handle, told, box.inner.read("usage.json"), None, words)
        if told is None or outcome.reason is Reason.INVALID:
            return outcome
        asked = box.asked()
        if asked is None:
            return replace(
                outcome, reason=Reason.INVALID, message="what was asked for can no longer be read", outputs=()
            )
        spec, travel = asked
        home = held_to_promise(home_again(outcome, travel), spec.outputs)
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
        asked = self.of(key).asked()
        return asked[0] if asked else None


def _plain(spec: TaskSpec) -> dict[str, Any]:
    """Return what `TaskSpec.to_plain` does, for a writer that knows dataclasses: copying each would take most of the time."""
    return {"format": FORMAT, **{field: getattr(spec, field) for field in TaskSpec.__slots__}}


def _file(path: Path, record: FileRecord) -> Path:
    """Return a file that came back, if it is one of the right size. Raises `OSError`."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path.name} is not a regular file")
    if found.st_size != record.size:
        raise OSError(f"it came back with {found.st_size} bytes instead of {record.size}")
    return path
