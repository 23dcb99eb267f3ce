"""What there is to judge by: the outcome, what came before, the words of the log and of the batch system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nunatak.core.units import memory_text
from nunatak.core.work import Outcome, Reason, Shape
from nunatak.tasks.verdicts.clues import Clue, subject
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.lines import NOTHING, Matter, matter
from nunatak.tasks.verdicts.model import History

R = Reason
PAYLOAD = frozenset({R.EXIT, R.SIGNAL, R.SETUP, R.COMMAND, R.OUTPUT})
"""Reasons that come from the task's own commands: their log may say why."""
TALKING = PAYLOAD | {R.TIME, R.TERMINATED, R.LOST, R.MEMORY, R.DISK}
"""Reasons after which the log's last lines are worth keeping."""
ENGINE = frozenset({R.TIME, R.TERMINATED, R.LOST, R.MEMORY, R.DISK, R.SUBMIT})
"""Reasons whose message is the worker's or the engine's own, with no words of a program or a path in it."""
NEAR = 0.95
"""The share of a limit above which a sudden death is put down to it."""


class Finding(NamedTuple):
    """What was found: a kind and a sentence. `about` makes its signature: "" for that of the log's headline.

    `wanted` is how many bytes it asked for at the last; `sure`: it need not be seen twice.
    """

    kind: Kind
    sentence: str
    about: str = ""
    wanted: int = 0
    sure: bool = True


@dataclass(slots=True)
class Case:
    """All the evidence of one attempt, read once."""

    outcome: Outcome
    history: History
    node: str
    matter: Matter = NOTHING
    said: str = ""  # the outcome's message and the lines that matter
    text: str = ""  # the same in lower case
    tail: str = ""  # the end of the log in lower case
    batch: str = ""  # what the batch system says, in lower case

    @property
    def headline(self) -> str:
        """Return the line of the log that says why, "" if it does not."""
        matter, reason = self.matter, self.outcome.reason
        return matter.headline if matter.told or reason in (R.EXIT, R.SIGNAL) else ""

    @property
    def shape(self) -> Shape:
        """Return what the attempt had asked for."""
        return self.history.shape

    @property
    def there(self) -> str:
        """Return ` on NODE`, or nothing."""
        return f" on {self.node}" if self.node else ""

    def put(self, text: str) -> str:
        """Put the node into a text: `{node}`, or ` on NODE` for `{there}`, as far as it is known."""
        return text.replace("{there}", self.there).replace("{node}", self.node or "the node")

    def found(self, clue: Clue) -> Finding:
        """Return what a clue says here."""
        about = subject(clue, self.said)
        form = clue.sentence if about or "{subject}" not in clue.sentence else clue.unnamed
        return Finding(clue.kind, self.put(form).replace("{subject}", about), f"{clue.kind} {about}".rstrip())


def gather(outcome: Outcome, history: History, tail: str) -> Case:
    """Read the evidence of an attempt; `tail` is the end of its log, by default what the outcome has of it."""
    case = Case(outcome, history, outcome.host or history.node)
    reason, message = outcome.reason, outcome.message
    if outcome.detail:
        case.batch = _batch(outcome.detail.get("batch"))
        tail = tail or tail_of(outcome)
    if reason in TALKING and tail:
        case.matter = matter(tail)
        case.tail = tail.lower()
    lines = [line for line in case.matter.lines if not line.startswith("File ") and line not in message]
    case.said = "\n".join((message, *lines))
    case.text = case.said.lower()
    return case


def tail_of(outcome: Outcome) -> str:
    """Return the end of the log that travels with an outcome (`detail.tail`): of stderr, or where that is empty of stdout."""
    tail = outcome.detail.get("tail")
    if isinstance(tail, Mapping):
        return str(tail.get("stderr") or "") if str(tail.get("stderr") or "").strip() else str(tail.get("stdout") or "")
    return tail if isinstance(tail, str) else ""


def _batch(told: Any) -> str:
    """Return the words of the batch system from `detail.batch`: a text, or `text`, `state`, `code`, `subcode`."""
    if isinstance(told, Mapping):
        return f"{told.get('state') or ''} {told.get('text') or ''}".strip().lower()
    return told.lower() if isinstance(told, str) else ""


def codes(outcome: Outcome) -> tuple[int, int]:
    """Return code and subcode of a hold by the batch system; (0, 0) if there is none."""
    told = outcome.detail.get("batch") if outcome.detail else None
    if not isinstance(told, Mapping):
        return 0, 0
    code, subcode = told.get("code"), told.get("subcode")
    return (code if isinstance(code, int) else 0), (subcode if isinstance(subcode, int) else 0)


def input_named(case: Case) -> str:
    """Return the input that the text is about: one that it names, else the only empty one; "" if that cannot be told."""
    records = case.outcome.inputs
    named = [record.name for record in records if record.name.lower() in case.text]
    empty = [record.name for record in records if record.size == 0]
    both = [name for name in named if name in empty]
    for names in (both, named, empty):
        plain = [name for name in names if not name.endswith((".py", ".sh"))]
        if len(plain) == 1:
            return plain[0]
    return ""


def used_of(used: int | None, asked: int, what: str) -> str:
    """Return ` (1.2 GB used, 1 GB asked for)`, as far as it is known."""
    if used is None:
        return f" ({memory_text(asked)} of {what} asked for)"
    return f" ({memory_text(used)} of {what} used, {memory_text(asked)} asked for)"
