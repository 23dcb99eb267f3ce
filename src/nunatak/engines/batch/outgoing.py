"""What goes to the batch system: which workers together, kept from which nodes, and what of them it would not take now."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nunatak.core.errors import Unavailable
from nunatak.core.work import Reason
from nunatak.engines.batch import fits
from nunatak.engines.batch.attempts import Worker
from nunatak.engines.batch.book import Book
from nunatak.engines.batch.model import Cluster
from nunatak.engines.batch.submitting import Sender, groups
from nunatak.engines.batch.system import System
from nunatak.engines.protocol import ALL_FINE, Nodes


class Outgoing:
    """Submits workers of a book."""

    def __init__(self, book: Book, system: System, sender: Sender) -> None:
        """Begin with nodes that are all fine."""
        self._book, self._system, self._sender = book, system, sender
        self._nodes = ALL_FINE
        self._probe: Worker | None = None

    def send(self, workers: Sequence[Worker], cluster: Cluster) -> list[Worker]:
        """Submit workers; return those that the batch system would not take now."""
        unsent: list[Worker] = []
        for group, drained in self._turns(workers, cluster):
            if unsent or not self._send_one(group, cluster, drained):
                unsent += group
        return unsent

    def _send_one(self, group: Sequence[Worker], cluster: Cluster, drained: Sequence[str]) -> bool:
        """Submit one group; False if that is to be tried again."""
        try:
            sent = self._sender.send(group, cluster, drained)
        except (OSError, Unavailable) as error:
            said = error.message if isinstance(error, Unavailable) else error.strerror or error
            self._system.be_away(f"{self._book.shelf.root}: {said}")
            return False
        if sent.submission:
            self._book.submissions[sent.submission.mark] = sent.submission
            if sent.said.unsure:
                self._system.be_due()
        elif sent.said.away:
            self._system.be_away(sent.said.away)
            return False
        for worker in group if sent.said.refused else ():
            for attempt in worker.unended():
                self._book.say(attempt, Reason.SUBMIT, f"{self._system.name} refused it: {sent.said.refused}")
        return True

    def _turns(self, workers: Sequence[Worker], cluster: Cluster) -> list[tuple[Sequence[Worker], Sequence[str]]]:
        """Return groups, and the nodes that each must not go to.

        Nodes that are probed get one job of ours at a time: only one that is out at a time may go there at all.
        """
        drained, probed = self._nodes.drained, self._nodes.probed
        all_probed = (*drained, *probed)
        busy = {worker.host for worker in self._book.live() if worker.running} if probed else set()
        turns: list[tuple[Sequence[Worker], Sequence[str]]] = []
        if workers and (self._probe is None or self._probe.done) and set(probed) - busy:
            self._probe, workers = workers[0], workers[1:]
            turns.append(([self._probe], (*drained, *(node for node in probed if node in busy))))
        return turns + [(group, all_probed) for group in groups(workers, cluster.array)]

    def send_rest(self) -> None:
        """Submit what could not be submitted before."""
        cluster = self._system.cluster
        if not self._book.unsent or cluster is None:
            return
        waiting, self._book.unsent = self._book.unsent, {}
        never = self.refuse(list(waiting.values()), cluster)
        rest = self.send([worker for worker in waiting.values() if worker not in never], cluster)
        self._book.unsent.update({worker.place: worker for worker in rest})

    def refuse(self, workers: Collection[Worker], cluster: Cluster) -> set[Worker]:
        """End and return those that can never run here."""
        never = {worker for worker in workers if not self._system.queues(worker.shape, cluster)}
        for worker in never:
            why = fits.why_not(worker.shape, cluster, self._system.terms)
            for attempt in worker.unended():
                self._book.say(attempt, Reason.SUBMIT, f"it can never run here: {why}")
        return never

    def obey(self, nodes: Nodes) -> None:
        """Keep what waits away from drained nodes too. Raises `Unavailable`."""
        if nodes == self._nodes:
            return
        self._nodes = nodes
        cluster = self._system.cluster
        if cluster is None:
            return
        by_nodes: dict[tuple[str, ...], set[str]] = {}
        for worker in self._book.live():
            if worker.job and not (worker.running or worker.over):
                away = fits.known({*worker.avoid, *nodes.drained, *nodes.probed}, cluster)
                by_nodes.setdefault(away, set()).add(worker.job.id)
        for away, ids in by_nodes.items():
            self._system.ask(self._system.dialect.avoid(sorted(ids), away))
