"""The catalogue: what is wrong with a node, or with what is installed there."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.tasks.verdicts.entries import RETRY, SEE, Entry
from nunatak.tasks.verdicts.kinds import Kind

K = Kind
_ELSEWHERE = (
    "Tries on another node, free of charge, and counts it against this one: a node that stands out gets no more work. "
    "If three tries end so, or every node there is, it is not the nodes: "
)

NODES: Mapping[Kind, Entry] = {
    K.WRONG_ARCHITECTURE: Entry(
        "NUN-ARCH",
        "a program is built for another kind of machine",
        "The kernel could not execute a program (`Exec format error`): it is built for another processor or "
        "operating system than the node's, for example for aarch64 where the node is x86_64. Container images"
        " have an architecture, too.",
        _ELSEWHERE + "then the task has failed.",
        SEE,
    ),
    K.OLD_PROCESSOR: Entry(
        "NUN-CPU",
        "the processor lacks an instruction",
        "The program died of SIGILL (`Illegal instruction`): it was built for newer processors than the node "
        "has, often with `-march=native`, or for AVX2 or AVX-512.",
        _ELSEWHERE + "then the task has failed.",
        SEE,
    ),
    K.COMMAND_NOT_FOUND: Entry(
        "NUN-NO-COMMAND",
        "a command is not there",
        "The shell or the worker found no program of that name on the node's `PATH`, or the interpreter in "
        "the first line of a script is not on the node.",
        _ELSEWHERE + "then it becomes NUN-SOFTWARE.",
        SEE,
    ),
    K.MISSING_LIBRARY: Entry(
        "NUN-NO-LIBRARY",
        "a library or Python module is missing",
        "A program needs a shared library, a version of one (`GLIBC_2.34`) or a Python module that is not on the node.",
        _ELSEWHERE + "then it becomes NUN-SOFTWARE.",
        SEE,
    ),
    K.NOT_MOUNTED: Entry(
        "NUN-NOT-MOUNTED",
        "a file system is not mounted",
        "A path below `/cvmfs` or on a shared file system is not there or does not answer: `Transport "
        "endpoint is not connected`, `Stale file handle`, or no such file where others have it.",
        _ELSEWHERE + "then it becomes NUN-SOFTWARE.",
        SEE,
    ),
    K.SCRATCH_FULL: Entry(
        "NUN-SCRATCH",
        "the disk of the node is full",
        "There was no space left on the node's disk, though the task had used less than it had asked for. "
        "Others filled it.",
        _ELSEWHERE + "then the task has failed.",
        RETRY,
    ),
    K.BROKEN_GPU: Entry(
        "NUN-GPU",
        "the GPU does not work",
        "The driver reported a fault (Xid, ECC, `fallen off the bus`), or the task was given a GPU that it "
        "could not use: none found, busy, or a driver that does not match.",
        _ELSEWHERE + "then the task has failed: the program may need another driver than the sites have.",
        SEE,
    ),
    K.NO_CONTAINER: Entry(
        "NUN-CONTAINER",
        "containers do not work there",
        "The task needs a container image, and the node has neither apptainer nor singularity, or does not "
        "allow user namespaces or FUSE.",
        _ELSEWHERE + "then the task has failed.",
        SEE,
    ),
    K.NO_NETWORK: Entry(
        "NUN-NETWORK",
        "the node cannot reach the network",
        "A name could not be resolved or a host not be reached. Many nodes have no way to the internet; a "
        "program that downloads something when it starts fails there.",
        _ELSEWHERE + "then the task has failed.",
        SEE,
    ),
    K.NODE_FAULT: Entry(
        "NUN-NODE",
        "it fails on this node and works elsewhere",
        "Nothing in the log names the cause, but this node fails far more often than the others with the same"
        " tasks, or ran out of memory as a whole.",
        _ELSEWHERE + "then the task has failed.",
        ("nunatak why {task}", *RETRY),
    ),
    K.SOFTWARE_MISSING: Entry(
        "NUN-SOFTWARE",
        "software is missing everywhere",
        "A command, library, module or mounted path that the task needs was missing on every node it was "
        "tried on. So it is not the nodes: the name is wrong, or the recipe has to bring it along.",
        "Tried on several nodes, free of charge, and stopped. Other tasks of the dataset stop after twenty "
        "have ended so.",
        ("nunatak why {task}", "nunatak try {task}"),
    ),
}
