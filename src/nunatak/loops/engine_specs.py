"""From a claimed task to the exact order for a worker: the plan is fetched once by its hash, the expansion is pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nunatak.client.engine import Claim, EngineClient, Registration
from nunatak.core.address import ONCE, parse
from nunatak.core.errors import Invalid, NotFound, NunatakError
from nunatak.core.work import Outcome, Reason, Series, Shape, TaskSpec
from nunatak.datasets.expand import expand
from nunatak.datasets.plan import Plan
from nunatak.datasets.program import Order, Recorded
from nunatak.engines.carried import beyond, local

MOST_PLANS = 1000
"""Plans kept; the one used longest ago goes first. Claims go round all datasets: with fewer each claim would fetch plans."""


class Specs:
    """Makes task specifications; keeps plans that were used lately."""

    def __init__(self, server: EngineClient, carries: Sequence[str] | None = None) -> None:
        """Begin with no plan; `carries` is what the engine says by `CarriesFiles`."""
        self._server, self._carries = server, carries
        self._plans: dict[str, Plan] = {}

    def batch(
        self, claims: Sequence[Claim], given: Registration, now: float
    ) -> tuple[list[TaskSpec | Series], list[Outcome]]:
        """Return what to submit, in order, those of a series together; and the ends of those that cannot be worked out.

        Raises `Unavailable` if a plan cannot be had now.
        """
        refused: list[Outcome] = []
        found: dict[object, list[TaskSpec]] = {}
        shapes: dict[object, Shape] = {}
        for number, claim in enumerate(claims):
            spec = self._spec_or_end(claim, given, now)
            if isinstance(spec, Outcome):
                refused.append(spec)
                continue
            place: object = number if claim.series is None else ("series", claim.series)
            found.setdefault(place, []).append(spec)
            if claim.together is not None:
                shapes[place] = claim.together
        whole = [Series(tuple(of), shapes[place]) if place in shapes else of[0] for place, of in found.items()]
        return whole, refused

    def _spec_or_end(self, claim: Claim, given: Registration, now: float) -> TaskSpec | Outcome:
        try:
            spec = self.spec(claim, given)
        except (Invalid, NotFound, KeyError, TypeError, ValueError) as error:
            said = error.message if isinstance(error, NunatakError) else f"{type(error).__name__}: {error}"
            message = f"its commands and files could not be worked out: {said}"
            return Outcome(claim.address, claim.lease, Reason.SUBMIT, message, ended=now)
        if self._carries is not None:
            ours = [path for path in (local(given.store), local(given.blobs)) if path]
            if message := beyond(spec, ours, self._carries):
                return Outcome(claim.address, claim.lease, Reason.SUBMIT, message, ended=now)
        return spec

    def spec(self, claim: Claim, given: Registration) -> TaskSpec:
        """Expand a claimed task.

        Raises `Invalid` or `NotFound` if that can never be, `Unavailable` if the plan cannot be had now.
        """
        plan = self._plan(claim.recipe)
        address = parse(claim.address)
        if address.task is None or address.attempt is None:
            raise Invalid(f"{claim.address!r} is not the address of an attempt", code="bad-address")
        return expand(
            plan,
            dataset=address.dataset,
            job=ONCE if address.job is None else address.job,
            task=plan.number(address.task),
            attempt=address.attempt,
            lease=claim.lease,
            store=given.store,
            blobs=given.blobs,
            recorded=[_recorded(item) for item in claim.inputs],
            jobs=claim.jobs or None,
            order=Order(claim.shape, given.log_limit, claim.avoid, claim.checkpoint, claim.owner, claim.group),
        )

    def _plan(self, digest: str) -> Plan:
        plan = self._plans.pop(digest, None) or Plan.from_plain(self._server.recipe(digest))
        self._plans[digest] = plan
        if len(self._plans) > MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        return plan


def _recorded(plain: Mapping[str, object]) -> Recorded:
    job = plain["job"]
    return Recorded(
        str(plain["task"]),
        ONCE if job is None else int(str(job)),
        str(plain["name"]),
        str(plain["url"]),
        int(str(plain["size"])),
        str(plain["sha256"]),
    )
