"""From attempts to submissions: group those that agree, write each group down, then ask the batch system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nunatak.core.clock import Keys
from nunatak.core.work import Series, Shape, TaskSpec
from nunatak.engines.batch import fits
from nunatak.engines.batch.dialect import Dialect, chunks
from nunatak.engines.batch.model import Cluster, Job, Order, Submitted
from nunatak.engines.batch.run import Run, ask
from nunatak.engines.batch.script import Place, body, common
from nunatak.engines.batch.submissions import Submission, Submissions
from nunatak.engines.outcomes import Stop
from nunatak.engines.sandbox import Sandbox


@dataclass(slots=True)
class Attempt:
    """What the engine has in mind of one attempt; everything here can be found again on disk or in the batch system."""

    box: Sandbox
    shape: Shape
    avoid: tuple[str, ...] = ()
    submission: Submission | None = None
    index: int = 1  # its line in the submission
    host: str = ""  # where it runs
    running: bool = False
    ended: bool = False
    stop: Stop | None = None  # we want it ended
    asked: float = float("-inf")  # when the batch system was last asked to end it
    over: Job | None = None  # the batch system says so, or no longer knows of it
    since: float = 0.0  # when that was seen first

    @property
    def job(self) -> Job | None:
        """Return how the batch system names it, if it is known to be there."""
        if self.submission is None or not self.submission.id:
            return None
        return Job(self.submission.id, self.index if len(self.submission.places) > 1 else 0)


class Sent(NamedTuple):
    """What came of one group: the record of its submission, unless it certainly was not made."""

    attempts: Sequence[Attempt]
    submission: Submission | None
    said: Submitted


def singly(batch: Sequence[TaskSpec | Series]) -> list[TaskSpec]:
    """Return the attempts of a batch; the members of a series are submitted as attempts of their own."""
    return [spec for item in batch for spec in (item.members if isinstance(item, Series) else (item,))]


def groups(attempts: Iterable[Attempt], most: int) -> list[Sequence[Attempt]]:
    """Return attempts in groups that one submission can carry: same shape, lease and nodes to avoid; in order."""
    found: dict[tuple[Shape, str, tuple[str, ...]], list[Attempt]] = {}
    for attempt in attempts:
        key = (attempt.shape, attempt.box.handle.lease, tuple(sorted(attempt.avoid)))
        found.setdefault(key, []).append(attempt)
    return [part for group in found.values() for part in chunks(group, most)]


class Sender:
    """Makes submissions. `tag` is in every mark, so that another engine's jobs are not taken for ours."""

    def __init__(
        self, dialect: Dialect, run: Run, records: Submissions, place: Place, terms: fits.Terms, tag: str, keys: Keys
    ) -> None:
        """Prepare; nothing is asked yet."""
        self._dialect, self._run, self._records = dialect, run, records
        self._place, self._terms, self._tag, self._keys = place, terms, tag, keys

    def send(self, attempts: Sequence[Attempt], cluster: Cluster, drained: Sequence[str]) -> Sent:
        """Submit one group. Raises `OSError` if it cannot be written down; then nothing was asked."""
        mark = f"n{self._tag}{self._keys() % 16**8:08x}"
        request = self._terms.request(attempts[0].shape)
        queues, avoid = fits.destination(request, cluster, self._terms, attempts[0].avoid, drained)
        if not queues:
            return Sent(attempts, None, Submitted(away="every node that could take it is drained"))
        shape = replace(request, features=fits.constraints(request, cluster))
        question = self._dialect.submit(self._order(mark, attempts, shape, queues, avoid))
        script = question.commands[0].text
        submission = self._records.make(mark, [attempt.box.handle.external for attempt in attempts], script)
        for attempt in attempts:
            self._records.link_script(submission, attempt.box.path)
        said = ask(self._run, question)
        if said.refused or said.away:
            self._records.drop(submission)
            return Sent(attempts, None, said)
        for index, attempt in enumerate(attempts, 1):
            attempt.submission, attempt.index = submission, index
        submission.left = len(attempts)
        if said.id:
            self._records.record(submission, said.id)
        return Sent(attempts, submission, said)

    def _order(
        self, mark: str, attempts: Sequence[Attempt], shape: Shape, queues: tuple[str, ...], avoid: tuple[str, ...]
    ) -> Order:
        return Order(
            mark=mark,
            name=common([attempt.box.handle.address for attempt in attempts]),
            lease=attempts[0].box.handle.lease,
            count=len(attempts),
            shape=shape,
            talk=f"{self._place.root}/.talk/{mark}",
            body=body(self._place, mark, self._dialect.index),
            queues=queues,
            avoid=avoid,
        )
