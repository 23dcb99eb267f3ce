"""The catalogue: files that could not be brought in or out."""

from __future__ import annotations

from collections.abc import Mapping

from nunatak.tasks.verdicts.entries import RETRY, SEE, Entry
from nunatak.tasks.verdicts.kinds import Kind

K = Kind
_ALL = ("nunatak retry {dataset}",)

FILES: Mapping[Kind, Entry] = {
    K.INPUT_MISSING: Entry(
        "NUN-INPUT-MISSING",
        "an input is not there",
        "The storage says that there is no such file, or the node does not see the directory it is in.",
        "Tries on another node, in case only this one does not see it; when it is missing there, too, the "
        "task has failed.",
        ("nunatak why {task}", *RETRY),
    ),
    K.INPUT_TRUNCATED: Entry(
        "NUN-INPUT-TRUNCATED",
        "an input is truncated",
        "The file is shorter than it was when it was recorded, or the program found its end missing (`File is"
        " not a zip file`, `unexpected end of file`, `truncated file`): a copy was broken off, or a disk was "
        "full when it was written.",
        "Does not try again: the file would be the same. Over http, where the way may be to blame, it is read"
        " once more on another node.",
        RETRY,
    ),
    K.INPUT_CHANGED: Entry(
        "NUN-INPUT-CHANGED",
        "an input is not what it was",
        "Size or checksum differ from those recorded when the dataset was submitted or the file was made.",
        "Does not try again, and does not compute with it: the result would belong to other data than the records say.",
        (*RETRY, "nunatak submit RECIPE"),
    ),
    K.STAGE_IN: Entry(
        "NUN-STAGE-IN",
        "an input could not be read",
        "The file may not be read by the jobs, is no regular file, or its URL cannot be understood.",
        "Tries on another node; when it ends the same way there, the task has failed.",
        ("nunatak why {task}", *RETRY),
    ),
    K.STORAGE_DOWN: Entry(
        "NUN-STORAGE-DOWN",
        "the storage does not answer",
        "Connections are refused, time out or break off, or the server answers with an error of its own "
        "(5xx). The worker had already tried five times.",
        "Waits and tries again, free of charge, each pause longer than the one before, up to an hour; gives "
        "up after twenty tries.",
        _ALL,
    ),
    K.STORAGE_FULL: Entry(
        "NUN-STORAGE-FULL",
        "the storage has no room",
        "An output could not be stored: the disk is full or a quota is used up.",
        "Tries once more elsewhere. Then holds the whole dataset, since every task would compute and lose its output.",
        ("nunatak why {dataset}", *_ALL),
    ),
    K.STORAGE_DENIED: Entry(
        "NUN-STORAGE-DENIED",
        "the storage may not be written",
        "Permission was denied (401, 403, `Permission denied`, a read-only file system): a token has expired,"
        " or the directory belongs to others.",
        "Tries once more elsewhere. Then holds the whole dataset, since every task would compute and lose its output.",
        ("nunatak why {dataset}", *_ALL),
    ),
    K.STAGE_OUT: Entry(
        "NUN-STAGE-OUT",
        "an output could not be stored",
        "The storage took the file and gave back another, or refused it for a reason that is not known. "
        "Nothing was published.",
        "Tries again elsewhere; when it ends the same way there, the task has failed.",
        ("nunatak why {task}", *RETRY),
    ),
    K.OUTPUT_MISSING: Entry(
        "NUN-OUTPUT",
        "a promised output is missing",
        "Every command ended well, and a file under `outputs` is not there: its name differs, it lies in "
        "another directory, or an error before was passed over (a script without `set -e`). The message lists"
        " the files that are there.",
        "Tries again on another node; when it is missing there, too, the task has failed. If the log names an"
        " error, that is shown.",
        SEE,
    ),
}
