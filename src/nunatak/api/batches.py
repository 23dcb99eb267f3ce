"""Bodies of the routes that engines call in batches: read by pydantic in one go into plain dictionaries, not objects."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Base64Bytes, ConfigDict, Field, JsonValue, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from nunatak.api.models import BATCH, NO_NUL

FORBID = ConfigDict(extra="forbid")
IGNORE = ConfigDict(extra="ignore")

Session = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[\x21-\x7e]+$")]
Word = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f]*$")]
Host = Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)]
Trouble = Annotated[str, StringConstraints(max_length=300, pattern=NO_NUL)]
Attempt = Annotated[str, StringConstraints(max_length=100)]
Lease = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,16}$")]
NewLease = Annotated[str, StringConstraints(pattern=r"^([1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$")]
Seconds = Annotated[float, Field(ge=0, le=250_000_000_000, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Size = Annotated[int, Field(ge=-1, le=2**62)]
Bytes = Annotated[int, Field(ge=0, le=2**62)]
Small = Annotated[int, Field(ge=-32768, le=32767)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Time = Annotated[int, Field(ge=0, le=10**10)]
ONE = {"address": "1/0/greet#1", "lease": "1f"}


class ShapeBody(TypedDict, total=False):
    """A resource vector: cpu and gpu are counts, memory and disk bytes, time seconds."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    cpu: Count
    gpu: Count
    memory: Bytes
    disk: Bytes
    time: Time
    platform: Word
    features: Annotated[list[Word], Field(max_length=1000)]


class CapacityBody(TypedDict, total=False):
    """What an engine has in total, what of it is free, how many more attempts it wants; why none, if something is wrong."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    total: ShapeBody
    free: ShapeBody
    queue: Count
    trouble: Trouble


class LeaseBody(TypedDict):
    """An attempt and its lease key."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    address: Attempt
    lease: Lease


class RegisterBody(TypedDict):
    """An engine process that begins; `session` is a random word it makes up when it starts.

    `node` is the name of its only node, if it has not several.
    """

    __pydantic_config__ = FORBID  # type: ignore[misc]
    kind: Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[\x21-\x7e]+$")]
    site: Word
    session: Session
    capacity: CapacityBody
    node: NotRequired[Host]


class BeatBody(TypedDict):
    """A sign of life."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    capacity: CapacityBody


class SeriesBody(TypedDict, total=False):
    """Short tasks may run one after the other in one place: `target` seconds (0: never), at most `longest`, `most` tasks."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    target: Seconds
    longest: Seconds
    most: Annotated[int, Field(ge=1, le=1000)]
    overhead: Seconds


class ClaimBody(TypedDict):
    """An offer of one machine's resources, and for how many places tasks are wanted.

    `lease` is the key that they get, if the engine makes one up, anew for each claim: should the answer be lost, it knows by
    it which are those.
    """

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    offer: ShapeBody
    limit: Annotated[int, Field(ge=1, le=BATCH)]
    series: NotRequired[SeriesBody]
    lease: NotRequired[NewLease]


class UnheardBody(TypedDict):
    """Attempts leased by claims whose answers were lost; `offer`, `limit` and `series` as in a claim."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    offer: ShapeBody
    limit: Annotated[int, Field(ge=0, le=BATCH)]
    tasks: Annotated[list[LeaseBody], Field(max_length=BATCH)]
    series: NotRequired[SeriesBody]


class StartedBody(TypedDict):
    """An attempt that began to run; `at` in seconds since the epoch."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    address: Attempt
    lease: Lease
    at: Seconds
    host: NotRequired[Host]


class UsageBody(TypedDict, total=False):
    """Resources used, null where they could not be measured: seconds and bytes."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    wall: Amount | None
    cpu: Amount | None
    memory: Bytes | None
    disk: Bytes | None
    gpu: Amount | None


class FileBody(TypedDict):
    """A file that was read or written."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    name: Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=NO_NUL)]
    url: Annotated[str, StringConstraints(max_length=4000, pattern=NO_NUL)]
    size: Size
    sha256: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
    temporary: NotRequired[bool]


class OutcomeBody(TypedDict):
    """What the worker says happened to one attempt; times in seconds since the epoch."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    address: Attempt
    lease: Lease
    reason: Annotated[str, StringConstraints(max_length=16)]
    message: NotRequired[Annotated[str, StringConstraints(max_length=1_000_000, pattern=NO_NUL)]]
    exit: NotRequired[Small | None]
    signal: NotRequired[Small | None]
    started: NotRequired[Seconds | None]
    ended: NotRequired[Seconds | None]
    host: NotRequired[Host]
    usage: NotRequired[UsageBody]
    inputs: NotRequired[Annotated[list[FileBody], Field(max_length=100_000)]]
    outputs: NotRequired[Annotated[list[FileBody], Field(max_length=100_000)]]
    detail: NotRequired[dict[str, JsonValue]]


class ReportBody(TypedDict):
    """Attempts that began and attempts that ended."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    started: NotRequired[Annotated[list[StartedBody], Field(max_length=BATCH)]]
    ended: NotRequired[Annotated[list[OutcomeBody], Field(max_length=BATCH)]]


class LogPartBody(TypedDict):
    """Bytes of a log, in base64, from `offset` on; of `using`, all there is, as JSON: what a running attempt used so far."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    address: Attempt
    lease: Lease
    stream: Annotated[str, StringConstraints(pattern=r"^(stdout|stderr|course|using)$")]
    offset: Annotated[int, Field(ge=0, le=2**53)]
    data: Base64Bytes


class LogsBody(TypedDict):
    """Bytes appended to logs, and the attempts of which no more will come."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    parts: NotRequired[Annotated[list[LogPartBody], Field(max_length=BATCH)]]
    finished: NotRequired[Annotated[list[Attempt], Field(max_length=BATCH)]]


class ScriptBody(TypedDict):
    """What was submitted for attempts, in the words of their computing resource."""

    __pydantic_config__ = IGNORE  # type: ignore[misc]
    text: Annotated[str, StringConstraints(max_length=262_144)]
    tasks: Annotated[list[LeaseBody], Field(max_length=BATCH)]


class ScriptsBody(TypedDict):
    """What was submitted, and for which attempts."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    scripts: Annotated[list[ScriptBody], Field(max_length=BATCH)]


class LeasesBody(TypedDict):
    """Which page of leases is wanted."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    after: NotRequired[Annotated[str, StringConstraints(max_length=64)] | None]


class LeaveBody(TypedDict):
    """An engine process that ends."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session


class ReturnBody(TypedDict):
    """Attempts given back, free of charge: `unbegun` where their series ended before their turn, else they are lost."""

    __pydantic_config__ = FORBID  # type: ignore[misc]
    session: Session
    tasks: Annotated[list[LeaseBody], Field(max_length=BATCH)]
    unbegun: NotRequired[bool]
    reason: NotRequired[Annotated[str, StringConstraints(max_length=1000, pattern=NO_NUL)]]


REGISTER: TypeAdapter[Any] = TypeAdapter(RegisterBody)
BEAT: TypeAdapter[Any] = TypeAdapter(BeatBody)
CLAIM: TypeAdapter[Any] = TypeAdapter(ClaimBody)
UNHEARD: TypeAdapter[Any] = TypeAdapter(UnheardBody)
REPORT: TypeAdapter[Any] = TypeAdapter(ReportBody)
LOGS: TypeAdapter[Any] = TypeAdapter(LogsBody)
SCRIPTS: TypeAdapter[Any] = TypeAdapter(ScriptsBody)
LEASES: TypeAdapter[Any] = TypeAdapter(LeasesBody)
RETURN: TypeAdapter[Any] = TypeAdapter(ReturnBody)
LEAVE: TypeAdapter[Any] = TypeAdapter(LeaveBody)

CAPACITY = {
    "total": {"cpu": 2, "memory": 4_000_000_000, "disk": 20_000_000_000, "time": 86_400},
    "free": {"cpu": 2, "memory": 4_000_000_000, "disk": 20_000_000_000, "time": 86_400},
    "queue": 4,
}
BODIES: dict[str, tuple[TypeAdapter[Any], dict[str, Any]]] = {
    "RegisterBody": (REGISTER, {"kind": "local", "site": "here", "session": "a1b2", "capacity": CAPACITY}),
    "BeatBody": (BEAT, {"session": "a1b2", "capacity": CAPACITY}),
    "ClaimBody": (
        CLAIM,
        {
            "session": "a1b2",
            "offer": CAPACITY["free"],
            "limit": 10,
            "series": {"target": 1800, "longest": 86_400, "most": 200, "overhead": 0.05},
        },
    ),
    "UnheardBody": (UNHEARD, {"session": "a1b2", "offer": CAPACITY["free"], "limit": 10, "tasks": [ONE]}),
    "ReportBody": (
        REPORT,
        {
            "session": "a1b2",
            "started": [{**ONE, "at": 1_800_000_000.0, "host": "node1"}],
            "ended": [{**ONE, "reason": "ok", "usage": {"wall": 1.5, "cpu": 1.2}, "outputs": []}],
        },
    ),
    "LogsBody": (
        LOGS,
        {
            "session": "a1b2",
            "parts": [{**ONE, "stream": "stdout", "offset": 0, "data": "aGVsbG8gMAo="}],
            "finished": ["1/0/greet#1"],
        },
    ),
    "ScriptsBody": (SCRIPTS, {"session": "a1b2", "scripts": [{"text": "#!/bin/sh\ntrue\n", "tasks": [ONE]}]}),
    "LeasesBody": (LEASES, {"session": "a1b2", "after": None}),
    "ReturnBody": (RETURN, {"session": "a1b2", "tasks": [ONE], "reason": "never started"}),
    "LeaveBody": (LEAVE, {"session": "a1b2"}),
}
"""Each body by name, with an example; `openapi_extra` of the routes refers to them."""


def body_of(name: str) -> dict[str, Any]:
    """Return what a route adds to its OpenAPI operation to declare a body that it parses itself."""
    content = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": BODIES[name][1]}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
