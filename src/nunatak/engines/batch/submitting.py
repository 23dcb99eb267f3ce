"""From attempts to submissions: group those that agree, write each group down, then ask the batch system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from nunatak.core.clock import Keys
from nunatak.core.errors import Unavailable
from nunatak.core.work import Series, Shape, TaskSpec
from nunatak.engines.batch import fits
from nunatak.engines.batch.attempts import Worker
from nunatak.engines.batch.dialect import Ask, chunks
from nunatak.engines.batch.model import Cluster, Order, Submitted
from nunatak.engines.batch.script import Place, body, common
from nunatak.engines.batch.submissions import Submission, Submissions
from nunatak.engines.batch.system import System
from nunatak.engines.batch.there import There


class Sent(NamedTuple):
    """What came of one group: the record of its submission, unless it certainly was not made."""

    workers: Sequence[Worker]
    submission: Submission | None
    said: Submitted


def singly(batch: Sequence[TaskSpec | Series]) -> list[TaskSpec]:
    """Return the attempts of a batch, those of a series as attempts of their own: for a system that takes no series."""
    return [spec for item in batch for spec in (item.members if isinstance(item, Series) else (item,))]


def groups(workers: Iterable[Worker], most: int) -> list[Sequence[Worker]]:
    """Return workers in groups that one submission can carry: same shape, lease and nodes to avoid; in order."""
    found: dict[tuple[Shape, str, tuple[str, ...]], list[Worker]] = {}
    for worker in workers:
        key = (worker.shape, worker.attempts[0].box.handle.lease, worker.avoid)
        found.setdefault(key, []).append(worker)
    return [part for group in found.values() for part in chunks(group, most)]


class Sender:
    """Makes submissions. `tag` is in every mark, so that another engine's jobs are not taken for ours."""

    def __init__(self, system: System, records: Submissions, place: Place, there: There, tag: str, keys: Keys) -> None:
        """Prepare; nothing is asked yet."""
        self._system, self._records, self._there = system, records, there
        self._place, self._tag, self._keys = place, tag, keys

    def send(self, workers: Sequence[Worker], cluster: Cluster, drained: Sequence[str]) -> Sent:
        """Submit one group. Raises `OSError` or `Unavailable` if it cannot be made ready; then nothing was asked."""
        mark, terms = f"n{self._tag}{self._keys() % 16**8:08x}", self._system.terms
        request = terms.request(workers[0].shape)
        queues, avoid = fits.destination(request, cluster, terms, workers[0].avoid, drained)
        if not queues:
            return Sent(workers, None, Submitted(away="every node that could take it is drained"))
        shape = replace(request, features=fits.constraints(request, cluster))
        question = self._system.dialect.submit(self._order(mark, workers, shape, queues, avoid))
        submission = self._records.make(mark, [worker.place for worker in workers], question.commands[0].text)
        said = self._ask(submission, workers, question)
        if said.refused or said.away:
            self._there.forget([f".submissions/{mark}"])
            self._records.drop(submission)
            return Sent(workers, None, said)
        for index, worker in enumerate(workers, 1):
            worker.submission, worker.index = submission, index
        submission.left = len(workers)
        if said.id:
            self._records.record(submission, said.id)
        return Sent(workers, submission, said)

    def _ask(self, submission: Submission, workers: Sequence[Worker], question: Ask[Submitted]) -> Submitted:
        try:
            for worker in workers:
                self._records.link_script(submission, worker.folder.path)
            self._there.bring(submission, workers)
        except (OSError, Unavailable):
            self._records.drop(submission)
            raise
        return self._system.ask(question)

    def _order(
        self, mark: str, workers: Sequence[Worker], shape: Shape, queues: tuple[str, ...], avoid: tuple[str, ...]
    ) -> Order:
        attempts = [attempt for worker in workers for attempt in worker.attempts]
        return Order(
            mark=mark,
            name=common([attempt.box.handle.address for attempt in attempts]),
            lease=attempts[0].box.handle.lease,
            count=len(workers),
            shape=shape,
            talk=f"{self._place.root}/.talk/{mark}",
            body=body(self._place, mark, self._system.dialect.index),
            queues=queues,
            avoid=avoid,
        )
