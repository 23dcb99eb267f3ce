"""The seam between the engine and a batch system: build commands, parse text, nothing else. All of it is pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from nunatak.core.errors import Unavailable
from nunatak.engines.batch.model import Cluster, Job, Order, Submitted

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a batch system; `text` is its standard input."""

    argv: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said. `lost`: it is not known what it did, because it took too long or the connection broke."""

    code: int
    out: str = ""
    err: str = ""
    lost: bool = False

    @property
    def words(self) -> str:
        """Return its complaint in one line, for a person."""
        said = self.err.strip() or self.out.strip() or f"it ended with exit code {self.code}"
        return " ".join(said.split())[-500:]


@dataclass(frozen=True, slots=True)
class Ask(Generic[T]):
    """Commands to run, and how to read their answers, one for each. Reading raises `Unavailable` if they say nothing."""

    commands: tuple[Command, ...]
    read: Callable[[Sequence[Answer]], T]


class Dialect(Protocol):
    """One batch system."""

    name: str
    index: str  # shell text that gives the index of a job in its submission, from 1
    series: bool  # it can signal the script of a job alone, which is how one member of a series is ended

    def submit(self, order: Order) -> Ask[Submitted]:
        """Submit; the first command's standard input is the whole script."""

    def status(self, ids: Sequence[str], /) -> Ask[list[Job]]:
        """Tell what the batch system knows of our jobs: at least of the submissions `ids`, and those with our mark."""

    def history(self, ids: Sequence[str], cluster: Cluster, /) -> Ask[list[Job]]:
        """Tell what became of jobs that `status` no longer knows; may have no command."""

    def cancel(self, jobs: Sequence[Job]) -> Ask[None]:
        """End jobs; one with index 0 stands for its whole submission."""

    def skip(self, jobs: Sequence[Job]) -> Ask[None]:
        """Send SIGUSR1 to the scripts of jobs, and to nothing they started; of use where `series` is true."""

    def avoid(self, ids: Sequence[str], nodes: Sequence[str], /) -> Ask[None]:
        """Keep what waits of submissions away from `nodes`, and from no others; may have no command."""

    def cluster(self) -> Ask[Cluster]:
        """Tell what there is."""


def nothing(_answers: Sequence[Answer]) -> None:
    """Read an answer that does not matter."""


def good(answer: Answer, command: str) -> str:
    """Return what a command printed. Raises `Unavailable` if it failed."""
    if answer.code or answer.lost:
        raise Unavailable(f"{command}: {answer.words}", code="batch-system", hint="is the batch system up?")
    return answer.out


def taken(
    answers: Sequence[Answer],
    receipt: re.Pattern[str],
    *,
    away: re.Pattern[str],
    unsure: re.Pattern[str],
    noise: str = "",
) -> Submitted:
    """Read the answer to one submission: `receipt` has the id as its first group.

    `away` and `unsure` are what it says when nothing was submitted but may be later, and when that is not known; `noise`
    is what stands before its complaints.
    """
    (answer,) = answers
    found = receipt.search(answer.out)
    if answer.code == 0 and found and not answer.lost:
        return Submitted(id=found[1])
    words = re.sub(noise, "", answer.words) if noise else answer.words
    if answer.lost or answer.code == 0 or unsure.search(words):
        return Submitted(unsure=words)
    return Submitted(away=words) if answer.code == 127 or away.search(words) else Submitted(refused=words)


def chunks(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Cut a sequence into parts of at most `most`."""
    return [items[start : start + most] for start in range(0, len(items), most)]
