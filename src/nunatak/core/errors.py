"""One small tree of errors, by what the caller can do about them.

NunatakError
  Invalid      what was asked cannot be right: change it          exit 2, HTTP 422
  NotFound     there is no such thing                             exit 3, HTTP 404
  Conflict     it cannot be done in the present state             exit 4, HTTP 409
  Refused      you may not, or not without a token                exit 5, HTTP 403 / 401
  Unavailable  it may go through later                            exit 6, HTTP 503
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a text a user wrote, with its place.

    `line` and `column` count from 1 (0: no place in the text); `path` is the dotted key, as `tasks.generate.needs.memory`.
    """

    message: str
    path: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """One line, as a compiler prints it: `muons.yaml:14:9 tasks.a.needs: message (hint)`."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        head = " ".join(part for part in (place, self.path) if part)
        tail = f" ({self.hint})" if self.hint else ""
        return f"{head}: {self.message}{tail}" if head else f"{self.message}{tail}"


class NunatakError(Exception):
    """The root: a stable `code`, a sentence, a hint on what to do next, and data for programs."""

    kind: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, code: str = "", hint: str = "", problems: Sequence[Problem] = (), **data: Any
    ) -> None:
        """Keep the sentence, and what edges need to translate it."""
        super().__init__(message)
        self.message = message
        self.code = code or self.kind
        self.hint = hint
        self.problems = tuple(problems)
        self.data = data

    def to_plain(self) -> dict[str, Any]:
        """Return the fields of an RFC 9457 problem document (without the HTTP specifics)."""
        plain: dict[str, Any] = {"code": self.code, "detail": self.message}
        if self.hint:
            plain["hint"] = self.hint
        if self.problems:
            plain["problems"] = [asdict(problem) for problem in self.problems]
        if self.data:
            plain["data"] = self.data
        return plain


class Invalid(NunatakError):  # noqa: N818 - the name says what happened; the root carries "Error"
    """What was asked cannot be right; the caller has to change it."""

    kind = "invalid"
    status = 422
    exit_code = 2


class NotFound(NunatakError):  # noqa: N818
    """There is no such thing, or the caller may not know of it."""

    kind = "not-found"
    status = 404
    exit_code = 3


class Conflict(NunatakError):  # noqa: N818
    """It cannot be done in the present state."""

    kind = "conflict"
    status = 409
    exit_code = 4


class Refused(NunatakError):  # noqa: N818
    """The caller is unknown or may not do this."""

    kind = "refused"
    status = 403
    exit_code = 5


class Unavailable(NunatakError):  # noqa: N818
    """It may go through later; nothing was changed."""

    kind = "unavailable"
    status = 503
    exit_code = 6


KINDS: tuple[type[NunatakError], ...] = (Invalid, NotFound, Conflict, Refused, Unavailable)
