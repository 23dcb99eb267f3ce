"""Where things are, what happened, and why."""

from __future__ import annotations

from collections.abc import Iterator

from nunatak.client.connected import Connected
from nunatak.client.connection import API, path_of
from nunatak.client.results import Event, Failure, FailuresAcross, Why
from nunatak.client.statuses import DatasetStatus, Status, TaskStatus, status_of
from nunatak.client.where import Where, address_of
from nunatak.core.address import Address
from nunatak.core.errors import NotFound, Unavailable


class Looking(Connected):
    """Verbs that look at an address, a dataset or all of them, and change nothing."""

    def datasets(
        self, *, state: str | None = None, owner: str | None = None, name: str | None = None, limit: int | None = None
    ) -> Iterator[DatasetStatus]:
        """Yield datasets, the newest first, without the counts of each task."""
        rows = self._to.pages(f"{API}/datasets", limit=limit, state=state, owner=owner, name=name)
        return (DatasetStatus.of(row) for row in rows)

    def status(self, where: Where) -> Status:
        """Return where a dataset, job, task or attempt is."""
        return status_of(self._to.get(path_of("status", address_of(where))))

    def dataset(self, where: Where) -> DatasetStatus:
        """Return where a dataset is, as a whole."""
        return DatasetStatus.of(self._to.get(f"{API}/datasets/{address_of(where).dataset}"))

    def tasks(
        self, where: Where, *, state: str | None = None, task: str | None = None, limit: int | None = None
    ) -> Iterator[TaskStatus]:
        """Yield the tasks of a dataset, or of a part of it, that were touched; perhaps only those in a state or of a name."""
        address = address_of(where)
        dataset = address.dataset
        of = {"state": state, "task": task or address.task, "job": address.job}
        rows = self._to.pages(f"{API}/datasets/{dataset}/tasks", limit=limit, **of)
        return (TaskStatus.of({"dataset": dataset, **row}) for row in rows)

    def watch(self, where: Where) -> Iterator[Status]:
        """Yield the status at each change, until nothing more happens by itself. A broken connection is made anew."""
        address = address_of(where)
        return self._watch_dataset(address) if address.level == "dataset" else self._watch_part(address)

    def _watch_dataset(self, address: Address) -> Iterator[DatasetStatus]:
        silent = 0
        while True:
            try:
                for event, plain in self._to.events(f"{API}/datasets/{address.dataset}/events"):
                    silent = 0
                    if event != "status":
                        continue
                    status = DatasetStatus.of(plain)
                    yield status
                    if status.settled:
                        return
            except Unavailable:
                silent += 1
                if silent > 30:
                    raise
            last = self.dataset(address)  # also where the stream ended before it said everything
            if last.settled:
                yield last
                return
            self._sleep(min(0.2 * 2**silent, 5.0))

    def _watch_part(self, address: Address) -> Iterator[Status]:
        before: Status | None = None
        while before is None or not before.settled:
            status = self.status(address)
            if before is None or status.plain != before.plain:
                yield status
            before = status
            if not status.settled:
                self._sleep(0.5)

    def logs(
        self, where: Where, *, stream: str = "stdout", follow: bool = False, tail: int | None = None
    ) -> Iterator[str]:
        """Yield the text of a log piece by piece: of an attempt, or of the last attempt of a task.

        `follow` goes on until the attempt ended; `tail` begins that many bytes before the end.
        """
        path, query = path_of("logs", address_of(where)), {"stream": stream}
        part = self._to.get(path, **query, **({"tail": tail} if tail else {"offset": 0}))
        idle = 0
        while True:
            if part["text"]:
                idle = 0
                yield part["text"]
            if part["next"] >= part["total"]:
                if part["complete"] or not follow:
                    return
                self._sleep(min(0.1 * 1.5**idle, 1.0))
                idle += 1
            part = self._to.get(path, **query, offset=part["next"])

    def history(self, where: Where, *, limit: int | None = None) -> Iterator[Event]:
        """Yield what happened, the oldest first: actions and attempts."""
        return (Event.of(row) for row in self._to.pages(path_of("history", address_of(where)), limit=limit))

    def why(self, where: Where) -> Why:
        """Return in words why something is where it is."""
        return Why.of(self._to.get(path_of("why", address_of(where))))

    def script(self, where: Where) -> str:
        """Return what its engine submitted for an attempt, or for the last one of a task. Raises `NotFound`."""
        text = "".join(self.logs(where, stream="script"))
        if not text:
            raise NotFound(
                f"nothing is known of what was submitted for {where}",
                code="no-script",
                hint="engines of batch systems show it once they have submitted; others have nothing to show",
            )
        return text

    def errors(self, where: Where, *, limit: int | None = None) -> Iterator[Failure]:
        """Yield failures, equal ones grouped."""
        return (Failure.of(row) for row in self._to.pages(path_of("errors", address_of(where)), limit=limit))

    def all_errors(
        self, *, owner: str = "", group: str = "", site: str = "", kind: str = "", signature: str = ""
    ) -> FailuresAcross:
        """Return failures of all datasets by what they have in common, those with most tasks first."""
        asked = {"owner": owner, "group": group, "site": site, "kind": kind, "signature": signature}
        given = {name: value for name, value in asked.items() if value}
        return FailuresAcross.of(self._to.get(f"{API}/errors", **given))
