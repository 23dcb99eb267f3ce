"""The script of a submission below its head: it picks its attempt or series and becomes the worker. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

WITHDRAWN = 91
"""Exit code of a job whose submission was withdrawn before it started: nothing was tried."""
NOT_THERE = 92
"""Exit code of a job on a node that does not see the engine's directory: nothing was tried."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are, as the nodes see it: the engine's directory, the cache, and the words that start a worker."""

    root: str
    cache: str
    worker: tuple[str, ...]
    setup: str = ""  # lines of shell that come before the worker


def body(place: Place, mark: str, index: str) -> str:
    """Return the script for the submission `mark`; `index` is shell text that gives a line of its list, from 1.

    The list is a file of one sandbox, or of one order of a series, a line. Where it is gone, the submission was withdrawn:
    such a job does nothing.
    """
    setup = f"\n{place.setup.strip()}\n" if place.setup.strip() else ""
    return f"""\
# The lines of a list are the sandboxes of this submission, or orders of series of them; this job takes its own.
here={shlex.quote(place.root)}
list="$here"/.submissions/{mark}/tasks
if [ ! -d "$here" ]; then
    echo "nunatak: there is no directory $here on $(uname -n)" >&2
    exit {NOT_THERE}
fi
mine=$(sed -n "{index}p" "$list")
case "$mine" in
"")
    echo "nunatak: this submission was withdrawn" >&2
    exit {WITHDRAWN}
    ;;
*/series.json) set -- --series "$here/$mine" ;;
*) set -- "$here/$mine" ;;
esac
{setup}
# From here on this job is the worker, which gets every signal that the batch system sends.
exec {shlex.join(place.worker)} "$@" --cache {shlex.quote(place.cache)}
"""


def common(addresses: Sequence[str]) -> str:
    """Return one name for all: an address alone, else the dataset and task they share, and how many there are."""
    if len(addresses) == 1:
        return addresses[0]
    parts = [address.partition("#")[0].split("/") for address in addresses]
    datasets, tasks = {part[0] for part in parts}, {part[-1] for part in parts}
    dataset = datasets.pop() if len(datasets) == 1 else "*"
    return f"{dataset}/{tasks.pop() if len(tasks) == 1 else '*'} x{len(addresses)}"
