"""Where every dataset stands, level by level. Computed a few times a second, not once a claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from nunatak.tasks.sharing.model import Busy, Demand, Group, Line, Member, Policy, Positions, User
from nunatak.tasks.sharing.rates import doublings, level
from nunatak.tasks.sharing.usage import Used

BY_DATASET = itemgetter(0)
Tree = dict[str, dict[str, list[Member]]]


class _State:
    """What one dataset wants and has under way. A plain class: thousands are made for each plan."""

    __slots__ = ("cost", "mask", "queued", "rows", "running")

    def __init__(self) -> None:
        self.rows: list[Demand] = []
        self.mask = self.queued = self.running = 0
        self.cost = 0.0

    def add(self, other: _State) -> None:
        """Count what another has under way."""
        self.queued += other.queued
        self.running += other.running
        self.cost += other.cost

    def busy(self) -> Busy:
        return Busy(self.queued, self.running, self.cost)


@dataclass(slots=True)
class _View:
    """All that is known at one moment."""

    policy: Policy
    used: Used
    now: float
    bits: dict[int, int] = field(default_factory=dict)
    datasets: dict[int, _State] = field(default_factory=dict)
    users: dict[tuple[str, str], _State] = field(default_factory=dict)
    groups: dict[str, _State] = field(default_factory=dict)

    def read(self, demand: Iterable[Demand]) -> None:
        """Gather what each dataset wants and has under way, and give each shape that is wanted a bit."""
        datasets, bits = self.datasets, self.bits
        for row in demand:
            dataset, _, shape, ready, queued, running, cost, asked, _ = row
            state = datasets.get(dataset)
            if state is None:
                state = datasets[dataset] = _State()
            if ready > 0:
                state.rows.append(row)
                key = asked or shape
                bit = bits.get(key)
                if bit is None:
                    bit = bits[key] = 1 << len(bits)
                state.mask |= bit
            if queued or running:
                state.queued += queued
                state.running += running
                state.cost += (queued + running) * cost

    def tree(self, members: Iterable[Member]) -> Tree:
        """Return who wants something by group and user, and sum up what is under way of all."""
        tree: Tree = {}
        for member in members:
            dataset, group, user, _, _ = member
            state = self.datasets.get(dataset)
            if state is None:
                continue
            if state.queued or state.running:
                self.users.setdefault((group, user), _State()).add(state)
                self.groups.setdefault(group, _State()).add(state)
            if state.rows:
                tree.setdefault(group, {}).setdefault(user, []).append(member)
        return {group: {user: of[user] for user in sorted(of)} for group, of in sorted(tree.items())}

    def waiting(self, state: _State | None, members: Iterable[Member]) -> float:
        """Return how often waiting has doubled the rate of one with nothing under way."""
        if state is not None:
            return 0.0
        return doublings(max(member.since for member in members), self.now, self.policy.aging)


def positions(
    demand: Iterable[Demand],
    members: Iterable[Member],
    used: Used,
    policy: Policy,
    now: float,
    sites: Mapping[str, Busy] | None = None,
) -> Positions:
    """Return where everybody stands. `members` are the datasets of `demand`; those not ready count for use and caps.

    Each level is shared by its own weights: groups, then the users of a group, then the datasets of a user, so that a
    priority moves nothing but its user's own datasets. `sites` is what is under way at each.
    """
    view = _View(policy, used, now)
    view.read(demand)
    groups = _groups(view, view.tree(members))
    return Positions(groups, view.bits, policy, _busy(view, sites or {}))


def _groups(view: _View, tree: Tree) -> list[Group]:
    weights, spent, waits = [], [], []
    for name, of in tree.items():
        state = view.groups.get(name)
        weights.append(view.policy.groups.get(name, 1.0))
        spent.append(view.used.groups.get(name, 0.0) + (state.cost if state else 0.0))
        waits.append(view.waiting(state, (member for some in of.values() for member in some)))
    groups = []
    for (name, of), rates in zip(tree.items(), level(weights, spent, waits, 1.0), strict=True):
        users = _users(view, name, of, rates[2])
        mask = 0
        for user in users:
            mask |= user.mask
        groups.append(Group(name, *rates, mask, users))
    return groups


def _users(view: _View, group: str, of: Mapping[str, list[Member]], part: float) -> list[User]:
    weights, spent, waits = [], [], []
    for name, members in of.items():
        state = view.users.get((group, name))
        weights.append(view.policy.users.get(name, 1.0))
        spent.append(view.used.users.get((group, name), 0.0) + (state.cost if state else 0.0))
        waits.append(view.waiting(state, members))
    users = []
    for (name, members), rates in zip(of.items(), level(weights, spent, waits, part), strict=True):
        lines = _lines(view, members, rates[2])
        mask = 0
        for line in lines:
            mask |= line.mask
        users.append(User((group, name), *rates, mask, lines))
    return users


def _lines(view: _View, members: list[Member], part: float) -> list[Line]:
    members.sort(key=BY_DATASET)
    datasets, used, now, aging = view.datasets, view.used.datasets, view.now, view.policy.aging
    states, weights, spent, waits = [], [], [], []
    for member in members:
        dataset, _, _, priority, since = member
        state = datasets[dataset]
        states.append(state)
        weights.append(priority)
        spent.append(used.get(dataset, 0.0) + state.cost)
        waits.append(0.0 if state.queued or state.running else doublings(since, now, aging))
    lines = []
    for member, state, (rate, ratio, own) in zip(members, states, level(weights, spent, waits, part), strict=True):
        lines.append(Line(member[0], rate, ratio, own, state.mask, state.rows, member))
    return lines


def _busy(view: _View, sites: Mapping[str, Busy]) -> dict[str, Mapping[str | int, Busy]]:
    """Return what is under way by kind of owner, of kinds that have caps; a user's work for all groups counts together."""
    capped = view.policy.capped()
    users: dict[str | int, Busy] = {}
    for (_, name), state in view.users.items():
        users[name] = users.get(name, Busy()).plus(state.busy())
    return {
        "dataset": {key: state.busy() for key, state in view.datasets.items()} if "dataset" in capped else {},
        "user": users,
        "group": {name: state.busy() for name, state in view.groups.items()},
        "site": dict(sites.items()),
    }
