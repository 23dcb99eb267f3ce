"""The catalogue: what ran out, and what was taken away."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.tasks.verdicts.entries import RETRY, SEE, Entry
from nunatak.tasks.verdicts.kinds import Kind

K = Kind

LIMITS: Mapping[Kind, Entry] = {
    K.OUT_OF_MEMORY: Entry(
        "NUN-OOM",
        "it ran out of memory",
        "The task used more memory than it had asked for. That is concluded from what was measured, from the "
        "words of the kernel, the batch system or the program (`MemoryError`, `std::bad_alloc`, `oom-kill`), "
        "and never from exit code 137 or SIGKILL alone.",
        "Tries again with more: twice what was asked for, or a fifth more than was measured, whichever is "
        "more; what finished tasks of the same name needed counts, too. It stops at the cap under "
        "`retry.memory`, and at the largest slot of any site: then the task is held, and says which of the "
        "two it was.",
        ("nunatak status '{attempt}'", *RETRY),
    ),
    K.OUT_OF_GPU_MEMORY: Entry(
        "NUN-GPU-OOM",
        "the GPU ran out of memory",
        "The program asked the GPU for more memory than it has, or than others have left of it. More memory "
        "for the task does not help.",
        "Tries on another node, as GPUs differ. It is final when the same happens there.",
        SEE,
    ),
    K.OVER_TIME: Entry(
        "NUN-TIME",
        "it ran longer than it had asked for",
        "The wall time under `needs.time` was over, and the worker, the engine or the batch system ended it. "
        "It was computing until then.",
        "Tries again with twice the time, up to the cap under `retry.time` and the longest that any site "
        "allows; beyond that the task is held. A task that kept a checkpoint goes on from it with the same time, free of charge.",
        ("nunatak status '{attempt}'", *RETRY),
    ),
    K.OVER_DISK: Entry(
        "NUN-DISK",
        "it filled the disk that it had asked for",
        "The files in the task's sandbox grew beyond `needs.disk`. (A node whose disk was filled by others is"
        " NUN-SCRATCH.)",
        "Tries again with twice the disk, up to the cap under `retry.disk` and the largest that any site "
        "offers; beyond that the task is held.",
        ("nunatak status '{attempt}'", *RETRY),
    ),
    K.STALLED: Entry(
        "NUN-STALLED",
        "it stood still until its time was over",
        "In all its time it used less than a hundredth of a processor core, and printed nothing for most of "
        "it. Often it waits for a service, a lock, a file system that does not answer, or for input from a "
        "keyboard.",
        "Does not ask for more time, which would be lost as well. Tries on another node, and gives up when it"
        " stands still there, too.",
        SEE,
    ),
    K.EVICTED: Entry(
        "NUN-EVICTED",
        "it was stopped from outside",
        "The resource wanted the slot back: preemption, a shutdown, a pilot at its end. It says nothing about"
        " the task.",
        "Tries again, free of charge: it uses up none of the tries. After twenty such ends in a row of tries "
        "it is given up, as something is wrong with the task's length for that resource.",
        ("nunatak why {task}",),
    ),
    K.NODE_LOST: Entry(
        "NUN-NODE-LOST",
        "the node was lost",
        "The batch system says that the node failed or can no longer be reached.",
        "Tries again, free of charge, up to twenty times.",
        RETRY,
    ),
    K.LOST: Entry(
        "NUN-LOST",
        "it vanished without a word",
        "The attempt ended and left no outcome: the worker was killed together with everything else, or its "
        "report never came.",
        "Tries again, free of charge, up to twenty times. If the memory last measured was at its limit, it is"
        " taken for NUN-OOM instead.",
        RETRY,
    ),
    K.UNBEGUN: Entry(
        "NUN-UNBEGUN",
        "its turn never came",
        "It waited in a series of short tasks for its turn, and the worker of the series was stopped or lost before. Nothing"
        " of it was run.",
        "Gives it to an engine again at once; neither a try nor one of the free ones is used up.",
        ("nunatak why {task}",),
    ),
    K.LEASE_EXPIRED: Entry(
        "NUN-LEASE",
        "its engine was not heard of in time",
        "The engine that had the task was silent for longer than its lease: it was stopped, or cut off from "
        "the server. A report that comes later changes nothing.",
        "Gives the task to another engine, or to the same when it is back; free of charge.",
        ("nunatak status",),
    ),
    K.SUBMIT_FAILED: Entry(
        "NUN-SUBMIT",
        "the engine could not submit it",
        "The batch system refused the submission or did not answer.",
        "Tries again, free of charge, with growing pauses, up to twenty times.",
        ("nunatak why {task}",),
    ),
    K.NO_SITE: Entry(
        "NUN-NO-SITE",
        "no place is large enough",
        "The task asks for more than the resource has: processor cores, memory, disk, time, a GPU or a feature.",
        "Looks for another site. If none of those known offers what it asks for, the task is held.",
        ("nunatak why {task}", "nunatak release {task}"),
    ),
    K.CANCELLED: Entry(
        "NUN-CANCELLED",
        "it was cancelled",
        "Somebody cancelled it, its job or its dataset; `nunatak history` says who, and why.",
        "Ended it. Nothing is tried again.",
        ("nunatak history {dataset}", *RETRY),
    ),
    K.HELD: Entry(
        "NUN-HELD",
        "it was held",
        "Somebody held it, its job or its dataset, or a policy did: for one, when many tasks had failed the same way.",
        "Ended the attempt, and waits until it is released. The attempt uses up no try.",
        ("nunatak why {dataset}", "nunatak release {dataset}"),
    ),
    K.SUPERSEDED: Entry(
        "NUN-SUPERSEDED",
        "it runs again with more jobs",
        "Jobs were added to the dataset while this task, which gathers all of them, was under way.",
        "Ended the attempt; the task runs again when the new jobs are done. It uses up no try.",
    ),
}
