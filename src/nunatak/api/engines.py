"""Routes of engine hosts: register, heartbeat, claim, report, logs, scripts, leases, return... Every one takes a batch."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from sqlalchemy import Connection
from starlette.responses import Response

from nunatak.api import batches, keys
from nunatak.api.batches import body_of
from nunatak.api.exclusion import excluded_now, nodes_plain
from nunatak.api.fast import FastRoute
from nunatak.api.requests import Body, Have, address_of, answer, page_after, ready
from nunatak.api.shared import Claim, shared_of
from nunatak.api.views import answers
from nunatak.api.views import engines as views
from nunatak.core.clock import iso
from nunatak.core.errors import Invalid
from nunatak.core.using import STREAM
from nunatak.core.work import Grouping, Shape
from nunatak.tasks import fleet
from nunatak.tasks.looking import lists
from nunatak.tasks.sites import held
from nunatak.tasks.verdicts.kinds import Kind

router = APIRouter(prefix="/api/v1/engines", tags=["engines"], route_class=FastRoute)

EngineName = Annotated[
    str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]*$", examples=["local"])
]


@router.get("", name="list_engines", response_model=answers.Items, summary="Every engine and what it holds")
def list_engines(services: Have) -> Response:
    """Return the engines in order of their names. Where they hold thousands of tasks, the counts may be ten seconds old."""
    with services.database.read() as tx:
        now = services.clock()
        return answer({"items": lists.engines(tx, now, held(tx, services.contexts.kept, now))})


@router.post(
    "/{name}/register", name="register_engine", response_model=views.Registered, openapi_extra=body_of("RegisterBody"),
    summary="Begin as an engine process",
)  # fmt: skip
def register_engine(name: EngineName, services: Have, body: Body) -> Response:
    """Enter an engine process; refused (409) while another process of the same name has a lease."""
    plain = batches.REGISTER.validate_json(body)
    capacity = _capacity(plain["capacity"])
    limits = services.limits
    found = services.database.run(
        lambda tx: fleet.register(
            tx,
            name,
            plain["kind"],
            plain["site"],
            plain["session"],
            capacity,
            limits.lease,
            services.clock(),
            plain.get("node", ""),
        )
    )
    return answer(
        {
            "engine": found.engine,
            "lease_until": iso(found.until),
            "store": services.store,
            "blobs": services.blobs_url,
            "log_limit": limits.log,
            "heartbeat": limits.heartbeat,
            "claim_limit": limits.claim,
            "report_limit": limits.report,
        }
    )


def _capacity(plain: dict[str, Any]) -> dict[str, Any]:
    """Return a capacity with whole shapes."""
    total = Shape.from_plain(plain.get("total", {})).to_plain()
    free = Shape.from_plain(plain["free"]).to_plain() if "free" in plain else total
    found = {"total": total, "free": free, "queue": plain.get("queue", 0)}
    return {**found, "trouble": plain["trouble"]} if plain.get("trouble") else found


@router.post(
    "/{name}/heartbeat", name="heartbeat", response_model=views.Beat, openapi_extra=body_of("BeatBody"),
    summary="Renew all leases; hear what to stop",
)  # fmt: skip
def heartbeat(name: EngineName, services: Have, body: Body) -> Response:
    """Renew the leases of an engine. Attempts to stop are repeated until their end is reported."""
    plain = batches.BEAT.validate_json(body)
    capacity = _capacity(plain["capacity"])
    now = services.clock()
    looked = services.logs.looked_at()

    def work(tx: Connection) -> dict[str, Any]:
        engine = fleet.beat(tx, name, plain["session"], capacity, services.limits.lease, now)
        stops = keys.texts(tx, services.contexts, fleet.stops(tx, engine.engine))
        found = excluded_now(tx, services.contexts.kept, now)
        looks = {"looked": keys.own(tx, services.contexts, engine.engine, looked)} if looked else {}
        return {"stops": stops, **looks, **nodes_plain(found, engine.site, engine.node)}

    return answer({**services.database.run(work), "lease_until": iso(now + services.limits.lease)})


@router.post(
    "/{name}/claim", name="claim", response_model=views.Claims, openapi_extra=body_of("ClaimBody"),
    summary="Lease a set of tasks",
)  # fmt: skip
async def claim(name: EngineName, request: Request, services: Have, body: Body) -> Response:
    """Lease ready tasks that fit the offer, for up to `limit` places; each with its attempt number and lease key.

    With `series`, short tasks of one name share a place: those with the same number `series` run one after the other,
    and the engine is asked for the shape of that number in `series` of the answer.
    """
    plain = batches.CLAIM.validate_json(body)
    offer, limit = Shape.from_plain(plain["offer"]), min(plain["limit"], services.limits.claim)
    grouping = Grouping(**plain["series"]) if plain.get("series") else None
    lease = int(plain["lease"], 16) if "lease" in plain else None
    return ready(await shared_of(request).claim(Claim(name, plain["session"], offer, limit, grouping, lease)))


@router.post(
    "/{name}/unheard", name="unheard_claims", response_model=views.Claims, openapi_extra=body_of("UnheardBody"),
    summary="Tell again what claims leased whose answers were lost",
)  # fmt: skip
def unheard_claims(name: EngineName, request: Request, body: Body) -> Response:
    """Tell once more what was leased to this engine by claims of which it never heard the answer; nothing new is leased.

    Left out is what it no longer has, and what is not to begin as it was claimed: it is to be given back.
    """
    plain = batches.UNHEARD.validate_json(body)
    grouping = Grouping(**plain["series"]) if plain.get("series") else None
    claim = Claim(name, plain["session"], Shape.from_plain(plain["offer"]), plain["limit"], grouping)
    return ready(shared_of(request).unheard(claim, plain["tasks"]))


@router.post(
    "/{name}/report", name="report", response_model=views.Receipt, openapi_extra=body_of("ReportBody"),
    summary="Report attempts that began and ended",
)  # fmt: skip
async def report(name: EngineName, request: Request, body: Body) -> Response:
    """Take a batch of reports. It may be sent again: what was taken before is taken again and changes nothing."""
    return ready(await shared_of(request).report(name, body))


@router.post(
    "/{name}/logs", name="upload_logs", response_model=views.Taken, openapi_extra=body_of("LogsBody"),
    summary="Append to logs",
)  # fmt: skip
def upload_logs(name: EngineName, services: Have, body: Body) -> Response:
    """Keep bytes of logs of this engine's attempts; bytes that came before are skipped. Finished ones are compressed."""
    plain = batches.LOGS.validate_json(body)
    sent = plain.get("parts", ())
    over = [{"address": text, "lease": "0"} for text in plain.get("finished", ())]
    addresses = {item["address"]: address_of(item["address"], "attempt") for item in (*sent, *over)}
    with services.database.read() as tx:
        engine = fleet.number_of(tx, name, plain["session"])
        attempts = keys.Attempts(tx, services.contexts, addresses)
        found = [(key, item) for item in (*sent, *over) for key in (attempts.key(item),) if key]
        own = fleet.attempts_of(tx, engine, [key[:4] for key, _ in found])
    mine = {key[:4] for key in own}
    parts = [
        (addresses[item["address"]], item["stream"], item["offset"], item["data"])
        for key, item in found
        if key in own and "data" in item and item["stream"] != STREAM
    ]
    for key, item in found:
        if key in own and item.get("stream") == STREAM:
            services.logs.keep_using(addresses[item["address"]], item["data"])
    ended = [addresses[item["address"]] for key, item in found if "data" not in item and key[:4] in mine]
    services.logs.take(parts, ended)
    return answer({"taken": sum(key in own for key, item in found if "data" in item)})


@router.post(
    "/{name}/scripts", name="upload_scripts", response_model=views.Taken, openapi_extra=body_of("ScriptsBody"),
    summary="Show what was submitted",
)  # fmt: skip
def upload_scripts(name: EngineName, services: Have, body: Body) -> Response:
    """Keep what was submitted for this engine's attempts; it is read as their log `script`. The last one counts."""
    plain = batches.SCRIPTS.validate_json(body)
    sent = [item for script in plain["scripts"] for item in script["tasks"]]
    addresses = {item["address"]: address_of(item["address"], "attempt") for item in sent}
    with services.database.read() as tx:
        engine = fleet.number_of(tx, name, plain["session"])
        attempts = keys.Attempts(tx, services.contexts, addresses)
        known = {(item["address"], item["lease"]): key for item in sent if (key := attempts.key(item))}
        own = fleet.attempts_of(tx, engine, [key[:4] for key in known.values()])
    taken = 0
    for script in plain["scripts"]:
        mine = [item for item in script["tasks"] if known.get((item["address"], item["lease"])) in own]
        services.logs.keep_script([addresses[item["address"]] for item in mine], script["text"].encode())
        taken += len(mine)
    return answer({"taken": taken})


@router.post(
    "/{name}/leases", name="list_leases", response_model=views.Leases, openapi_extra=body_of("LeasesBody"),
    summary="What the server believes the engine holds",
)  # fmt: skip
def list_leases(name: EngineName, services: Have, body: Body) -> Response:
    """Return open attempts leased to this engine, whole datasets at a time."""
    plain = batches.LEASES.validate_json(body)
    after = page_after(plain.get("after") or "")
    if after and not after.isdigit():
        raise Invalid(f"{after!r} is not a page", code="bad-page", hint="give what the page before called `next`")
    with services.database.read() as tx:
        engine = fleet.number_of(tx, name, plain["session"])
        rows = fleet.leases(tx, engine, int(after or 0))
        known = services.contexts.of(tx, {row.dataset for row in rows}) if rows else {}
        leases = [
            {**keys.text(known[row.dataset], row.job, row.task, row.attempt, row.lease), "state": row.state}
            for row in rows
        ]
    return answer({"leases": leases, "next": str(rows[-1].dataset) if len(rows) >= fleet.PAGE else None})


@router.post(
    "/{name}/return", name="return_tasks", response_model=views.Taken, openapi_extra=body_of("ReturnBody"),
    summary="Give attempts back, free of charge",
)  # fmt: skip
def return_tasks(name: EngineName, services: Have, body: Body) -> Response:
    """Make attempts that never started or that vanished ready again, without counting a try."""
    plain = batches.RETURN.validate_json(body)
    kind, now = Kind.UNBEGUN if plain.get("unbegun") else Kind.LOST, services.clock()

    def work(tx: Connection) -> int:
        engine = fleet.number_of(tx, name, plain["session"])
        attempts = keys.Attempts(tx, services.contexts, [item["address"] for item in plain["tasks"]])
        found = [key for item in plain["tasks"] if (key := attempts.key(item)) is not None]
        return fleet.give_back(tx, services.contexts, engine, found, plain.get("reason", ""), now, kind)

    return answer({"taken": services.database.run(work)})


@router.post(
    "/{name}/leave", name="leave_engine", response_model=views.Left, openapi_extra=body_of("LeaveBody"),
    summary="End as an engine process",
)  # fmt: skip
def leave_engine(name: EngineName, services: Have, body: Body) -> Response:
    """Free the name of an engine that holds nothing, so that another process can have it before the lease is over."""
    session, now = batches.LEAVE.validate_json(body)["session"], services.clock()
    return answer({"free": services.database.run(lambda tx: fleet.leave(tx, name, session, now))})
