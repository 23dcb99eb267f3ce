"""The values of judging: what an attempt came to (Verdict), what came before (History), what may be done (Policy)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from nunatak.core.work import Shape
from nunatak.tasks.verdicts.kinds import RETRIED, Action, Kind, Whose


class Avoid(NamedTuple):
    """Where the next try should not be made."""

    nodes: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()


NOWHERE = Avoid()


class Past(NamedTuple):
    """An attempt that ended: what was concluded, where it ran, what it had asked for; `shape` None: as it has now."""

    kind: Kind
    signature: str = ""
    node: str = ""
    site: str = ""
    shape: Shape | None = None
    counted: bool = True
    sentence: str = ""


ANY = Shape()


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a task before this attempt's end.

    `tries` counts what used up a try, `free` what did not; `attempts` are the latest ones, oldest first (the last
    twenty are enough), `first` the first that counted, ever. `suspect`: the scoreboard says that this node stands out.
    `asked` is set while we are stopping the task ourselves. `written` is what it would have asked for if nothing had been
    learnt of its name, where that is not `shape`.
    """

    tries: int = 0
    free: int = 0
    shape: Shape = ANY
    node: str = ""  # where this attempt ran, if the outcome does not say
    site: str = ""
    attempts: tuple[Past, ...] = ()
    first: Past | None = None
    suspect: bool = False
    asked: Kind | None = None  # CANCELLED, HELD, SUPERSEDED
    written: Shape | None = None


NEW = History()


class Raise(NamedTuple):
    """How a request grows when it ran out: by `factor`, or to what was measured times `margin` if that is more.

    `most` is the cap in bytes or seconds (0: what the sites offer). A factor of 1 never raises.
    """

    factor: float = 2.0
    most: int = 0
    margin: float = 1.2


TWICE = Raise()


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be done for a task: of its recipe, and of the sites there are."""

    tries: int = 3  # in all
    delay: float = 10.0  # seconds before the second try
    factor: float = 2.0  # by which the delay grows
    most_delay: float = 3600.0
    jitter: float = 0.25  # the share of a delay that is random, so that retries do not arrive together
    free: int = 20  # ends that are nobody's fault, before it is given up
    steps: int = 100  # the same, where each time a checkpoint kept what had been done
    different: int = 2  # nodes on which the same error makes it final
    repeats: int = 3  # times the same error makes it final, wherever it was
    memory: Raise = TWICE
    time: Raise = TWICE
    disk: Raise = TWICE
    offers: tuple[Shape, ...] = ()  # the largest slot of each site or engine; () = not known
    nodes: int | None = None  # how many nodes could take this shape; None = not known
    learned: Shape | None = None  # what finished tasks of the same name were seen to need
    hold_least: int = 20  # tasks that failed the same way
    hold_share: float = 0.10  # and their share of all that ended, before the dataset is held


DEFAULT = Policy()


class Verdict(NamedTuple):
    """What we conclude from an outcome, and do.

    `signature` is the same for the same kind of failure (see `signature`), `pattern` its readable form; `lines` are
    the few lines of the log that explain it. `first` is the sentence of the first try that counted, where it ended otherwise.
    """

    kind: Kind
    sentence: str
    action: Action
    advice: str = ""
    whose: Whose = Whose.NOBODY
    counts: bool = True
    delay: float = 0.0  # seconds until the next try
    shape: Shape | None = None  # what the next try asks for, if not the same
    avoid: Avoid = NOWHERE
    signature: str = ""
    pattern: str = ""
    lines: tuple[str, ...] = ()
    first: str = ""

    @property
    def message(self) -> str:
        """Return the sentence, with the first cause where it was another and nothing more happens by itself."""
        return f"{self.sentence}; at first: {self.first}" if self.first and self.needs_person else self.sentence

    @property
    def needs_person(self) -> bool:
        """Tell whether nothing more happens by itself."""
        return self.action not in RETRIED and self.action is not Action.DONE


WELL = Verdict(Kind.OK, "done", Action.DONE, counts=False)
"""The verdict of every attempt that went well."""
