"""From what is submitted, or found on the disk, to workers: sandboxes are made, or read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

from nunatak.core.work import Reason, Series, Shape, TaskSpec
from nunatak.engines.batch.attempts import Attempt, Worker, alone, in_a_row
from nunatak.engines.keys import Key
from nunatak.engines.outcomes import Stop
from nunatak.engines.placing import Placed, place_all
from nunatak.engines.protocol import Handle
from nunatak.engines.sandbox import Sandbox, Shelf


def place(shelf: Shelf, new: Sequence[TaskSpec | Series], handles: Mapping[Key, Handle]) -> list[Worker]:
    """Make the sandboxes of a batch, all or none. Raises `Unavailable`."""
    return [_worker(placed) for placed in place_all(shelf, new, handles)]


def _worker(placed: Placed) -> Worker:
    attempts = [Attempt(box, spec.shape, spec.avoid) for box, spec in zip(placed.boxes, placed.specs, strict=True)]
    if placed.series and placed.home:
        return in_a_row(placed.home, placed.series.shape, attempts)
    return alone(attempts[0])


def left_by_an_earlier_engine(shelf: Shelf) -> list[Worker]:
    """Return what is on the disk, in the order it came."""
    boxes = {box.handle.external: box for box in shelf.all()}
    found = []
    for home, shape, places in shelf.all_series():
        mine = [boxes.pop(name) for name in places if name in boxes]
        if not mine:
            shelf.discard_series(home)
            continue
        found.append((mine[0].entry.name, in_a_row(home, shape, [_read(box) for box in mine])))
    found += [(box.entry.name, alone(_read(box))) for box in boxes.values()]
    return [worker for _, worker in sorted(found, key=itemgetter(0))]


def _read(box: Sandbox) -> Attempt:
    """Return an attempt as its sandbox has it; one whose order cannot be read has a shape without cores."""
    try:
        spec = box.read_task()
        attempt = Attempt(box, spec.shape, spec.avoid)
    except (ValueError, KeyError, TypeError, AttributeError):
        attempt = Attempt(box, Shape(cpu=0))
    stop = box.read_plain("stop.json")
    if stop:
        attempt.stop = Stop(Reason(stop["reason"]), str(stop["message"]), 0.0)
    return attempt
