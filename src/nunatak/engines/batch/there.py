"""Where sandboxes are as the nodes see them: the engine's own directory, or one that is reached over a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from nunatak.core.work import Outcome, TaskSpec
from nunatak.engines.batch.attempts import Attempt, Worker
from nunatak.engines.batch.submissions import Submission
from nunatak.engines.outcomes import held_to_checkpoint, held_to_promise


class There(Protocol):
    """What the engine does about files that jobs read and write."""

    live: bool  # what a job does to its files is seen here at once

    def bring(self, submission: Submission, workers: Sequence[Worker]) -> None:
        """See to it that all the jobs of a submission need is there. Raises `Unavailable` or `OSError`."""

    def withdraw(self, submissions: Sequence[Submission]) -> None:
        """See to it that jobs of these which start from now on do nothing. Raises `Unavailable` or `OSError`."""

    def tell(self, attempts: Sequence[Attempt]) -> None:
        """Put the `stop.json` of attempts where their worker looks for it. Raises `Unavailable`."""

    def fetch(self, workers: Sequence[Worker]) -> None:
        """Have what workers left whose jobs are over. Raises `Unavailable`."""

    def follow(self, workers: Sequence[Worker]) -> None:
        """Have the marks of those members of running series that began, and what those left that are over.

        Raises `Unavailable`.
        """

    def listen(self, attempts: Sequence[Attempt]) -> None:
        """Have what running attempts added to their logs. Raises `Unavailable` or `OSError`."""

    def seen(self, worker: Worker) -> bool:
        """Tell whether what a worker left was looked for since its end."""

    def home(self, attempt: Attempt, spec: TaskSpec, outcome: Outcome) -> Outcome:
        """Return a worker's outcome as we know its files, held to what was asked for; they are where they belong."""

    def forget(self, places: Sequence[str]) -> None:
        """Have what is at these places, relative to the engine's directory, deleted there by and by."""


Where = Callable[[Path, str], "There"]
"""Makes it for the engine in a directory, whose jobs carry a tag."""


class Shared:
    """A file system that the nodes see as well: everything is there already."""

    live = True

    def bring(self, submission: Submission, workers: Sequence[Worker]) -> None:
        """Nothing has to be brought."""

    def withdraw(self, submissions: Sequence[Submission]) -> None:
        """The records are what the jobs look at."""

    def tell(self, attempts: Sequence[Attempt]) -> None:
        """Workers look into the sandboxes themselves."""

    def fetch(self, workers: Sequence[Worker]) -> None:
        """Nothing has to be fetched."""

    def follow(self, workers: Sequence[Worker]) -> None:
        """Nothing has to be fetched."""

    def listen(self, attempts: Sequence[Attempt]) -> None:
        """Logs are read where they are written."""

    def seen(self, worker: Worker) -> bool:  # noqa: ARG002
        """What is to be seen is seen."""
        return True

    def home(self, attempt: Attempt, spec: TaskSpec, outcome: Outcome) -> Outcome:  # noqa: ARG002
        """Return an outcome, held to what was asked for."""
        return held_to_checkpoint(held_to_promise(outcome, spec.outputs), spec.checkpoint)

    def forget(self, places: Sequence[str]) -> None:
        """What is deleted here is deleted there."""


def shared(_root: Path, _tag: str) -> There:
    """Return the file system that nodes and engine share."""
    return Shared()
