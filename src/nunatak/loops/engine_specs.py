"""From a claimed task to the exact order for a worker: the plan is fetched once by its hash, the expansion is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nunatak.client.engine import Claim, EngineClient, Registration
from nunatak.core.address import ONCE, parse
from nunatak.core.errors import Invalid
from nunatak.core.work import Input, TaskSpec
from nunatak.datasets.expand import Recorded, expand
from nunatak.datasets.plan import Plan

MOST_PLANS = 64
"""Plans kept; the one used longest ago goes first."""


class Specs:
    """Makes task specifications; keeps plans that were used lately."""

    def __init__(self, server: EngineClient) -> None:
        """Begin with no plan."""
        self._server = server
        self._plans: dict[str, Plan] = {}

    def spec(self, claim: Claim, given: Registration) -> TaskSpec:
        """Expand a claimed task.

        Raises `Invalid` or `NotFound` if that can never be, `Unavailable` if the plan cannot be had now.
        """
        plan = self._plan(claim.recipe)
        address = parse(claim.address)
        if address.task is None or address.attempt is None:
            raise Invalid(f"{claim.address!r} is not the address of an attempt", code="bad-address")
        spec = expand(
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
        )
        checkpoint = spec.checkpoint and replace(
            spec.checkpoint, before=_before(spec.checkpoint.name, claim.checkpoint)
        )
        return replace(spec, shape=claim.shape, log_limit=given.log_limit, avoid=claim.avoid, checkpoint=checkpoint)

    def _plan(self, digest: str) -> Plan:
        plan = self._plans.pop(digest, None) or Plan.from_plain(self._server.recipe(digest))
        self._plans[digest] = plan
        if len(self._plans) > MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        return plan


def _before(name: str, plain: Mapping[str, object] | None) -> Input | None:
    if plain is None:
        return None
    return Input(name, str(plain["url"]), str(plain["sha256"]), int(str(plain["size"])), optional=True)


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
