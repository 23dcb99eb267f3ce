"""What the engine remembers of its submissions, on the shared file system: written before the batch system is asked.

ROOT/.submissions/MARK/
    tasks      the sandboxes, one a line; a job without it does nothing
    script     as it was submitted
    job        the batch system's id, once it is known
ROOT/.submissions/.withdrawn/MARK/      not known to be out there; must not start any more
ROOT/.talk/MARK.INDEX.out               what each job says beside its logs; this directory is always there, since a
                                        batch system takes a job that cannot write for a fault of the node
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TALK = 65536
"""Bytes that are read of the end of what a job says."""


@dataclass(slots=True)
class Submission:
    """One call of the batch system; `id` is empty until it is known to have been made."""

    mark: str
    places: tuple[str, ...]
    id: str = ""
    withdrawn: bool = False
    left: int = 0  # attempts whose end was not acknowledged yet


class Submissions:
    """All records below one root."""

    def __init__(self, root: Path) -> None:
        """Use, or make, the directory. Raises `OSError`."""
        self.root = root / ".submissions"
        self._withdrawn = self.root / ".withdrawn"
        self._talk = root / ".talk"
        self._withdrawn.mkdir(parents=True, exist_ok=True)
        self._talk.mkdir(exist_ok=True)

    def make(self, mark: str, places: Sequence[str], script: str) -> Submission:
        """Record what is about to be submitted. Raises `OSError`, and leaves nothing then."""
        path = self.root / mark
        try:
            path.mkdir()
            (path / "script").write_text(script, "utf-8")
            self._write(path / "tasks", "".join(f"{place}\n" for place in places))
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return Submission(mark, tuple(places))

    def record(self, submission: Submission, job: str) -> None:
        """Record the batch system's id; one that was withdrawn counts again. Raises `OSError`."""
        if submission.withdrawn:
            (self._withdrawn / submission.mark).rename(self.root / submission.mark)
            submission.withdrawn = False
        submission.id = job
        self._write(self.root / submission.mark / "job", job)

    def withdraw(self, submission: Submission) -> None:
        """See to it that jobs of this submission which start from now on do nothing. Raises `OSError`."""
        if not submission.withdrawn:
            (self.root / submission.mark).rename(self._withdrawn / submission.mark)
            submission.withdrawn = True

    def drop(self, submission: Submission) -> None:
        """Forget a submission."""
        place = self._withdrawn if submission.withdrawn else self.root
        shutil.rmtree(place / submission.mark, ignore_errors=True)
        for index in range(1, len(submission.places) + 1):
            self._talk_of(submission, index).unlink(missing_ok=True)

    def places(self, submission: Submission) -> list[str]:
        """Return where the files of a submission are, relative to the engine's directory."""
        numbers = range(1, len(submission.places) + 1)
        return [f".submissions/{submission.mark}", *(talk_of(submission.mark, index) for index in numbers)]

    def all(self) -> list[Submission]:
        """Return every record; half-made ones were never submitted and are dropped, with what late jobs have said."""
        found = []
        for parent, withdrawn in ((self.root, False), (self._withdrawn, True)):
            for path in sorted(parent.iterdir()):
                if path.name.startswith("."):
                    continue
                places = tuple(_text(path / "tasks").split())
                if places:
                    found.append(Submission(path.name, places, "" if withdrawn else _text(path / "job"), withdrawn))
                else:
                    shutil.rmtree(path, ignore_errors=True)
        known = {submission.mark for submission in found}
        for file in self._talk.iterdir():
            if file.name.partition(".")[0] not in known:
                file.unlink(missing_ok=True)
        return found

    def script(self, submission: Submission) -> str:
        """Return what was submitted; empty if that can no longer be read."""
        return _text((self._withdrawn if submission.withdrawn else self.root) / submission.mark / "script")

    def link_script(self, submission: Submission, sandbox: Path) -> None:
        """Let the sandbox show the script too, for people. Raises `OSError`."""
        target = sandbox / "script"
        target.unlink(missing_ok=True)
        os.link(self.root / submission.mark / "script", target)

    def talk(self, submission: Submission, index: int) -> str:
        """Return the end of what a job said beside its logs."""
        try:
            with self._talk_of(submission, index).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - TALK))
                return file.read(TALK).decode("utf-8", "replace")
        except OSError:
            return ""

    def _talk_of(self, submission: Submission, index: int) -> Path:
        return self._talk.parent / talk_of(submission.mark, index)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        draft = path.with_name(f".{path.name}")
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)


def talk_of(mark: str, index: int) -> str:
    """Return where a job of a submission says what it says beside its logs, relative to the engine's directory."""
    return f".talk/{mark}.{index}.out"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
