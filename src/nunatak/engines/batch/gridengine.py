"""Grid Engine (Sun, Son of, Univa, Open Cluster Scheduler): qsub, qstat -xml, qdel, qacct. Pure. Tested on a real 8.1.9.

Formats: qsub(1), qstat(1), accounting(5) of Grid Engine 8.1.9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.etree import ElementTree as ET

from nunatak.core.errors import Unavailable
from nunatak.core.work import Shape
from nunatak.engines.batch import static
from nunatak.engines.batch.dialect import Answer, Ask, Command, chunks, good, nothing, taken
from nunatak.engines.batch.model import Cause, Cluster, Job, Order, Stage, Submitted

_TOGETHER = 200
_AWAY = re.compile(
    r"unable to contact|can't connect|cannot connect|commlib error|maximum number|job rejected: only", re.IGNORECASE
)
_RECEIPT = re.compile(r"^(\d+)(?:\.\d+-\d+:\d+)?\s*$", re.MULTILINE)
_UNSURE = re.compile(r"timed? ?out|got read error|connection closed|broken pipe", re.IGNORECASE)


class GridEngine(static.Plain):
    """The dialect of Grid Engine. Every submission is an array, and known by its name, which is the mark."""

    name = "Grid Engine"
    index = "${SGE_TASK_ID}"
    series = False

    def __init__(
        self, most: Shape, *, queues: Sequence[str] = (), account: str = "", extra: str = "",
        parallel: str = "smp", memory: str = "h_vmem",
    ) -> None:  # fmt: skip
        """Take what there is, by the installation's word; the parallel environment and the resource for memory."""
        self._most, self._queues, self._account, self._extra = most, queues, account, extra
        self._parallel, self._memory = parallel, memory

    def submit(self, order: Order) -> Ask[Submitted]:
        """Submit an array by qsub with the script on its standard input."""
        return Ask((Command(("qsub", "-terse"), self.script(order)),), submitted)

    def script(self, order: Order) -> str:
        """Return the whole script, its options at its head; memory is counted a slot."""
        shape = order.shape
        options = [
            ("-N", order.mark),
            ("-S", "/bin/sh"),
            ("-t", f"1-{order.count}"),
            ("-pe", f"{self._parallel} {shape.cpu}" if shape.cpu > 1 else ""),
            ("-l", f"h_rt={shape.time},{self._memory}={static.mebibytes(-(-shape.memory // max(1, shape.cpu)))}M"),
            ("-l", f"gpu={shape.gpu}" if shape.gpu else ""),
            ("-q", static.queue(order.queues)),
            ("-P", self._account),
            ("-r", "n"),
            ("-j", "y"),
            ("-o", f"{order.talk}.$TASK_ID.out"),
        ]
        head = static.head("#$", [*options, ("", self._extra)])
        return f"{head}\n# {order.name}\n\n{order.body}"

    def status(self, _ids: Sequence[str]) -> Ask[list[Job]]:
        """Ask for all jobs of this user, one entry an element."""
        return Ask(
            (Command(("qstat", "-xml", "-g", "d", "-s", "prs")),), lambda answers: read(good(answers[0], "qstat"))
        )

    def history(self, ids: Sequence[str], _cluster: Cluster) -> Ask[list[Job]]:
        """Ask the accounting, one command a submission; one that it does not have yet ends with an error."""
        commands = tuple(Command(("qacct", "-j", item)) for item in ids)
        return Ask(
            commands,
            lambda answers: [job for answer in answers if not answer.code for job in read_accounting(answer.out)],
        )

    def cancel(self, jobs: Sequence[Job]) -> Ask[None]:
        """Delete jobs and elements of arrays."""
        names = sorted({f"{job.id}.{job.index}" if job.index else job.id for job in jobs})
        return Ask(tuple(Command(("qdel", *part)) for part in chunks(names, _TOGETHER)), nothing)


def submitted(answers: Sequence[Answer]) -> Submitted:
    """Read what `qsub -terse` said: `123.1-3:1`."""
    return taken(answers, _RECEIPT, away=_AWAY, unsure=_UNSURE)


def read(text: str) -> list[Job]:
    """Read `qstat -xml -g d`. Raises `Unavailable` if it is not that."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - the batch system's own words
    except (ET.ParseError, ValueError) as error:
        raise Unavailable(f"qstat -xml cannot be understood: {error}", code="batch-system") from None
    found = []
    for entry in root.iter("job_list"):
        row = {item.tag: (item.text or "").strip() for item in entry}
        number, tasks, state = row.get("JB_job_number", ""), row.get("tasks", "1"), row.get("state", "")
        if not re.fullmatch(r"\d{1,12}", number) or not state:
            continue
        host = row.get("queue_name", "").partition("@")[2]
        broken = "E" in state
        stage = Stage.RUNNING if host and not broken else Stage.WAITING
        found += [
            Job(
                number, index, stage, state, Cause.REFUSED if broken else Cause.UNKNOWN,
                "it is in the error state" if broken else "", host,
                began=_iso(row.get("JAT_start_time", "")) if host else 0.0, mark=row.get("JB_name", ""), ran=bool(host),
            )
            for index in _tasks(tasks)
        ]  # fmt: skip
    return found


def read_accounting(text: str) -> list[Job]:
    """Read `qacct -j`: a block of `name value` lines an element; the last of an element counts."""
    found: dict[tuple[str, int], Job] = {}
    for block in re.split(r"^=+$", text, flags=re.MULTILINE):
        row = {key: value.strip() for key, value in re.findall(r"^(\w+)[ \t]+(.*)$", block, re.MULTILINE)}
        number, task = row.get("jobnumber", ""), row.get("taskid", "")
        if re.fullmatch(r"\d{1,12}", number):
            index = int(task) if re.fullmatch(r"\d{1,9}", task) else 1
            found[number, index] = _accounted(number, index, row)
    return list(found.values())


def _accounted(number: str, index: int, row: Mapping[str, str]) -> Job:
    """Return an ended job; `failed` 37 is a limit enforced by the master, 100 a death by signal."""
    status = re.match(r"(\d{1,9})(?:\s|$)", row.get("exit_status", ""))
    code = int(status[1]) if status else None
    failed = row.get("failed", "0")
    cause = Cause.DONE if code == 0 and failed.split(" ")[0] == "0" else Cause.FAILED
    began, ended = _moment(row.get("start_time", "")), _moment(row.get("end_time", ""))
    if failed.startswith("37"):
        cause = _limit(row, ended - began if began else 0.0)
    return Job(
        number, index, Stage.ENDED, "ended", cause, "" if failed == "0" else failed, row.get("hostname", ""),
        began=began,
        ended=ended,
        exit=code if code is not None and code <= 128 else None,
        signal=code - 128 if code is not None and code > 128 else None,
        mark=row.get("jobname", ""),
        ran=row.get("start_time", "-/-") != "-/-",
    )  # fmt: skip


def _limit(row: Mapping[str, str], wall: float) -> Cause:
    """Return which limit a job was over: all have one code, so what it asked for is held against what it used."""
    asked = dict(re.findall(r"\b(h_rt|s_rt|h_vmem)=([\w.:]+)", row.get("category", "")))
    times = [int(value) for name, value in asked.items() if name != "h_vmem" and value.isdigit()]
    if any(wall >= limit for limit in times):
        return Cause.TIME
    if asked.get("h_vmem") and _bytes(row.get("maxvmem", "")) >= 0.95 * _bytes(asked["h_vmem"]):
        return Cause.MEMORY
    return Cause.UNKNOWN


def _bytes(text: str) -> float:
    """Read `45.957M`, `3.5MB` or `0.000B`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)B?", text.strip())
    return float(found[1]) * 1024 ** " KMGT".index(found[2] or " ") if found else 0.0


def _tasks(text: str) -> list[int]:
    """Read `3`, or `2-5:1` where a version does not unfold what waits."""
    found = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7}):(\d{1,7}))?", text)
    if not found:
        return [1]
    first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
    return list(range(first, last + 1, max(1, step)))[:100_000]


def _iso(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _moment(text: str) -> float:
    for form in ("%a %b %d %H:%M:%S %Y", "%m/%d/%Y %H:%M:%S.%f"):
        try:
            return datetime.strptime(text, form).astimezone().timestamp()
        except (ValueError, OverflowError):
            continue
    return 0.0
