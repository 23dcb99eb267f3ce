"""Who waits for room on this machine, and what is free of it: cores, memory, disk, and each GPU by its number."""

from __future__ import annotations

from nunatak.core.work import Shape
from nunatak.engines.attempts import Worker
from nunatak.engines.keys import Key
from nunatak.engines.slots import Line, Slots


class Places:
    """The line and the slots of the local engine; a worker has one place, whether it runs one attempt or a series."""

    def __init__(self, total: Shape) -> None:
        """Begin with everything free and nobody waiting."""
        self._slots, self._line = Slots(total), Line()
        self._gpus = set(range(total.gpu))
        self._waiting: dict[Key, Worker] = {}
        self.running = 0
        """How many workers have their place."""

    @property
    def total(self) -> Shape:
        """Return what there is."""
        return self._slots.total

    @property
    def waiting(self) -> int:
        """How many workers wait."""
        return len(self._line)

    def free(self) -> Shape:
        """Return what is free."""
        return self._slots.free()

    def waits(self, worker: Worker) -> bool:
        """Tell whether a worker waits."""
        return worker.key in self._waiting

    def line(self) -> list[Worker]:
        """Return the workers that wait."""
        return list(self._waiting.values())

    def join(self, worker: Worker, *, first: bool = False) -> None:
        """Let a worker wait, at the end, or at the front if it could not be started after all."""
        (self._line.put_back if first else self._line.add)(worker.key, worker.shape)
        self._waiting[worker.key] = worker

    def leave(self, worker: Worker) -> None:
        """Take a worker out of the line."""
        self._line.remove(worker.key)
        self._waiting.pop(worker.key, None)

    def start(self, most: int) -> list[Worker]:
        """Return who can start now, in order and at most so many, each with what it needs taken for it."""
        started = [self._waiting.pop(key) for key in self._line.start(self._slots, most)]
        self.running += len(started)
        for worker in started:
            worker.gpus = tuple(sorted(self._gpus)[: worker.shape.gpu])
            self._gpus.difference_update(worker.gpus)
        return started

    def take(self, worker: Worker) -> None:
        """Count what a worker has that runs already, whether it was free or not."""
        self.running += 1
        self._slots.take(worker.shape)
        self._gpus.difference_update(worker.gpus)

    def give(self, worker: Worker) -> None:
        """Count what a worker had as free again."""
        self.running -= 1
        self._slots.give(worker.shape)
        self._gpus.update(gpu for gpu in worker.gpus if gpu < self.total.gpu)
