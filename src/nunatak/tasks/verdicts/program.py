"""Rules about the task's own commands: what they say when they fail, and what the system says of them."""

from __future__ import annotations

import re

from nunatak.core.units import memory, memory_text
from nunatak.core.work import Reason
from nunatak.tasks.verdicts import sayings
from nunatak.tasks.verdicts.clues import Clue
from nunatak.tasks.verdicts.evidence import NEAR, PAYLOAD, Case, Finding, input_named
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.limits import KILLS, limit_sentence, over_disk

K, R = Kind, Reason
_CODE = "` ended with exit code "
_WANTED = re.compile(r"allocate ([0-9]+(?:\.[0-9]+)?) ([KMGT]iB|[MGT]B)\b")
_CVMFS = re.compile(r"/cvmfs/[\w.-]+", re.IGNORECASE)


def no_space(case: Case) -> Finding | None:
    """A full disk is the task's own doing if it had used what it asked for, else the node's."""
    if not any(sign in case.text for sign in sayings.SPACE):
        return None
    used = case.outcome.usage.disk
    if used is not None and used >= NEAR * case.shape.disk:
        return over_disk(case)
    little = f", though the task used only {memory_text(used)}" if used is not None else ""
    return Finding(K.SCRATCH_FULL, f"the disk{case.there or ' of the node'} is full{little}", K.SCRATCH_FULL)


def program_words(case: Case) -> Finding | None:
    """The program says what it lacks or what broke."""
    for clue in sayings.PROGRAM.speaking(case.text):
        found = _said(case, clue)
        if found:
            return found
    return None


def _said(case: Case, clue: Clue) -> Finding | None:
    """Read what the program says; some of its words need a second sign."""
    kind, outcome = clue.kind, case.outcome
    if kind is K.SCRATCH_FULL:
        return no_space(case)
    if kind is K.BROKEN_GPU and not case.shape.gpu:
        return Finding(K.GPU_NOT_ASKED, "it looks for a GPU, and asked for none", K.GPU_NOT_ASKED)
    if kind is K.OUT_OF_MEMORY:
        return _no_memory(case, clue)
    if kind is K.INPUT_TRUNCATED:
        return _damaged(case, clue)
    if kind is K.COMMAND_NOT_FOUND and outcome.exit != 127 and outcome.reason is not R.SETUP:
        return no_command(case) if outcome.reason is R.COMMAND else None
    if kind is K.WRONG_ARCHITECTURE and ("no program" in case.text or " is empty, this node" in case.text):
        return Finding(K.CANNOT_RUN, outcome.message or case.headline, "")
    found = case.found(clue)
    return found if found.sentence else None


def _damaged(case: Case, clue: Clue) -> Finding | None:
    if "syntax" in case.text:
        return None
    name = input_named(case)
    text = clue.sentence.replace("{subject}", name) if name else clue.unnamed
    return Finding(clue.kind, f"{text}: {case.headline or case.outcome.message}", f"{clue.kind} damaged")


def _no_memory(case: Case, clue: Clue) -> Finding:
    """A program that was refused memory may say how much it wanted beside what it had."""
    found = _WANTED.search(case.said)
    wanted = round(float(found[1][:12]) * memory(f"1 {found[2]}")) if found else 0
    at_once = f", {memory_text(wanted)} at once" if wanted else ""
    return limit_sentence(case, clue.kind, clue.sentence + at_once)._replace(wanted=wanted)


def no_command(case: Case) -> Finding | None:
    """Tell a command that the recipe gets wrong (a name in the sandbox) from one that the node lacks."""
    message = case.outcome.message
    name = message.partition("command not found: ")[2].partition(" ")[0]
    own = "(in the sandbox" in message or ("/" in name and not name.startswith("/"))
    if not name or own:
        return Finding(K.CANNOT_RUN, message, "")
    return Finding(K.COMMAND_NOT_FOUND, f"the command {name} is not there{case.there}", f"{K.COMMAND_NOT_FOUND} {name}")


def unmounted(case: Case) -> Finding | None:
    """Something below /cvmfs is not there (a signature has no paths, so all of them are one)."""
    path = _CVMFS.search(case.said)
    if path is None or not ("no such file" in case.text or "not found" in case.text):
        return None
    text = f"{path[0]} is not mounted{case.there}, or what is wanted is not in it"
    return Finding(K.NOT_MOUNTED, text, f"{K.NOT_MOUNTED} {path[0]}")


def by_signal(case: Case) -> Finding | None:
    """It died of a signal that says something; SIGKILL alone tells only that somebody killed it."""
    outcome = case.outcome
    number = outcome.signal or (outcome.exit - 128 if outcome.exit in (132, 137, 143) else 0)
    if number == 4:
        return Finding(
            K.OLD_PROCESSOR,
            case.put("the processor of {node} lacks an instruction that the program uses"),
            K.OLD_PROCESSOR,
        )
    if number in KILLS:
        return Finding(K.KILLED, "it was killed from outside, and nothing tells by whom", f"{K.KILLED} {number}")
    return None


def suspect_node(case: Case) -> Finding | None:
    """It failed where the scoreboard says that others do not."""
    if not case.history.suspect or not case.node:
        return None
    return Finding(K.NODE_FAULT, f"{case.node} fails where others do not: {told(case)}", K.NODE_FAULT)


def told(case: Case) -> str:
    """Return the outcome's own sentence, with the line of the log that says most."""
    outcome, headline = case.outcome, case.headline
    text = outcome.message
    if not text:
        text = {
            R.EXIT: f"a command ended with exit code {outcome.exit}",
            R.SIGNAL: f"a command died of signal {outcome.signal}",
            R.TERMINATED: "it was stopped from outside",
            R.LOST: "it vanished without a word",
        }.get(outcome.reason, f"it ended: {outcome.reason}")
    if not headline or headline in text or outcome.reason not in PAYLOAD:
        return text
    code = text.find(_CODE) + 1
    end = text.find(": ", code) if code else -1  # what the worker took from the log may be the wrong line
    return f"{text[:end] if end >= 0 else text}: {headline}"
