"""The event logs that speak of our jobs. Jobs write to the newest; one that nobody needs goes, so that none grows for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.log import EventLog, News

Positions = dict[int, tuple[int, bytes]]
"""How far each log was read, and how it begins."""


class Logs:
    """The logs of one engine, by their numbers."""

    def __init__(self, directory: Path, condor: Condor, size: int, known: Mapping[int, tuple[int, bytes]]) -> None:
        """Go on in those that are `known`; from `size` bytes on a log is long."""
        self._directory, self._condor, self._size = directory, condor, size
        directory.mkdir(parents=True, exist_ok=True)
        self._logs = {number: EventLog(condor, self._path(number), *rest) for number, rest in known.items()} or {
            1: EventLog(condor, self._path(1))
        }

    @property
    def newest(self) -> int:
        """Return the number of the newest."""
        return max(self._logs)

    def for_new(self) -> Path:
        """Return the log for new jobs, a new one if the newest is long or cannot be read."""
        newest = self.newest
        if self._logs[newest].spoilt or self._logs[newest].size() > self._size:
            newest += 1
            self._logs[newest] = EventLog(self._condor, self._path(newest))
        return self._logs[newest].path

    def read(self, most: int) -> Iterator[News]:
        """Read at most `most` events of each log, one log after the other."""
        for log in list(self._logs.values()):
            yield log.read(most)

    def positions(self) -> Positions:
        """Return how far each was read."""
        return {number: (log.position, log.mark) for number, log in self._logs.items()}

    def retire(self, needed: Iterable[int]) -> None:
        """Delete logs but those that are `needed` and the newest, and what HTCondor wrote to deleted ones."""
        if len(self._logs) == 1:
            return
        for number in self._logs.keys() - {self.newest, *needed}:
            self._logs.pop(number).close()
        for path in self._directory.glob("*.log"):
            if path.stem.isdigit() and int(path.stem) not in self._logs:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of all files."""
        for log in self._logs.values():
            log.close()

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:06d}.log"
