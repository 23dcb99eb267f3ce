"""Slurm: sbatch, squeue --json, scancel, scontrol, and sacct or jobcomp's file for what squeue has forgotten. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nunatak.core.errors import Unavailable
from nunatak.engines.batch import slurm_read as read
from nunatak.engines.batch.dialect import Answer, Ask, Command, chunks, good, nothing, taken
from nunatak.engines.batch.model import Cluster, Job, Order, Submitted

MIB = 1024 * 1024
COMMENT = "nunatak {mark} lease {lease}"
_TOGETHER = 500
"""Ids in one command."""
_AWAY = re.compile(
    r"authentication error|munge|credential"
    r"|unable to contact slurm|connection refused|temporarily|try again|resource temporarily unavailable|zero bytes"
    r"|submit ?limit|MaxSubmit|job array index is out of range|slurm backup|not responding",
    re.IGNORECASE,
)
_RECEIPT = re.compile(r"^(\d+)(?:;\S+)?\s*$", re.MULTILINE)
_UNSURE = re.compile(r"timed out|connection reset|broken pipe|unexpected message", re.IGNORECASE)
_SACCT = ("JobID", "State", "ExitCode", "Start", "End", "NodeList", "Reason")


class Slurm:
    """The dialect of Slurm 20.11 to 24.11. `extra` are more options of sbatch, in one line."""

    name = "Slurm"
    index = "${SLURM_ARRAY_TASK_ID:-1}"
    series = True

    def __init__(
        self, *, account: str = "", qos: str = "", nice: int | None = None, extra: str = "", history: str = ""
    ) -> None:
        """Take what goes into every submission; `history` is `sacct`, a file of jobcomp/filetxt, or "" = as configured."""
        self._account, self._qos, self._nice, self._extra, self._history = account, qos, nice, extra, history

    def submit(self, order: Order) -> Ask[Submitted]:
        """Submit one array, or one job, by sbatch with the script on its standard input."""
        return Ask((Command(("sbatch", "--parsable"), self.script(order)),), submitted)

    def script(self, order: Order) -> str:
        """Return the whole script, its options at its head."""
        shape = order.shape
        options = [
            ("job-name", order.name),
            ("comment", COMMENT.format(mark=order.mark, lease=order.lease)),
            ("array", f"1-{order.count}" if order.count > 1 else ""),
            ("partition", ",".join(order.queues)),
            ("nodes", "1"),
            ("ntasks", "1"),
            ("cpus-per-task", str(shape.cpu)),
            ("mem", f"{-(-shape.memory // MIB)}M"),
            ("time", _time(shape.time)),
            ("gres", f"gpu:{shape.gpu}" if shape.gpu else ""),
            ("constraint", "&".join(shape.features)),
            ("exclude", ",".join(order.avoid)),
            ("account", self._account),
            ("qos", self._qos),
            ("nice", "" if self._nice is None else str(self._nice)),
            ("export", "ALL"),
            ("output", f"{_escaped(order.talk)}.{'%a' if order.count > 1 else '1'}.out"),
            ("open-mode", "append"),
        ]
        lines = [f"#SBATCH --{name}={_quoted(value)}" for name, value in options if value]
        lines += ["#SBATCH --no-requeue", *([f"#SBATCH {self._extra}"] if self._extra else [])]
        return "\n".join(["#!/bin/bash", *lines, "", order.body])

    def status(self, _ids: Sequence[str]) -> Ask[list[Job]]:
        """Ask once for everything of ours: Slurm 22.05 would answer with all jobs whatever one asks for."""
        return Ask((Command(("squeue", "--json", "--me", "--states=all")),), _status)

    def history(self, ids: Sequence[str], cluster: Cluster) -> Ask[list[Job]]:
        """Ask sacct, or look into the file of jobcomp/filetxt."""
        where = self._history or cluster.history
        if where == "sacct":
            commands: list[tuple[str, ...]] = [
                ("sacct", "--noheader", "--parsable2", "--allocations", "--duplicates", "--starttime=now-30days",
                 f"--jobs={','.join(part)}", f"--format={','.join(_SACCT)}")
                for part in chunks(ids, _TOGETHER)
            ]  # fmt: skip
            return Ask(tuple(map(Command, commands)), _history)
        if where:
            commands = [
                ("grep", "-E", f"(^| )(Array)?JobId=({'|'.join(part)}) ", where) for part in chunks(ids, _TOGETHER)
            ]
            return Ask(tuple(map(Command, commands)), _jobcomp)
        return Ask((), lambda _answers: [])

    def cancel(self, jobs: Sequence[Job]) -> Ask[None]:
        """Cancel jobs and elements of arrays; those that are over are ignored by scancel."""
        return Ask(tuple(Command(("scancel", *part)) for part in chunks(_names(jobs), _TOGETHER)), nothing)

    def skip(self, jobs: Sequence[Job]) -> Ask[None]:
        """Signal the batch scripts alone."""
        words = ("scancel", "--batch", "--signal=USR1")
        return Ask(tuple(Command((*words, *part)) for part in chunks(_names(jobs), _TOGETHER)), nothing)

    def avoid(self, ids: Sequence[str], nodes: Sequence[str]) -> Ask[None]:
        """Change the excluded nodes of what waits."""
        return Ask(
            tuple(
                Command(("scontrol", "update", f"JobId={','.join(part)}", f"ExcNodeList={','.join(nodes)}"))
                for part in chunks(ids, _TOGETHER)
            ),
            nothing,
        )

    def cluster(self) -> Ask[Cluster]:
        """Ask for nodes, partitions and what is configured."""
        asked = (("scontrol", "show", "node", "--oneliner"), ("scontrol", "show", "partition", "--oneliner"),
                 ("scontrol", "show", "config"))  # fmt: skip
        return Ask(
            tuple(map(Command, asked)), lambda answers: read.cluster(*(good(answer, "scontrol") for answer in answers))
        )


def _names(jobs: Sequence[Job]) -> list[str]:
    return sorted({f"{job.id}_{job.index}" if job.index else job.id for job in jobs})


def submitted(answers: Sequence[Answer]) -> Submitted:
    """Read what sbatch said. `--parsable` prints `ID` or `ID;CLUSTER`."""
    return taken(answers, _RECEIPT, away=_AWAY, unsure=_UNSURE, noise=r"sbatch: (error: )?")


def _status(answers: Sequence[Answer]) -> list[Job]:
    text = good(answers[0], "squeue")
    try:
        return read.squeue(text)
    except ValueError as error:
        raise Unavailable(f"squeue --json cannot be understood: {error}", code="batch-system") from None


def _history(answers: Sequence[Answer]) -> list[Job]:
    """Read sacct; a cluster that keeps no accounts knows nothing."""
    kept = [answer for answer in answers if "storage is disabled" not in answer.err]
    return read.sacct([good(answer, "sacct") for answer in kept], _SACCT)


def _jobcomp(answers: Sequence[Answer]) -> list[Job]:
    """grep ends with 1 where it finds nothing."""
    return [job for answer in answers if answer.code != 1 for job in read.jobcomp(good(answer, "grep"))]


def _time(seconds: int) -> str:
    """Return a time limit; Slurm counts whole minutes, and rounds up."""
    minutes = max(1, -(-seconds // 60))
    return f"{minutes // 1440}-{minutes % 1440 // 60:02}:{minutes % 60:02}:00"


def _escaped(path: str) -> str:
    """Return a path in which sbatch finds nothing to replace."""
    return path.replace("\\", "\\\\").replace("%", "%%")


def _quoted(value: str) -> str:
    """Return a value as sbatch reads it in a script; a newline would end the line."""
    value = " ".join(value.splitlines())
    if re.fullmatch(r"[\w.,:/%&+=-]+", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
