"""What becomes of a simulated attempt: pure draws from a seed and the address, whatever the order of calls."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

from nunatak.core.work import FileRecord, Outcome, Reason, Shape, TaskSpec, Usage
from nunatak.engines.hosts import Fault, FaultsByHost

_NORMAL, _EIGHT = NormalDist(), struct.Struct("<8Q")
_WORDS = {
    **{reason: str(reason) for reason in Reason},
    Reason.OK: "",
    Reason.EXIT: "the command ended with exit code 1",
    Reason.MEMORY: "it needed more memory than it asked for",
    Reason.TIME: "it needed more time than it asked for",
    Reason.TERMINATED: "it was evicted",
}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How attempts behave. Rates are probabilities an attempt, times are seconds.

    Durations and the used fraction of the memory are log-normal about their medians `duration` and `memory`;
    `spread` and `memory_spread` are the standard deviations of their logarithms (0 = always the median).
    Half of the lost reports come `late` seconds late, the other half twice, the second time that late.
    Submitted attempts are held up for up to `submit_delay` before they may start, and begin `overhead` after they got
    their place; a series pays for both once. `faults` are those of hosts, by name:
    together with `slots_per_host` a host whose fault is quick takes one attempt after the other. If `quiet`, attempts write
    no logs.
    """

    duration: float = 60.0
    spread: float = 0.0
    memory: float = 0.5
    memory_spread: float = 0.0
    failure_rate: float = 0.0
    eviction_rate: float = 0.0
    lost_rate: float = 0.0
    late: float = 60.0
    submit_delay: float = 0.0
    overhead: float = 0.0
    hosts: tuple[str, ...] = ("sim-1", "sim-2", "sim-3")
    slots_per_host: int = 0  # attempts that one host takes at a time; 0: as many as come
    faults: FaultsByHost = field(default_factory=dict)
    quiet: bool = False


class Fate(NamedTuple):
    """What will become of one attempt; seconds and bytes."""

    delay: float
    duration: float
    reason: Reason
    memory: int
    late: float  # the report of the end comes so much later
    again: float  # and once more after this time; 0 = not
    place: float = 0.0  # number from 0 to 1 by which it gets one of the hosts that have room
    luck: float = 1.0  # likewise, against the rate of a host's fault
    message: str = ""


def draw(behaviour: Behaviour, seed: int, address: str, shape: Shape) -> Fate:
    """Draw the fate of an attempt from the uniform numbers of its address."""
    long, memory, evicted, failed, lost, early, delay, host = uniform(seed, address)
    duration = log_normal(behaviour.duration, behaviour.spread, long)
    used = int(shape.memory * log_normal(behaviour.memory, behaviour.memory_spread, memory))
    reason = Reason.OK
    if evicted < behaviour.eviction_rate:
        reason, duration = Reason.TERMINATED, duration * early
    elif failed < behaviour.failure_rate:
        reason, duration = Reason.EXIT, duration * early
    elif used > shape.memory:
        reason, duration = Reason.MEMORY, duration * early
    if duration > shape.time:
        reason, duration = Reason.TIME, float(shape.time)
    is_lost, is_late = lost < behaviour.lost_rate, lost < behaviour.lost_rate / 2
    return Fate(
        delay=delay * behaviour.submit_delay,
        duration=duration,
        reason=reason,
        memory=used,
        late=behaviour.late if is_late else 0.0,
        again=behaviour.late if is_lost and not is_late else 0.0,
        place=host,
        luck=early,
    )


def landed(fate: Fate, fault: Fault | None) -> Fate:
    """Return what becomes of an attempt on a host with this fault, or with none."""
    if fault is None or fate.luck >= fault.rate:
        return fate
    return fate._replace(duration=fault.after, reason=fault.reason, message=fault.message)


def outcome(spec: TaskSpec, fate: Fate, host: str, reason: Reason, started: float, ended: float) -> Outcome:
    """Return what a worker would have written; the content of a file depends on the task and its name alone."""
    wall = ended - started
    return Outcome(
        address=spec.address,
        lease=spec.lease,
        reason=reason,
        message=fate.message if reason is fate.reason and fate.message else _WORDS[reason],
        exit=1 if reason is Reason.EXIT else None,
        started=started,
        ended=ended,
        host=host,
        usage=Usage(wall=wall, cpu=0.95 * wall * spec.shape.cpu, memory=fate.memory, disk=spec.shape.disk // 2),
        inputs=tuple([_record(item.name, item.url, item.url, item.size, item.sha256) for item in spec.inputs]),
        outputs=_made(spec) if reason is Reason.OK else (),
    )


def _made(spec: TaskSpec) -> tuple[FileRecord, ...]:
    if not spec.outputs:
        return ()
    task = spec.address.partition("#")[0]
    return tuple(
        [_record(item.name, item.url, f"{task}/{item.name}", temporary=item.temporary) for item in spec.outputs]
    )


def log(address: str, fate: Fate, host: str, started: float, now: float, ended: bool) -> bytes:
    """Return what is on stdout by `now`: a line at the start and one for each tenth of the duration."""
    tenths = 10 if not fate.duration else min(10, max(0, int(10 * (now - started) / fate.duration)))
    lines = [f"{address} on {host}", *(f"{10 * done} %" for done in range(1, tenths + 1))]
    return "".join(f"{line}\n" for line in [*lines, *(["end"] if ended else [])]).encode()


def uniform(seed: int, address: str) -> tuple[float, ...]:
    """Return eight numbers from 0 to 1: the SHA-512 of seed and address."""
    digest = hashlib.sha512(f"{seed}/{address}".encode()).digest()
    return tuple([n * 2.0**-64 for n in _EIGHT.unpack(digest)])


def log_normal(median: float, sigma: float, share: float) -> float:
    """Return the value that this share of a log-normal distribution does not exceed."""
    if not sigma:
        return median
    return median * math.exp(sigma * _NORMAL.inv_cdf(min(max(share, 1e-12), 1 - 1e-12)))


def _record(name: str, url: str, content: str, size: int = -1, sha256: str = "", temporary: bool = False) -> FileRecord:
    digest = hashlib.sha256(content.encode())
    known = size if size >= 0 else int.from_bytes(digest.digest()[:3], "big")
    return FileRecord(name, url, known, sha256 or digest.hexdigest(), temporary)
