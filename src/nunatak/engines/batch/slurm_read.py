"""Read what Slurm prints: squeue's JSON of 22.05 to 24.11, sacct, jobcomp/filetxt, scontrol. Pure; trusts nothing.

Forms: 22.05 (openapi v0.0.38) has `job_state: "RUNNING"` and plain numbers; 24.11 (data_parser v0.0.42) has lists of states
and numbers as `{"set": true, "infinite": false, "number": 1}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from nunatak.engines.batch.model import Cause, Cluster, Job, Node, Queue, Stage

MIB = 1024 * 1024
_MARK = re.compile(r"\bnunatak (\w+) lease \w+")
_WAITING = {
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
    "POWER_UP_NODE",
}
_RUNNING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT", "RESIZING", "SIGNALING"}
_CAUSES = {
    "COMPLETED": Cause.DONE, "FAILED": Cause.FAILED, "CANCELLED": Cause.CANCELLED, "REVOKED": Cause.CANCELLED,
    "TIMEOUT": Cause.TIME, "DEADLINE": Cause.TIME, "PREEMPTED": Cause.PREEMPTED, "NODE_FAIL": Cause.NODE,
    "BOOT_FAIL": Cause.NODE, "LAUNCH_FAILED": Cause.NODE, "OUT_OF_MEMORY": Cause.MEMORY,
}  # fmt: skip
_NEVER = {"BadConstraints", "PartitionTimeLimit", "PartitionNodeLimit", "InvalidAccount", "InvalidQOS", "AccountNotAllowed",
          "QOSNotAllowed", "DependencyNeverSatisfied"}  # fmt: skip
"""Reasons of pending jobs which will not pass by themselves."""
_UNUSABLE = re.compile(
    r"DOWN|DRAIN|FAIL|MAINT|NOT_RESPONDING|NO_RESPOND|POWERED_OFF|FUTURE|UNKNOWN|INVAL|REBOOT|PLANNED_DOWN|\*"
)
_MOST_ARRAY = 100_000
"""Elements of one array that are believed."""


def squeue(text: str) -> list[Job]:
    """Read `squeue --json`; jobs that make no sense are left out. Raises `ValueError` if it is not what a squeue knows.

    Slurm 22.05 ends with 0 and no jobs when its controller is away: only `errors` says so.
    """
    try:
        plain = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("jobs"), list):
        raise ValueError("it has no jobs")
    if plain.get("errors"):
        raise ValueError(f"it says {json.dumps(plain['errors'])[:300]}")
    return [job for item in plain["jobs"] if isinstance(item, dict) for job in _job(item)]


def sacct(texts: Sequence[str], fields: Sequence[str]) -> list[Job]:
    """Read `sacct --parsable2 --noheader --allocations` with these fields; where a job has several lines the last counts."""
    found = {}
    for text in texts:
        for line in text.splitlines():
            row = dict(zip(fields, line.split("|"), strict=False))
            identity = _identity(row.get("JobID", ""))
            state, _, by = row.get("State", "").partition(" ")
            if identity and state:
                job = _ended(*identity, state, row.get("Reason", "") if not by else f"cancelled {by}", row.get("NodeList", ""),
                             row.get("Start", ""), row.get("End", ""), row.get("ExitCode", ""))  # fmt: skip
                found[identity] = job
    return list(found.values())


def jobcomp(text: str) -> list[Job]:
    """Read lines of jobcomp/filetxt; where a job has several lines (a lost node, then another try) the last counts."""
    found = {}
    for line in text.splitlines():
        row = _pairs(line)
        array, task = row.get("ArrayJobId", ""), row.get("ArrayTaskId", "")
        identity = _identity(f"{array}_{task}" if array and task.isdigit() else row.get("JobId", ""))
        if identity and row.get("JobState"):
            found[identity] = _ended(*identity, row["JobState"], "", row.get("NodeList", ""), row.get("StartTime", ""),
                                     row.get("EndTime", ""), row.get("ExitCode", ""))  # fmt: skip
    return list(found.values())


def cluster(nodes: str, partitions: str, config: str) -> Cluster:
    """Read `scontrol show node|partition --oneliner` and `scontrol show config`."""
    settings = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in config.splitlines())}
    history = ""
    if not settings.get("AccountingStorageType", "none").endswith(("none", "(null)")):
        history = "sacct"
    elif settings.get("JobCompType", "").endswith("filetxt"):
        history = settings.get("JobCompLoc", "")
    return Cluster(
        nodes=tuple(node for line in nodes.splitlines() if (node := _node(_pairs(line)))),
        queues=tuple(queue for line in partitions.splitlines() if (queue := _queue(_pairs(line)))),
        array=max(1, min(1000, _int(settings.get("MaxArraySize", ""), 1001) - 1)),
        history=history,
    )


# ---- squeue


def _job(item: Mapping[str, Any]) -> Iterator[Job]:
    """Yield the jobs of one entry: an array that waits is one entry for all its elements."""
    states = _states(item.get("job_state"))
    reason = _text(item.get("state_reason"))
    array = _number(item.get("array_job_id"))
    base = str(array or _number(item.get("job_id")) or "")
    if not base or not states:
        return
    stage, state, cause = _judge(states, reason, _number(item.get("restart_cnt")) or 0)
    code, signal = _exit(item.get("exit_code"))
    host = _text(item.get("batch_host")) or _text(item.get("nodes"))
    mark = _MARK.search(_text(item.get("comment")))
    began = float(_number(item.get("start_time")) or 0) if stage is not Stage.WAITING and host else 0.0
    text = " ".join(part for part in (reason if reason != "None" else "", _text(item.get("state_description"))) if part)
    for index in _indices(item, bool(array)):
        yield Job(
            base, index, stage, state, cause, text, host,
            began=began,
            ended=float(_number(item.get("end_time")) or 0) if stage is Stage.ENDED else 0.0,
            exit=code if stage is Stage.ENDED else None,
            signal=signal if stage is Stage.ENDED else None,
            mark=mark[1] if mark else "",
            ran=began > 0,
        )  # fmt: skip


def _judge(states: Sequence[str], reason: str, restarts: int) -> tuple[Stage, str, Cause]:
    """Make one of all the words for a state: what goes on counts more than how it will end."""
    if any(state in _RUNNING for state in states):
        return Stage.RUNNING, next(state for state in states if state in _RUNNING), Cause.UNKNOWN
    over = [state for state in states if state in _CAUSES]
    if over:
        refused = over[0] == "FAILED" and reason in _NEVER
        return Stage.ENDED, over[0], Cause.REFUSED if refused else _CAUSES[over[0]]
    waiting = next((state for state in states if state in _WAITING), "PENDING")
    if restarts or waiting.startswith("REQUEUE"):
        return Stage.WAITING, waiting, Cause.REQUEUED
    return Stage.WAITING, waiting, Cause.REFUSED if reason in _NEVER else Cause.UNKNOWN


def _states(value: Any) -> list[str]:
    words = value if isinstance(value, list) else [value]
    return [word.upper() for word in words if isinstance(word, str) and word]


def _indices(item: Mapping[str, Any], array: bool) -> Iterable[int]:
    task = _number(item.get("array_task_id"))
    several = _text(item.get("array_task_string"))
    if task is not None and not several:
        return () if array and task < 0 else (task if array else 0,)
    return _ranges(several) if several else (0,)


def _ranges(text: str) -> Iterator[int]:
    """Read `1-4,7,9-15:2%10`."""
    left = _MOST_ARRAY
    for part in text.partition("%")[0].split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?\s*", part)
        if found:
            first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
            for index in range(first, last + 1, step or 1):
                left -= 1
                if left < 0:
                    return
                yield index


def _exit(value: Any) -> tuple[int | None, int | None]:
    """Return exit code and signal: of a wait status (22.05), or of `return_code` and `signal` (24.11)."""
    if isinstance(value, dict):
        code = _number(value.get("return_code"))
        signal = value.get("signal")
        number = _number(signal.get("id")) if isinstance(signal, dict) else None
        return code, number or None
    status = _number(value)
    if status is None or status < 0:
        return None, None
    return (status >> 8) & 0xFF, (status & 0x7F) or None


def _number(value: Any) -> int | None:
    """Return a whole number, plain or as `{set, infinite, number}`; None where there is none."""
    if isinstance(value, dict):
        if value.get("infinite") or not value.get("set", True):
            return None
        value = value.get("number")
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        return None
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# ---- sacct, jobcomp


def _identity(text: str) -> tuple[str, int] | None:
    found = re.fullmatch(r"(\d{1,12})(?:_(\d{1,9}))?", text)
    return (found[1], int(found[2] or 0)) if found else None


def _ended(id_: str, index: int, state: str, reason: str, host: str, start: str, end: str, exit_code: str) -> Job:
    word = state.upper()
    stage, name, cause = _judge([word], reason, 0)
    code, _, signal = exit_code.partition(":")
    none = host in ("", "(null)", "None assigned", "None")
    return Job(
        id_, index, stage, name, cause, reason if reason != "None" else "", "" if none else host,
        began=0.0 if none else _moment(start),
        ended=_moment(end),
        exit=_int(code, -1) if code.isdigit() else None,
        signal=_int(signal, 0) or None,
        ran=not none,
    )  # fmt: skip


def _moment(text: str) -> float:
    """Return a local time like 2026-11-28T06:22:48 as seconds since the epoch; Slurm prints that of its own machine."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


# ---- scontrol


def _pairs(line: str) -> dict[str, str]:
    """Read `Key=value Key=value`; a value may hold spaces."""
    found = re.split(r"(?:^|\s)([A-Z][\w:/]*)=", line)
    return {key: value.strip() for key, value in zip(found[1::2], found[2::2], strict=False)}


def _node(row: Mapping[str, str]) -> Node | None:
    if not row.get("NodeName"):
        return None
    arch, system = row.get("Arch", ""), row.get("OS", "").partition(" ")[0].lower()
    return Node(
        name=row["NodeName"],
        cpu=_int(row.get("CPUEfctv") or row.get("CPUTot", ""), 0),
        memory=max(0, _int(row.get("RealMemory", ""), 0) - _int(row.get("MemSpecLimit", ""), 0)) * MIB,
        gpu=_gpus(row.get("Gres", "")),
        features=_list(row.get("ActiveFeatures") or row.get("AvailableFeatures", "")),
        platform=f"{system}/{arch}" if arch and system else "",
        queues=_list(row.get("Partitions", "")),
        cpu_taken=_int(row.get("CPUAlloc", ""), 0),
        memory_taken=_int(row.get("AllocMem", ""), 0) * MIB,
        gpu_taken=_gpus(row.get("GresUsed", "")) or _tres_gpus(row.get("AllocTRES", "")),
        usable=not _UNUSABLE.search(row.get("State", "")),
    )


def _queue(row: Mapping[str, str]) -> Queue | None:
    if not row.get("PartitionName"):
        return None
    everybody = all(row.get(key, "ALL") == "ALL" for key in ("AllowGroups", "AllowAccounts", "AllowQos"))
    closed = row.get("Hidden") == "YES" or row.get("RootOnly") == "YES" or row.get("ReqResv") == "YES"
    return Queue(
        name=row["PartitionName"],
        time=_limit(row.get("MaxTime", "")),
        memory=_int(row.get("MaxMemPerNode", ""), 0) * MIB,
        cpu=_int(row.get("MaxCPUsPerNode", ""), 0),
        default=row.get("Default") == "YES",
        open=everybody and not closed and row.get("State", "UP") == "UP",
    )


def _limit(text: str) -> int:
    """Return a limit like `1-02:00:00`, `30:00` or `UNLIMITED` (0) in seconds."""
    found = re.fullmatch(r"(?:(\d{1,6})-)?(?:(\d{1,6}):)?(\d{1,6}):(\d{1,6})", text)
    if not found:
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _gpus(text: str) -> int:
    """Count the GPUs of `gpu:a100:2(S:0-1),gpu:v100:1,shard:8`."""
    plain = re.sub(r"\([^)]*\)", "", text)
    return sum(int(found) for found in re.findall(r"(?:^|,)gpu(?::[\w.-]*[A-Za-z_.-][\w.-]*)?:(\d{1,6})", plain))


def _tres_gpus(text: str) -> int:
    found = re.search(r"(?:^|,)gres/gpu=(\d{1,6})", text)
    return int(found[1]) if found else 0


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.sub(r"\([^)]*\)", "", text).split(",") if part)


def _int(text: str, otherwise: int) -> int:
    found = re.match(r"\d{1,15}", text)
    return int(found[0]) if found else otherwise
