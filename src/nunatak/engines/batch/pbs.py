"""OpenPBS and Torque: qsub, qstat -f -t, qdel. Pure. Tested against recorded transcripts only.

Formats: PBS Professional 2021.1 Reference Guide (qsub, qstat, exit values of jobs); Torque 6 Administrator Guide, appendix A.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from nunatak.core.work import Shape
from nunatak.engines.batch import static
from nunatak.engines.batch.dialect import Answer, Ask, Command, chunks, good, nothing, taken
from nunatak.engines.batch.model import Cause, Cluster, Job, Order, Stage, Submitted

_TOGETHER = 200
_AWAY = re.compile(
    r"cannot connect|connection refused|server is not|would exceed|maximum number|pbs_iff|no route|try again",
    re.IGNORECASE,
)
_RECEIPT = re.compile(r"^(\d+(?:\[\])?(?:\.[\w.-]+)?)\s*$", re.MULTILINE)
_UNSURE = re.compile(r"timed? ?out|end of file|communication failure|premature end|broken pipe", re.IGNORECASE)
_CODES = {
    -26: Cause.MEMORY,
    -27: Cause.MEMORY,
    -28: Cause.TIME,
    -29: Cause.TIME,
    -10: Cause.UNKNOWN,
    -11: Cause.UNKNOWN,
}
"""Exit values of jobs that were ended: vmem, mem, cput and walltime in OpenPBS; over a limit in Torque."""


class Pbs(static.Plain):
    """The dialect of OpenPBS, or with `torque` of Torque. Jobs are known by their name, which is the mark."""

    name = "PBS"
    index = "${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-1}}"
    series = False

    def __init__(
        self,
        most: Shape,
        *,
        queues: Sequence[str] = (),
        account: str = "",
        extra: str = "",
        torque: bool = False,
    ) -> None:
        """Take what there is, by the installation's word, and what goes into every submission."""
        self._most, self._queues, self._account, self._extra, self._torque = most, queues, account, extra, torque

    def submit(self, order: Order) -> Ask[Submitted]:
        """Submit an array, or one job, by qsub with the script on its standard input."""
        return Ask((Command(("qsub",), self.script(order)),), submitted)

    def script(self, order: Order) -> str:
        """Return the whole script, its options at its head."""
        several = order.count > 1
        shape, memory = order.shape, static.mebibytes(order.shape.memory)
        if self._torque:
            resources = f"nodes=1:ppn={shape.cpu}" + (f":gpus={shape.gpu}" if shape.gpu else "") + f",mem={memory}mb"
            index = "$PBS_ARRAYID"
        else:
            resources = f"select=1:ncpus={shape.cpu}:mem={memory}mb" + (f":ngpus={shape.gpu}" if shape.gpu else "")
            index = "^array_index^"
        options = [
            ("-N", order.mark),
            ("-t" if self._torque else "-J", f"1-{order.count}" if several else ""),
            ("-l", resources),
            ("-l", f"walltime={static.clock(shape.time)}"),
            ("-q", static.queue(order.queues)),
            ("-A", self._account),
            ("-r", "n"),
            ("-j", "oe"),
            ("-o", f"{order.talk}.{index if several else '1'}.out"),
        ]
        head = static.head("#PBS", [*options, ("", self._extra)])
        return f"{head}\n# {order.name}\n\n{order.body}"

    def status(self, _ids: Sequence[str]) -> Ask[list[Job]]:
        """Ask for all jobs, elements of arrays one by one; OpenPBS also for those that ended a while ago."""
        argv = ("qstat", "-f", "-t") if self._torque else ("qstat", "-f", "-t", "-x")
        return Ask((Command(argv),), lambda answers: read(good(answers[0], "qstat")))

    def history(self, _ids: Sequence[str], _cluster: Cluster) -> Ask[list[Job]]:
        """There is none that a user may read."""
        return Ask((), lambda _answers: [])

    def cancel(self, jobs: Sequence[Job]) -> Ask[None]:
        """Delete jobs and elements of arrays."""
        names = sorted({job.id.replace("[]", f"[{job.index}]") if job.index else job.id for job in jobs})
        return Ask(tuple(Command(("qdel", *part)) for part in chunks(names, _TOGETHER)), nothing)


def submitted(answers: Sequence[Answer]) -> Submitted:
    """Read what qsub said: `123.server`, or `123[].server` for an array."""
    return taken(answers, _RECEIPT, away=_AWAY, unsure=_UNSURE)


def read(text: str) -> list[Job]:
    """Read `qstat -f -t`: a block a job, `name = value` lines, long values go on after a tab."""
    text = re.sub(r"\n\t", "", text)
    found = []
    for block in re.split(r"^Job Id:\s*", text, flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        row = {key.lower(): value.strip() for key, value in re.findall(r"^ {4}([\w.]+) = (.*)$", rest, re.MULTILINE)}
        job = _job(name.strip(), row)
        if job:
            found.append(job)
    return found


def _job(name: str, row: Mapping[str, str]) -> Job | None:
    parts = re.fullmatch(r"(\d+)(?:\[(\d*)\])?(\.[\w.-]+)?", name)
    state = row.get("job_state", "")
    if not parts or not state or parts[2] == "":  # an array as a whole says nothing of its elements
        return None
    array = parts[2] is not None
    identity = f"{parts[1]}{'[]' if array else ''}{parts[3] or ''}"
    host = row.get("exec_host", "").partition("/")[0]
    began = _moment(row.get("stime") or row.get("start_time", ""))
    code = int(row["exit_status"]) if re.fullmatch(r"-?\d{1,9}", row.get("exit_status", "")) else None
    stage = Stage.ENDED if state in "FXC" else Stage.RUNNING if state in "RESTU" and host else Stage.WAITING
    cause = Cause.UNKNOWN
    if stage is Stage.ENDED:
        cause = Cause.DONE if code == 0 else _CODES.get(code, Cause.FAILED) if code is not None else Cause.UNKNOWN
    return Job(
        identity, int(parts[2]) if array else 0, stage, state, cause, row.get("comment", ""), host,
        began=began,
        ended=_moment(row.get("mtime", "")) if stage is Stage.ENDED else 0.0,
        exit=code if code is not None and code < 256 else None,
        signal=code - 256 if code is not None and code > 256 else None,
        mark=re.sub(r"(-\d+|\[\d*\])$", "", row.get("job_name", "")),
        ran=bool(host),
    )  # fmt: skip


def _moment(text: str) -> float:
    try:
        return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").astimezone().timestamp()
    except (ValueError, OverflowError):
        return 0.0
