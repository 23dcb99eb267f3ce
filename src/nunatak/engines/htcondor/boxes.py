"""The directory of each job: what goes to the node, and what came back.

ROOT/42.0/17.propagate.2.9f3c/         a job's initial directory (a thousand jobs of the dataset are in one directory)
    task.json in/                      the order for the worker, and links to the files that go with it
ROOT/42.0/files.5ad0/in/               instead of its `in`, links to files that go with many jobs alike
    outcome.json usage.json stdout stderr worker.log output.0 launch.err    what HTCondor brings back
ROOT/42.0/18.fit.1.77ab/               the same of a series
    in/ launch.err
    series/series.json                 its attempts in order
    series/0/                          the first of them: task.json, begun (not to be run, or run), and what came back
"""

from __future__ import annotations

import functools
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from nunatak.core.errors import NunatakError
from nunatak.core.work import FORMAT, FileRecord, Outcome, Reason, TaskSpec
from nunatak.engines.attempts import BEGUN
from nunatak.engines.folder import Folder
from nunatak.engines.htcondor.description import ORDERS
from nunatak.engines.htcondor.luggage import IN, PREFIX, Luggage
from nunatak.engines.htcondor.options import Keep
from nunatak.engines.htcondor.pieces import Piece
from nunatak.engines.htcondor.records import Attempt
from nunatak.engines.htcondor.travel import Travel, home_again, order_text, unpacked
from nunatak.engines.keys import Key, key_of
from nunatak.engines.outcomes import conclude, held_to_checkpoint, held_to_promise, shown
from nunatak.engines.protocol import Handle
from nunatak.engines.sandbox import SERIES, remove
from nunatak.engines.tails.keeping import PREFIX as PREFIX_LIVE

Live = Callable[[Key, Path], dict[str, Any]]
"""Returns what the order of an attempt says of telling logs, given where its box is."""


class Boxes:
    """All boxes under one directory."""

    def __init__(self, root: Path, keep: Keep, live: Live | None = None) -> None:
        """Begin with what is there; `keep` stores outputs that came back, `live` says how logs are told meanwhile."""
        self._root, self._keep, self._live = root, keep, live
        self._luggage = Luggage(root)
        self._rubbish: dict[str, None] = {}
        self._groups: dict[str, set[str]] = {}  # the jobs of each group that have a directory

    def home(self, home: str) -> Path:
        """Return the directory of a job, which need not exist."""
        return self._root / home

    def of(self, attempt: Attempt) -> Folder:
        """Return the sandbox of an attempt, which need not exist."""
        place = f"{attempt.home}/{ORDERS}/{attempt.member}" if attempt.member >= 0 else attempt.home
        return Folder(self._root / place)

    def place(self, piece: Piece, home: str, *, alike: bool = False) -> str:
        """Make the box of a job, anew if there is one; return the directory of what goes along, "" for nothing.

        With `alike` others take the same, and it is linked once for all. Raises `OSError`.
        """
        path, take, group = self._root / home, piece.take, _group(home)
        self._rubbish.pop(home, None)
        self._groups.setdefault(group, set()).add(home)
        _make(path)
        found = IN if take else ""
        if take and alike and self._luggage.possible:
            found = self._luggage.place(group, take)
        elif take:
            (path / IN).mkdir()
            for name, source in take.items():
                (path / name).symlink_to(source)
        if piece.series:
            self._place_orders(piece, path / ORDERS)
        else:
            _write(f"{path}/task.json", self._order(piece.travels[0].order, path))
        return found

    def _place_orders(self, piece: Piece, orders: Path) -> None:
        orders.mkdir()
        names = [str(number) for number in range(len(piece.members))]
        for name, travel in zip(names, piece.travels, strict=True):
            (orders / name).mkdir()
            _write(f"{orders}/{name}/task.json", self._order(travel.order, orders / name))
        _write(f"{orders}/{SERIES}", orjson.dumps({"format": FORMAT, "shape": piece.shape, "members": names}))

    def _order(self, spec: TaskSpec, box: Path) -> bytes:
        return order_text(spec, self._live(key_of(spec), box) if self._live else None)

    def take_away(self, attempt: Attempt) -> None:
        """See to it that an attempt is not run by the worker of its series, if that has not gone to a node yet."""
        with suppress(OSError):
            self.of(attempt).claim(BEGUN)

    def discard(self, home: str) -> None:
        """Have a box deleted by and by."""
        self._rubbish[home] = None

    def sweep(self, known: Iterable[str]) -> None:
        """Have all boxes deleted by and by but those of `known`: an earlier engine was killed before it got to it."""
        for home in known:
            self._groups.setdefault(_group(home), set()).add(home)
        for path in self._root.glob("*/*"):
            group, home = path.parent.name, f"{path.parent.name}/{path.name}"
            if home not in self._groups.get(group, ()) and not (group in self._groups and path.name.startswith(PREFIX)):
                self._rubbish[home] = None

    def clear(self, seconds: float) -> None:
        """Delete boxes for about so long: on a busy disk there may be more than fits between two polls."""
        end = time.monotonic() + seconds
        while self._rubbish and time.monotonic() < end:
            home = next(iter(self._rubbish))
            remove(self._root / home)
            group = _group(home)
            there = self._groups.get(group, set())
            there.discard(home)
            if not there:
                self._groups.pop(group, None)
                self._luggage.go(group)
            del self._rubbish[home]

    # ---- what came back

    def conclude(self, attempt: Attempt, order: bytes, words: str) -> Outcome:
        """Return how an attempt ended whose files are back, its outputs stored.

        `order` is what was asked for, `words` tell how the worker ended.
        """
        box, handle = self.of(attempt), Handle(*attempt.key)
        told = box.read("outcome.json") if box.has("outcome.json") else None
        complaint = Folder(self._root / attempt.home).read("launch.err", most=4096)
        words += f"; it said {shown(complaint[-300:], 300)}" if complaint else ""
        if told is None and attempt.member >= 0 and not box.has(BEGUN):
            return Outcome(*attempt.key, Reason.UNBEGUN, f"its series ended before it began: {words}")
        outcome = conclude(handle, told, box.read("usage.json"), None, words)
        if told is None or outcome.reason is Reason.INVALID:
            return outcome
        asked = unpacked(order)
        if asked is None:
            return replace(
                outcome, reason=Reason.INVALID, message="what was asked for can no longer be read", outputs=()
            )
        home = held_to_promise(home_again(outcome, asked.travel), asked.spec.outputs)
        home = held_to_checkpoint(home, asked.spec.checkpoint)
        return home if home.reason is not Reason.OK else self._store(box, home, outcome.outputs, asked.travel)

    def _store(self, box: Folder, outcome: Outcome, carried: Sequence[FileRecord], travel: Travel) -> Outcome:
        for record in carried:
            if record.url not in travel.back:
                continue
            try:
                self._keep(travel.back[record.url], _file(box.path / record.url, record), record.sha256)
            except (NunatakError, OSError) as error:
                said = error.message if isinstance(error, NunatakError) else f"{error.strerror or error}"
                message = f"the output {record.name} could not be stored: {said}"
                return replace(outcome, reason=Reason.STAGE_OUT, message=message, outputs=())
        return outcome

    def read(self, attempt: Attempt, stream: str, offset: int, most: int) -> bytes:
        """Return bytes of a log that came back, or of what was told of it before."""
        box = self.of(attempt)
        return box.read(stream if box.has(stream) else PREFIX_LIVE + stream, offset, most)


def missing(spec: TaskSpec, travel: Travel, trouble: Callable[[str], str]) -> str:
    """Say which input is not here, of those that have to go with the job; "" if all are."""
    carried = {url: name for name, url in travel.gone.items()}
    for item in spec.inputs:
        path = travel.take.get(carried.get(item.url, "").removeprefix("../../"))
        words = "" if path is None or item.optional else trouble(path)
        if words:
            return f"the input {item.name} {words}"
    return ""


def troubles() -> Callable[[str], str]:
    """Return what says why a file cannot go along, "" if it can; it looks once at each, as many tasks have the same."""
    return functools.cache(_trouble)


def _trouble(path: str) -> str:
    try:
        regular = stat.S_ISREG(Path(path).stat().st_mode) and os.access(path, os.R_OK)
    except OSError as error:
        return f"is missing: {error.strerror}: {path}"
    return "" if regular else f"could not be had: {path} is not a file that the engine may read"


def _group(home: str) -> str:
    return home.partition("/")[0]


def _make(path: Path) -> None:
    """Make an empty directory, whatever was there."""
    try:
        path.mkdir()
    except FileNotFoundError:
        path.mkdir(parents=True)
    except FileExistsError:
        remove(path)
        path.mkdir()


def _write(path: str, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def _file(path: Path, record: FileRecord) -> Path:
    """Return a file that came back, if it is one of the right size. Raises `OSError`."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path.name} is not a regular file")
    if found.st_size != record.size:
        raise OSError(f"it came back with {found.st_size} bytes instead of {record.size}")
    return path
