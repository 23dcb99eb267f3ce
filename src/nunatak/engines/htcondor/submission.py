"""Brings attempts into the queue: their boxes, one cluster for each kind, and the nodes that they may not use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from nunatak.core.errors import Unavailable
from nunatak.core.work import Series, TaskSpec
from nunatak.engines.htcondor import expressions
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.description import Item, describe, names
from nunatak.engines.htcondor.ledger import Ledger
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.pieces import Piece, by_kind
from nunatak.engines.htcondor.pieces import pieces as divide
from nunatak.engines.keys import Key
from nunatak.engines.protocol import ALL_FINE, Nodes


class Submission:
    """Submits attempts that the ledger knows; `nodes` hold for all that is submitted and, once told, for what waits."""

    def __init__(self, condor: Condor, ledger: Ledger, boxes: Boxes, options: HTCondorSettings) -> None:
        """Begin with all nodes fine."""
        self._condor, self._ledger, self._boxes, self._options = condor, ledger, boxes, options
        self.nodes: Nodes = ALL_FINE
        self._told: Nodes | None = None  # what waits may be kept off nodes by an earlier engine
        self._heard = False
        self.full: tuple[str, ...] = ()
        self._told_full: tuple[str, ...] | None = None
        self.methods: tuple[str, ...] = ()  # schemes of URLs that machines of the pool fetch
        self.ours = f"NunatakEngine == {expressions.quoted(ledger.name)}"

    def hear(self, nodes: Nodes) -> None:
        """Hear which nodes are not fine."""
        self.nodes, self._heard = nodes, True

    def pieces(self, batch: Sequence[TaskSpec | Series], without: Collection[Key] = ()) -> list[Piece]:
        """Return what becomes one job each, without some attempts."""
        options = self._options
        return divide(batch, options.shared, self.methods, container=options.container, without=without)

    def place(self, pieces: Sequence[Piece]) -> dict[Key, Item]:
        """Make the boxes. Raises `Unavailable`."""
        items = {}
        closed = _closed(self.nodes)
        trying = self._trying() if self.nodes.probed else set()
        takers = Counter(tuple(piece.take.items()) for piece in pieces)
        for piece in pieces:
            attempt = self._ledger.attempts[piece.head]
            try:
                along = self._boxes.place(piece, attempt.home, alike=takers[tuple(piece.take.items())] > 1)
            except OSError as error:
                raise Unavailable(
                    f"the sandboxes could not be made: {error.strerror or error}",
                    code="engine-directory",
                    hint=f"check space and permissions of {self._options.directory}",
                ) from error
            if self.nodes.probed:
                open_to = (node for node in self.nodes.probed if node not in trying and node not in piece.avoid)
                attempt.probe = next(open_to, "")
                trying.add(attempt.probe)
            excluded = tuple(closed - {attempt.probe})
            files = (*([along] if along else []), *piece.urls)
            box = self._boxes.home(attempt.home)
            items[attempt.key] = Item(*attempt.key, box, files, piece.avoid, excluded, attempt.probe)
        return items

    def send(self, pieces: Sequence[Piece], items: Mapping[Key, Item]) -> None:
        """Submit jobs whose boxes are there, and note their numbers. Raises `Unavailable`.

        That they are to be submitted, and to which log they write, is on disk before.
        """
        if self.full != self._told_full:
            self._told_full = None  # what waits does not agree: all is told the next time
        for kind, alike in by_kind(pieces, self._options.container).items():
            log = self._ledger.logs.for_new()
            attempts = [self._ledger.attempts[piece.head] for piece in alike]
            self._ledger.write_to(attempts, log)
            self._ledger.save()
            description = describe(kind, self._ledger.name, log, self._options, self.full)
            jobs = self._condor.submit(description, [items[attempt.key].row() for attempt in attempts])
            for attempt, job in zip(attempts, jobs, strict=True):
                self._ledger.assign(attempt, job)
            self._ledger.save_if_possible()

    def tell_nodes(self) -> None:
        """Keep waiting jobs off nodes that were drained since they were submitted. Raises `Unavailable`."""
        if self.nodes == self._told or not self._heard:
            return
        for probe in sorted({"", *self._trying()}):
            open_to = {probe} if probe in self.nodes.probed else set()
            constraint = f'{self.ours} && JobStatus == 1 && NunatakProbe == "{names((probe,))}"'
            self._condor.exclude(constraint, "NunatakExcluded", names(_closed(self.nodes) - open_to))
        self._told = self.nodes

    def tell_sites(self, full: tuple[str, ...]) -> None:
        """Keep waiting jobs off sites that have as much as they may. Raises `Unavailable`."""
        self.full = full
        if full != self._told_full:
            self._condor.exclude(f"{self.ours} && JobStatus == 1", "NunatakFull", names(full))
            self._told_full = full

    def _trying(self) -> set[str]:
        """Return the nodes that an attempt tries now."""
        return {item.probe for item in self._ledger.jobs().values() if item.probe and item.ended is None}


def _closed(nodes: Nodes) -> set[str]:
    return {*nodes.drained, *nodes.probed}
