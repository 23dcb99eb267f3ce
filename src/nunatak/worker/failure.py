"""How an attempt ends badly: a reason that the server knows, and a sentence for a person."""

VERSION = "1"
"""Of the contract in docs/reference/worker.md; reported in every outcome."""

TYPE_CHECKING = False  # the module `typing` is slow to import; a type checker takes this name for true
if TYPE_CHECKING:
    from typing import Optional

REASONS = {
    "ok",
    "exit",
    "signal",
    "memory",
    "disk",
    "time",
    "stage-in",
    "setup",
    "command",
    "output",
    "stage-out",
    "terminated",
    "lost",
    "unbegun",
    "invalid",
    "internal",
}
"""The reasons a worker gives, as in the server's table of reasons."""


class Failure(Exception):  # noqa: N818 - the name says what happened
    """Ends the attempt with `reason`; `exit` or `signal` when a command ended so."""

    def __init__(
        self,
        reason: str,
        message: str,
        exit: "Optional[int]" = None,  # noqa: A002
        signal: "Optional[int]" = None,
    ) -> None:
        """Keep what the outcome will say."""
        super().__init__(message)
        assert reason in REASONS, reason
        self.reason = reason
        self.message = message
        self.exit = exit
        self.signal = signal


def amount(count: float) -> str:
    """Return bytes as people say it: `1.5 GB`."""
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return "{:.3g} {}".format(count / size, unit)
    return "{:.0f} B".format(count)
