"""Whose turn it is: from positions, what one claim gets. Cheap; changes only its own counters and the memory passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from heapq import heappop

from nunatak.core.work import Shape
from nunatak.tasks.sharing.fits import Fits, Offer
from nunatak.tasks.sharing.model import Allotment, Demand, Line, Owner, Positions
from nunatak.tasks.sharing.queue import ROOT, Memory, Queue

PICKS = 16
"""A claim is filled in about so many picks, so that a large one needs few statements; what a pick gives is charged."""
ENDLESS = 1 << 60
LEAST_COST = 1e-9


def nearest_end(row: Demand) -> tuple[int, int]:
    """Order tasks that complete jobs before tasks that begin them: later ones of the graph first."""
    return -row.task, row.shape


@dataclass(slots=True)
class _Want:
    """Ready tasks of one name and shape, as long as there are any."""

    task: int
    shape: int
    asked: int
    bit: int
    left: int
    cost: float


class Turn:
    """Hands out what is wanted at some positions, claim by claim, until the next positions are made.

    Within a kind of slot (offers that the same shapes fit) places go to the group, in it the user, in it the dataset
    that had least of its turns: start-time fair queueing (Goyal, Vin, Cheng 1997), whose lag is bounded by one pick, at
    each level (Bennett and Zhang 1996). What was handed out is counted off, also against caps. One thread at a time.
    """

    def __init__(self, positions: Positions, shapes: Mapping[int, Shape], fits: Fits, memory: Memory) -> None:
        """Begin at `positions`; `shapes` has every shape that is wanted."""
        self.positions = positions
        self._shapes, self._fits, self._memory = shapes, fits, memory
        self._queues: dict[Offer, Queue] = {}
        self._masks: dict[int, Queue] = {}
        self._wants: dict[int, list[_Want]] = {}
        self._capped = positions.policy.capped()
        self._rooms: dict[Owner, int] = {}
        self._tries: dict[tuple[int, int], int] = {}  # how many more may be tried, where not any number may

    def select(self, offer: Offer, limit: int) -> list[Allotment]:
        """Return what an engine gets that has `limit` places in slots like `offer`, and count it off."""
        site: Owner = ("site", offer.site)
        left = min(limit, self._room(site)) if offer.usable else 0
        most = -(-left // PICKS)
        queue = self._queue(offer)
        got: dict[tuple[int, int, int, int], int] = {}
        while left > 0 and (picked := self._pick(queue, min(most, left))):
            dataset, want, n = picked
            key = dataset, want.task, want.shape, want.asked
            got[key] = got.get(key, 0) + n
            left -= n
        self._count(site, sum(got.values()))
        return [Allotment(dataset, task, shape, n, asked) for (dataset, task, shape, asked), n in got.items()]

    def fill(self, offer: Offer, allotment: Allotment, size: Callable[[int], int], most: int) -> tuple[Allotment, int]:
        """Put up to `most` more tasks into the places of an allotment, to run there one after the other.

        `size` says how many go into one place, by how many are wanted, those of the allotment included. Returns the larger
        allotment and that number; all is counted off, and charged, like what was picked.
        """
        group, user, line = self.positions.paths[allotment.dataset]
        owners = (*line.member.owners(), ("site", offer.site))
        want = next(w for w in self._wants[line.key] if (w.task, w.shape) == (allotment.task, allotment.shape))
        each = size(want.left + allotment.n)
        more = min([allotment.n * (each - 1), want.left, most, *(max(0, self._room(owner)) for owner in owners)])
        if more <= 0:
            return allotment, each
        want.left -= more
        for owner in owners:
            self._count(owner, more)
        queue = self._queue(offer)
        for node in (group, user, line):
            queue.give_back(node.key, -more * want.cost / node.rate)
        return allotment._replace(n=allotment.n + more), each

    def missing(self, offer: Offer, allotment: Allotment, got: int) -> None:
        """Take note that only `got` of an allotment, made by this turn for `offer`, could be had.

        No more is tried before the next plan, and nobody is charged for what was not there.
        """
        absent, cost = allotment.n - got, 0.0
        for want in self._wants[allotment.dataset]:
            if (want.task, want.shape) == (allotment.task, allotment.shape):
                want.left, cost = 0, want.cost
        path = self.positions.paths[allotment.dataset]
        for owner in (*path[2].member.owners(), ("site", offer.site)):
            self._count(owner, -absent)
        self._try(allotment.dataset, allotment.task, -absent)
        queue = self._queue(offer)
        for node in path:
            queue.give_back(node.key, absent * cost / node.rate)
        if self._capped or (allotment.dataset, allotment.task) in self._tries:
            self._queues.clear()  # who had no room before may have some now
            self._masks.clear()

    def _queue(self, offer: Offer) -> Queue:
        queue = self._queues.get(offer)
        if queue is None:
            mask = self._fits.mask(offer, self.positions.bits, self._shapes)
            queue = self._masks.get(mask)
            if queue is None:
                queue = self._masks[mask] = Queue(self.positions, mask, self._memory.of(offer))
            else:
                self._memory.put(offer, queue.passes)
            self._queues[offer] = queue
        return queue

    def _pick(self, queue: Queue, most: int) -> tuple[int, _Want, int] | None:
        """Return the next dataset, what of it is wanted and how many, at most `most`; None if nobody wants what is left."""
        groups = queue.groups
        while groups:
            group = groups[0][3]
            users = queue.users(group)
            room = self._room(("group", group.key)) if users else 0
            if not room:
                heappop(groups)
                continue
            user = users[0][3]
            lines = queue.lines(user)
            room = min(room, self._room(("user", user.key[1]))) if lines else 0
            if not room:
                heappop(users)
                continue
            line = lines[0][3]
            want = self._want(line, queue.mask)
            n = min(most, room, self._room(("dataset", line.key)), self._most(line.key, want)) if want else 0
            if want is None or not n:
                heappop(lines)
                continue
            want.left -= n
            self._try(line.key, want.task, n)
            cost = max(n * want.cost, LEAST_COST)
            queue.charge(user.key, lines, cost)
            queue.charge(group.key, users, cost)
            queue.charge(ROOT, groups, cost)
            if self._capped:
                for owner in line.member.owners():
                    self._count(owner, n)
            return line.key, want, n
        return None

    def _want(self, line: Line, mask: int) -> _Want | None:
        wants = self._wants.get(line.key)
        if wants is None:
            bits = self.positions.bits
            rows = sorted(line.below, key=nearest_end)
            wants = [
                _Want(row.task, row.shape, row.asked or row.shape, bits[row.asked or row.shape], row.ready, row.cost)
                for row in rows
            ]
            self._wants[line.key] = wants
            self._tries.update({(line.key, row.task): row.room for row in rows if row.room is not None})
        return next((want for want in wants if want.bit & mask and self._most(line.key, want)), None)

    def _most(self, dataset: int, want: _Want) -> int:
        """Return how many tasks of one name and shape may be given."""
        return max(0, min(want.left, self._tries.get((dataset, want.task), want.left)))

    def _try(self, dataset: int, task: int, n: int) -> None:
        if (dataset, task) in self._tries:
            self._tries[dataset, task] -= n

    def _room(self, owner: Owner) -> int:
        """Return how many more tasks the cap of an owner allows."""
        if owner[0] not in self._capped:
            return ENDLESS
        room = self._rooms.get(owner)
        if room is None:
            bound = self.positions.bound(owner)
            room = self._rooms[owner] = bound.room if bound else ENDLESS
        return room

    def _count(self, owner: Owner, n: int) -> None:
        if owner[0] in self._capped:
            self._rooms[owner] = self._room(owner) - n
