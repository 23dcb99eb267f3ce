"""Sandboxes where no file system is shared: what a job needs is carried to its cluster, what it left is carried home."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from nunatak.core.errors import NunatakError
from nunatak.core.work import FileRecord, Outcome, Reason, TaskSpec
from nunatak.engines.batch.attempts import BEGUN, OUTCOME, Attempt, Worker
from nunatak.engines.batch.ferry import Ferry
from nunatak.engines.batch.submissions import Submission, talk_of
from nunatak.engines.htcondor.travel import Travel, home_again, plan
from nunatak.engines.outcomes import held_to_checkpoint, held_to_promise

TOGETHER = 200
"""Jobs whose files are fetched at one look."""
AHEAD = 50
"""Members of one series that are looked for at one look: short ones, of which more may have begun, are seen at the next."""
LOGS = ("stdout", "stderr")
LEFT = (OUTCOME, "usage.json", *LOGS, "worker.log", BEGUN)
"""What a worker leaves in a sandbox beside outputs."""

Keep = Callable[[str, Path, str], object]
"""Stores a local file under a `file:` URL, given its SHA-256. Raises `NunatakError` if that cannot be."""


class Staged:
    """A directory at the other end of a connection; its parts have the same names there as here."""

    live = False

    def __init__(self, root: Path, ferry: Ferry, keep: Keep, shared: Sequence[str]) -> None:
        """Prepare; paths below `shared` are on the nodes as they are here."""
        self._root, self._ferry, self._keep, self._shared = root, ferry, keep, tuple(shared)
        self._ready = False
        self._rubbish: dict[str, None] = {}

    def bring(self, submission: Submission, workers: Sequence[Worker]) -> None:
        """Carry orders and inputs of all attempts there, then the list by which the jobs find them."""
        files: dict[str, Path | bytes] = {}
        directories = {".talk", f".submissions/{submission.mark}"}
        if not self._ready:
            self._sweep()
            worker_files = (path for path in (self._root / ".worker").rglob("*") if path.is_file())
            files.update({str(path.relative_to(self._root)): path for path in worker_files})
        for worker in workers:
            if worker.home:
                directories.add(str(Path(worker.place).parent))
                files[worker.place] = self._root / worker.place
            for attempt in worker.unended():
                directories.add(attempt.box.handle.external)
                files.update(self._order(attempt))
        for name in (".talk", f".submissions/{submission.mark}", *directories):
            self._rubbish.pop(name, None)
        files[f".submissions/{submission.mark}/tasks"] = "".join(f"{place}\n" for place in submission.places).encode()
        self._ferry.put(files, sorted(directories))
        self._ready = True

    def _order(self, attempt: Attempt) -> dict[str, Path | bytes]:
        """Return what goes into a sandbox: the order, with inputs and outputs under the names they have there."""
        place, travel = attempt.box.handle.external, self._travel(attempt.box.read_task())
        found: dict[str, Path | bytes] = {f"{place}/{name}": Path(source) for name, source in travel.take.items()}
        found[f"{place}/task.json"] = json.dumps(travel.order.to_plain()).encode()
        return found

    def _travel(self, spec: TaskSpec) -> Travel:
        return plan(spec, self._shared, ())

    def _sweep(self) -> None:
        """Delete what an engine that was killed had no time to delete, or stopped to wait for."""
        known = {str(entry.readlink()).removeprefix("../") for entry in (self._root / ".index").iterdir()}
        known |= {
            f"{name}/{path.name}" for name in (".submissions", ".series") for path in (self._root / name).iterdir()
        }
        unknown = [place for place in self._ferry.sandboxes() if place not in known]
        if unknown:
            self._ferry.remove(unknown)

    def withdraw(self, submissions: Sequence[Submission]) -> None:
        """Delete the lists by which jobs find what to do."""
        if submissions:
            self._ferry.remove([f".submissions/{submission.mark}/tasks" for submission in submissions])

    def tell(self, attempts: Sequence[Attempt]) -> None:
        """Carry the reasons why attempts are to end."""
        if attempts:
            stops: dict[str, Path | bytes] = {
                f"{attempt.box.handle.external}/stop.json": attempt.box.path / "stop.json" for attempt in attempts
            }
            self._ferry.put(stops, [])

    def fetch(self, workers: Sequence[Worker]) -> None:
        """Carry home what workers left, as long as their outcomes are not here; then delete what is not needed there."""
        wanted = [worker for worker in workers if not self.seen(worker) or self._missing(worker)][:TOGETHER]
        names: dict[str, Path] = {}
        for worker in wanted:
            if worker.submission:
                talk = talk_of(worker.submission.mark, worker.index)
                names[talk] = self._root / talk
            for attempt in self._missing(worker):
                names.update(self._left(attempt))
        if names:
            self._ferry.get(names, OUTCOME)
        for worker in wanted:
            worker.fetched = True
        if self._rubbish:
            self._ferry.remove(list(self._rubbish))
            self._rubbish.clear()

    def follow(self, workers: Sequence[Worker]) -> None:
        """Bring the marks of members that began, then what those left whose next one has begun: nothing of them runs."""
        marks: dict[str, Path] = {}
        for worker in workers:
            unbegun = [attempt.box for attempt in worker.unended() if not attempt.box.has(BEGUN)][:AHEAD]
            marks.update({f"{box.handle.external}/{BEGUN}": box.path / BEGUN for box in unbegun})
        if marks:
            self._ferry.get(marks, BEGUN)
        left: dict[str, Path] = {}
        for worker in workers:
            for attempt, following in pairwise(worker.unended()):
                if following.box.has(BEGUN) and not attempt.box.has(OUTCOME):
                    left.update(self._left(attempt))
        if left:
            self._ferry.get(left, OUTCOME)

    def listen(self, attempts: Sequence[Attempt]) -> None:
        """Add to the logs here what running attempts added to theirs; at the end they are replaced by the whole."""
        logs = {
            f"{attempt.box.handle.external}/{name}": attempt.box.path / name
            for attempt in attempts[:TOGETHER]
            for name in LOGS
            if not attempt.box.has(OUTCOME)
        }
        for name, data in self._ferry.tails({name: _size(path) for name, path in logs.items()}).items():
            with logs[name].open("ab") as stream:
                stream.write(data)

    def _missing(self, worker: Worker) -> list[Attempt]:
        return [attempt for attempt in worker.unended() if not attempt.box.has(OUTCOME)]

    def _left(self, attempt: Attempt) -> dict[str, Path]:
        """Return what may be in a sandbox there, and where it goes; outputs too."""
        try:
            back = tuple(self._travel(attempt.box.read_task()).back)
        except (ValueError, KeyError, TypeError, AttributeError):
            back = ()
        return {f"{attempt.box.handle.external}/{name}": attempt.box.path / name for name in (*LEFT, *back)}

    def seen(self, worker: Worker) -> bool:
        """Tell whether what a worker left was fetched since its end."""
        return worker.fetched or not worker.unended()

    def home(self, attempt: Attempt, spec: TaskSpec, outcome: Outcome) -> Outcome:
        """Return a worker's outcome with the URLs by which we know its files, its outputs stored there."""
        travel = self._travel(spec)
        known = held_to_checkpoint(held_to_promise(home_again(outcome, travel), spec.outputs), spec.checkpoint)
        if known.reason is not Reason.OK:
            return known
        for record in outcome.outputs:
            if record.url not in travel.back:
                continue
            try:
                self._keep(travel.back[record.url], _file(attempt.box.path / record.url, record), record.sha256)
            except (NunatakError, OSError) as error:
                said = error.message if isinstance(error, NunatakError) else f"{error.strerror or error}"
                message = f"the output {record.name} could not be stored: {said}"
                return replace(known, reason=Reason.STAGE_OUT, message=message, outputs=())
        return known

    def forget(self, places: Sequence[str]) -> None:
        """Have places deleted there at the next look."""
        self._rubbish.update(dict.fromkeys(places))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _file(path: Path, record: FileRecord) -> Path:
    """Return a file that came back, if it is of the right size. Raises `OSError`."""
    size = path.stat().st_size
    if size != record.size:
        raise OSError(f"it came back with {size} bytes instead of {record.size}")
    return path
