"""Brings attempts into the queue: their boxes, one cluster for each kind, and the nodes that they may not use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nunatak.core.errors import Unavailable
from nunatak.core.work import TaskSpec
from nunatak.engines.htcondor import expressions
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.description import Item, by_kind, describe, names
from nunatak.engines.htcondor.ledger import Ledger
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.keys import Key, key_of
from nunatak.engines.protocol import ALL_FINE, Nodes


class Submission:
    """Submits attempts that the ledger knows; `nodes` hold for all that is submitted and, once told, for what waits."""

    def __init__(self, condor: Condor, ledger: Ledger, boxes: Boxes, options: HTCondorSettings) -> None:
        """Begin with all nodes fine."""
        self._condor, self._ledger, self._boxes, self._options = condor, ledger, boxes, options
        self.nodes, self._told = ALL_FINE, ALL_FINE
        self.ours = f"NunatakEngine == {expressions.quoted(ledger.name)}"

    def place(self, specs: Sequence[TaskSpec]) -> dict[Key, Item]:
        """Make the boxes. Raises `Unavailable`."""
        items = {}
        trying = self._trying() if self.nodes.probed else set()
        for spec in specs:
            attempt = self._ledger.attempts[key_of(spec)]
            try:
                travel = self._boxes.place(spec)
            except OSError as error:
                raise Unavailable(
                    f"the sandboxes could not be made: {error.strerror or error}",
                    code="engine-directory",
                    hint=f"check space and permissions of {self._options.directory}",
                ) from error
            open_to = (node for node in self.nodes.probed if node not in trying and node not in spec.avoid)
            attempt.probe = next(open_to, "")
            trying.add(attempt.probe)
            excluded = tuple(sorted(_closed(self.nodes) - {attempt.probe}))
            box = self._boxes.of(attempt.key).inner.path
            files = (*(["in"] if travel.take else []), *travel.urls)
            items[attempt.key] = Item(*attempt.key, box, files, spec.avoid, excluded, attempt.probe)
        return items

    def send(self, specs: Sequence[TaskSpec], items: Mapping[Key, Item]) -> None:
        """Submit attempts whose boxes are there, and note their jobs. Raises `Unavailable`.

        That they are to be submitted, and to which log they write, is on disk before.
        """
        for kind, alike in by_kind(specs).items():
            log = self._ledger.log()
            attempts = [self._ledger.attempts[key_of(spec)] for spec in alike]
            self._ledger.write_to(attempts, log)
            self._ledger.save()
            description = describe(kind, self._ledger.name, log, self._options)
            jobs = self._condor.submit(description, [items[attempt.key].row() for attempt in attempts])
            for attempt, job in zip(attempts, jobs, strict=True):
                self._ledger.assign(attempt, job)
            self._ledger.save_if_possible()

    def tell_nodes(self) -> None:
        """Keep waiting jobs off nodes that were drained since they were submitted. Raises `Unavailable`."""
        if self.nodes == self._told:
            return
        for probe in sorted({"", *self._trying()}):
            open_to = {probe} if probe in self.nodes.probed else set()
            constraint = f'{self.ours} && JobStatus == 1 && NunatakProbe == "{names((probe,))}"'
            self._condor.exclude(constraint, names(_closed(self.nodes) - open_to))
        self._told = self.nodes

    def _trying(self) -> set[str]:
        """Return the nodes that an attempt tries now."""
        return {item.probe for item in self._ledger.attempts.values() if item.probe and item.ended is None}


def _closed(nodes: Nodes) -> set[str]:
    return {*nodes.drained, *nodes.probed}
