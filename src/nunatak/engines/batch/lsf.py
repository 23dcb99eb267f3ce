"""IBM Spectrum LSF: bsub, bjobs -json, bkill. Pure. Tested against recorded transcripts only.

Formats: IBM Spectrum LSF 10.1 Command Reference (bsub, bjobs -o -json, bkill; termination reasons of bhist).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nunatak.core.errors import Unavailable
from nunatak.core.work import Shape
from nunatak.engines.batch import static
from nunatak.engines.batch.dialect import Answer, Ask, Command, chunks, good, nothing, taken
from nunatak.engines.batch.model import Cause, Cluster, Job, Order, Stage, Submitted

_TOGETHER = 200
_FIELDS = "jobid jobindex stat exec_host exit_code exit_reason job_name start_time"
_AWAY = re.compile(
    r"lsf is down|cannot connect|please wait|try later|limit has been reached|limit exceeded|batch daemon",
    re.IGNORECASE,
)
_RECEIPT = re.compile(r"Job <(\d{1,12})> is submitted")
_UNSURE = re.compile(r"timed? ?out|communication|broken pipe", re.IGNORECASE)
_WAITING, _ENDED = {"PEND", "PSUSP", "WAIT", "PROV"}, {"DONE", "EXIT", "ZOMBI"}
_REASONS = (
    ("TERM_MEMLIMIT", Cause.MEMORY), ("TERM_SWAP", Cause.MEMORY), ("TERM_RUNLIMIT", Cause.TIME), ("TERM_CPULIMIT", Cause.TIME),
    ("TERM_PREEMPT", Cause.PREEMPTED), ("TERM_REQUEUE", Cause.REQUEUED), ("TERM_OWNER", Cause.CANCELLED),
    ("TERM_ADMIN", Cause.CANCELLED), ("TERM_FORCE", Cause.CANCELLED), ("TERM_ZOMBIE", Cause.NODE),
    ("TERM_CWD_NOTEXIST", Cause.FAILED), ("TERM_WINDOW", Cause.PREEMPTED), ("TERM_LOAD", Cause.PREEMPTED),
)  # fmt: skip


class Lsf(static.Plain):
    """The dialect of LSF. Every submission is an array, and known by its name, which is the mark."""

    name = "LSF"
    index = "${LSB_JOBINDEX}"
    series = False

    def __init__(self, most: Shape, *, queues: Sequence[str] = (), account: str = "", extra: str = "") -> None:
        """Take what there is, by the installation's word, and what goes into every submission."""
        self._most, self._queues, self._account, self._extra = most, queues, account, extra

    def submit(self, order: Order) -> Ask[Submitted]:
        """Submit an array by bsub with the script on its standard input."""
        return Ask((Command(("bsub",), self.script(order)),), submitted)

    def script(self, order: Order) -> str:
        """Return the whole script, its options at its head; limits in MB and minutes."""
        shape, memory = order.shape, static.mebibytes(order.shape.memory)
        options = [
            ("-J", f'"{order.mark}[1-{order.count}]"'),
            ("-n", str(shape.cpu)),
            ("-R", f'"span[hosts=1] rusage[mem={memory}]"'),
            ("-M", str(memory)),
            ("-W", str(max(1, -(-shape.time // 60)))),
            ("-gpu", f'"num={shape.gpu}"' if shape.gpu else ""),
            ("-q", static.queue(order.queues)),
            ("-P", self._account),
            ("-o", f'"{order.talk}.%I.out"'),
        ]
        head = static.head("#BSUB", [*options, ("", "-rn"), ("", self._extra)])
        return f"{head}\n# {order.name}\n\n{order.body}"

    def status(self, _ids: Sequence[str]) -> Ask[list[Job]]:
        """Ask for all jobs of this user, those that ended a while ago too."""
        return Ask((Command(("bjobs", "-a", "-json", "-o", _FIELDS)),), _status)

    def history(self, _ids: Sequence[str], _cluster: Cluster) -> Ask[list[Job]]:
        """`bjobs -a` has what there is."""
        return Ask((), lambda _answers: [])

    def cancel(self, jobs: Sequence[Job]) -> Ask[None]:
        """Kill jobs and elements of arrays."""
        names = sorted({f"{job.id}[{job.index}]" if job.index else job.id for job in jobs})
        return Ask(tuple(Command(("bkill", *part)) for part in chunks(names, _TOGETHER)), nothing)


def submitted(answers: Sequence[Answer]) -> Submitted:
    """Read what bsub said: `Job <123> is submitted to queue <normal>.`."""
    return taken(answers, _RECEIPT, away=_AWAY, unsure=_UNSURE)


def _status(answers: Sequence[Answer]) -> list[Job]:
    text = good(answers[0], "bjobs")
    try:
        return read(text)
    except ValueError as error:
        raise Unavailable(f"bjobs -json cannot be understood: {error}", code="batch-system") from None


def read(text: str) -> list[Job]:
    """Read `bjobs -json`. Raises `ValueError` if it is not that; jobs that make no sense are left out."""
    try:
        plain = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("RECORDS"), list):
        raise ValueError("it has no RECORDS")
    rows = [{key: _text(value) for key, value in item.items()} for item in plain["RECORDS"] if isinstance(item, dict)]
    return [job for row in rows if (job := _job(row))]


def _job(row: Mapping[str, str]) -> Job | None:
    number, state = row.get("JOBID", ""), row.get("STAT", "")
    if not re.fullmatch(r"\d{1,12}", number) or not state:
        return None
    index = int(row["JOBINDEX"]) if re.fullmatch(r"\d{1,9}", row.get("JOBINDEX", "")) else 0
    reason = row.get("EXIT_REASON", "")
    code = int(row["EXIT_CODE"]) if re.fullmatch(r"\d{1,9}", row.get("EXIT_CODE", "")) else None
    stage = Stage.WAITING if state in _WAITING else Stage.ENDED if state in _ENDED else Stage.RUNNING
    cause = Cause.UNKNOWN
    if stage is Stage.ENDED:
        named = next((cause for word, cause in _REASONS if word in reason), Cause.FAILED)
        cause, code = (Cause.DONE, 0) if state == "DONE" else (named, code)
    host = re.sub(r"^\d+\*", "", row.get("EXEC_HOST", "").partition(":")[0])
    return Job(
        number, index, stage, state, cause, reason, "" if host == "-" else host,
        exit=code if code is not None and code <= 128 else None,
        signal=code - 128 if code is not None and code > 128 else None,
        mark=row.get("JOB_NAME", "").partition("[")[0],
        ran=row.get("START_TIME", "") not in ("", "-"),
    )  # fmt: skip


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
