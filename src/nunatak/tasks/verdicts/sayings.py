"""What systems and programs say when they fail, as data.

The texts of batch systems are those of HTCondor's starter (vanilla_proc.cpp) and of Slurm's slurmstepd; of the kernel those of
mm/oom_kill.c; of the others those they print.
"""

from __future__ import annotations

import re

from nunatak.tasks.verdicts.clues import Clue, Clues
from nunatak.tasks.verdicts.kinds import Kind

K = Kind


def _re(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


SYSTEM = Clues(
    Clue(
        K.OUT_OF_MEMORY,
        ("oom-kill event", "oom_kill event", "out-of-memory handler", "memory cgroup out of memory", "oom-kill:"),
        "the system ended it for using more memory than it may",
    ),
    Clue(K.OVER_TIME, ("due to time limit",), "the batch system ended it at its time limit"),
    Clue(K.EVICTED, ("due to preemption",), "the batch system preempted it"),
    Clue(K.NODE_LOST, ("due to node failure",), "{node} failed"),
)
"""What a system writes into a program's log: believed anywhere in its end."""

BATCH = Clues(
    Clue(K.NODE_FAULT, ("worker node is out of memory",), "{node} itself ran out of memory"),
    Clue(
        K.OUT_OF_MEMORY,
        ("gone over memory limit", "gone over cgroup memory limit", "encountered an out-of-memory event",
         "exceeded memory limit", "exceeded job memory limit", "exceeded step memory limit", "memory usage exceed",
         "out_of_memory", "outofmemory", "oomkilled", "out of memory: kill", "exceeded its memory"),
        "the batch system ended it for using more memory than it asked for",
    ),
    Clue(
        K.OVER_TIME,
        ("exceeded allowed execute duration", "exceeded allowed job duration", "job has exceeded its wall",
         "walltime exceeded", "wall time exceeded", "state timeout", "slurm timeout", "exceeded time limit"),
        "the batch system ended it at its time limit",
    ),
    Clue(
        K.OVER_DISK,
        ("disk usage exceed", "exceeded its disk", "exceeded request_disk", "exceeded allocated disk", "over its disk"),
        "the batch system ended it for using more disk than it asked for",
    ),
    Clue(K.EVICTED, ("preempted",), "it was preempted"),
    Clue(K.EVICTED, ("was evicted", "job was vacated"), "it was evicted from {node}"),
    Clue(
        K.NODE_LOST,
        ("node_fail", "node fail", "boot_fail", "lost connection to", "disconnected and could not reconnect",
         "machine went away", "slot went away"),
        "{node} was lost",
    ),
    Clue(K.NO_SITE, ("can never run here", "requested node configuration is not available"), "no place for it there"),
)  # fmt: skip
"""What batch systems and engines say of an attempt; looked for in their own words only, as a program may use them too."""

_LIBRARY = _re(r"(?:^|[\s:'\"])([^\s:'\"]+): cannot open shared|cannot run ([^\s:]+): its loader")
_VERSION = _re(r"[`'‘]((?:GLIBC|GLIBCXX|CXXABI)_[\w.]+)['’] not found")
_MODULE = _re(r"No module named ['\"]?([\w.]+)")
_ARCH = _re(
    r"exec format error: (.+?, this node is \S+)|([^\s:'\"]+): (?:cannot execute|exec format)|exec format error: ['\"]?([^\s'\"]+)"
)
_COMMAND = _re(
    r"command not found: (\S+)|([^\s:`'\"]+): command not found|\d+: ([^\s:]+): not found"
    r"|env: [`'\"‘]?([^\s'\"’]+)[’'\"]?: No such|executable file not found[^\n]*?\"([^\"]+)\"|\"([^\"]+)\": executable file"
)
_MOUNT = _re(r"(/cvmfs/[\w.-]+)|['\"]?(/[\w.+-]+(?:/[\w.+-]+)?)[^\s:]*['\"]?: (?:transport|stale|too many levels)")
_XID = _re(r"(xid[^\n,]{0,60})")
_HOST = _re(r"(?:host(?:name)?|resolve|connect to|https?://)[ :'\"=(]*([\w-]+(?:\.[\w-]+)+)")

SPACE = ("no space left on device", "errno 28", "enospc")
"""A disk is full."""
QUOTA = ("disk quota exceeded", "quota exceeded", "over quota", "errno 122")
"""A quota is used up."""

PROGRAM = Clues(
    Clue(K.STORAGE_FULL, QUOTA, "a quota is used up where it writes"),
    Clue(K.SCRATCH_FULL, SPACE, "the disk{there} is full"),
    Clue(
        K.BROKEN_GPU,
        ("nvrm: xid", "nvidia-smi has failed", "couldn't communicate with the nvidia driver", "fallen off the bus",
         "uncorrectable ecc", "driver/library version mismatch", "no cuda-capable device", "cudaerrornodevice",
         "devices are busy or unavailable", "cuda_error_no_device", "unable to determine the device handle",
         "no devices were found", "cudaerrordevicesunavailable", "cuda_error_unknown", "cudaerrorunknown",
         "cuda driver version is insufficient", "cl_device_not_found", "hiperrornodevice", "no hip gpus", "no cuda gpus"),
        "the GPU{there} does not work ({subject})",
        _XID,
        "the GPU{there} does not work",
    ),
    Clue(
        K.OUT_OF_GPU_MEMORY,
        ("cuda out of memory", "cuda_error_out_of_memory", "cudaerrormemoryallocation", "hip out of memory",
         "resource_exhausted: out of memory", "resource exhausted: oom", "cl_mem_object_allocation_failure",
         "cublas_status_alloc_failed", "cuda error: out of memory", "gpu out of memory", "ran out of gpu memory",
         "hiperroroutofmemory"),
        "the GPU ran out of memory",
    ),
    Clue(
        K.OUT_OF_MEMORY,
        ("memoryerror", "_arraymemoryerror", "bad_alloc", "unable to allocate", "cannot allocate", "out of memory",
         "outofmemoryerror",
         "virtual memory exhausted", "insufficient memory", "failed to allocate", "not enough memory"),
        "it could not get the memory it wanted",
    ),
    Clue(
        K.WRONG_ARCHITECTURE,
        ("exec format error", "cannot execute binary file", "wrong elf class", "incompatible architecture"),
        "a program is built for another kind of machine than {node}: {subject}",
        _ARCH,
        "a program is built for another kind of machine than {node}",
    ),
    Clue(
        K.OLD_PROCESSOR,
        ("illegal instruction", "does not support avx", "sigill", "cpu lacks", "requires avx"),
        "the processor of {node} lacks an instruction that the program uses",
    ),
    Clue(
        K.NOT_MOUNTED,
        ("transport endpoint is not connected", "stale file handle", "stale nfs", "too many levels of symbolic links"),
        "{subject} is not mounted{there}",
        _MOUNT,
        "a file system is not mounted{there}",
    ),
    Clue(
        K.MISSING_LIBRARY,
        ("' not found (required by",),
        "{subject} is missing{there}: the system libraries are too old",
        _VERSION,
        "a version of a system library is missing{there}",
    ),
    Clue(
        K.MISSING_LIBRARY,
        ("error while loading shared libraries", "cannot open shared object file", "its loader is not on this node"),
        "the library {subject} is missing{there}",
        _LIBRARY,
        "a library is missing{there}",
    ),
    Clue(K.MISSING_LIBRARY, ("no module named",), "the Python module {subject} is missing{there}", _MODULE,
         "a Python module is missing{there}"),
    Clue(
        K.NO_CONTAINER,
        ("neither apptainer nor singularity", "failed to create user namespace", "user namespace", "squashfuse", "squashfuse_ll",
         "/dev/fuse", "failed to mount squashfs"),
        "containers do not work{there}",
    ),
    Clue(
        K.INPUT_TRUNCATED,
        ("not a zip file", "end-of-stream marker", "truncated file", "file is truncated",
         "unexpected end of file", "premature end of", "no data left in file", "reading magic string",
         "incomplete or truncated stream", "parquet file size is 0 bytes", "magic bytes not found in footer",
         "has been truncated", "probably not closed, trying to recover", "crc check failed"),
        "the input {subject} is truncated or damaged",
        None,
        "an input is truncated or damaged",
    ),
    Clue(
        K.NO_NETWORK,
        ("name resolution", "name or service not known", "network is unreachable", "could not resolve host",
         "no route to host", "nodename nor servname"),
        "{subject} cannot be reached{there}",
        _HOST,
        "{node} cannot reach the network",
    ),
    Clue(
        K.COMMAND_NOT_FOUND,
        ("command not found", "executable file not found", ": not found", "env: "),
        "the command {subject} is not there{there}",
        _COMMAND,
    ),
    Clue(
        K.SERVICE_DOWN,
        ("connection refused", "connection reset", "connection timed out", "connecttimeout", "read timed out",
         "502 bad gateway", "503 service", "504 gateway", "service unavailable", "too many requests",
         "server closed the connection", "remote end closed connection"),
        "a service that the program talks to did not answer",
    ),
)  # fmt: skip
"""What programs say when they fail; looked for in the lines that matter and in the worker's sentence."""

NO_ROOM = (*SPACE, *QUOTA, "507 insufficient", "answered 413")
DENIED = (
    "permission denied", "answered 401", "answered 403", "errno 13", "access denied", "read-only file system",
    "not authorized", "unauthorized", "forbidden", "authentication failed", "auth failed",
)  # fmt: skip
DOWN = (
    "connection refused", "reset by peer", "timed out", "timeout", "broke off", "broken pipe", "no route to host",
    "name resolution", "name or service not known", "network is unreachable", "unreachable", "answered 5",
    "answered 408", "answered 429", "input/output error", "errno 5]", "remote end closed", "service unavailable",
)  # fmt: skip
"""What storages and file systems say, looked for where files are brought in and out."""
