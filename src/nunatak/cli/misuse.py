"""A command line that cannot be read becomes an error like all others: what is wrong, what was expected, what to type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typer

from nunatak.core.errors import Invalid, NunatakError

Misused: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""What is raised for a command line that cannot be read; typer does not name it."""

ELSEWHERE = {
    "abort": "cancel", "delete": "cancel", "kill": "cancel", "remove": "cancel", "rm": "cancel", "pause": "hold",
    "stop": "hold", "suspend": "hold", "continue": "release", "resume": "release", "unhold": "release",
    "resubmit": "retry", "rescue": "retry", "restart": "retry", "rerun": "retry", "list": "ls", "ps": "ls",
    "queue": "ls", "squeue": "ls", "info": "status", "show": "status", "progress": "watch", "tail": "logs",
    "cat": "logs", "log": "logs", "output": "get", "outputs": "get", "getoutput": "get", "download": "get",
    "fetch": "get", "test": "try", "validate": "check", "lint": "check", "predict": "what-if", "explain": "why",
    "report": "usage", "cost": "usage", "accounting": "usage", "quota": "shares", "priority": "shares",
    "nodes": "node", "site": "node", "sites": "node", "events": "history", "start": "up", "demo": "up", "auth": "login",
}  # fmt: skip
"""What other systems call a verb, and what it is called here."""

BAD_TOKEN = frozenset({"bad-token", "revoked-token", "expired-token"})
"""Codes of errors that another token may overcome."""

OPTIONS = {
    "-n": "--dry-run", "--preview": "--dry-run", "-o": "--to", "--out": "--to", "--output-dir": "--to", "--dest": "--to",
    "-d": "--to", "--cores": "--cpu", "--cpus": "--cpu", "--threads": "--cpu", "--gpus": "--gpu", "--mem": "--memory",
    "--walltime": "--time", "--runtime": "--time", "--force": "--yes", "--group": "--team", "--user": "--owner",
    "--follow": "--watch", "--wait": "--watch", "--background": "--detach", "--message": "--reason", "-m": "--reason",
    "--param": "--set", "--config": "--set", "--lines": "--tail", "--number": "--limit", "--format": "--json",
}  # fmt: skip
"""What other systems call an option, and what it is called here, where a verb has it."""


def misuse(error: Any) -> Invalid:
    """Return the error that says what cannot be read. `error` is one of `Misused`."""
    name = type(error).__name__
    ctx = error.ctx
    path = ctx.command_path if ctx else "nunatak"
    if name == "NoSuchOption":
        return _invalid(*_unknown_option(error.option_name, ctx, path))
    if name == "MissingParameter":
        return _invalid(*_missing(error.param, path))
    if name == "BadParameter" and error.param is not None:
        return _invalid(f"{_called(error.param)}: {_value(error.message)}", _expected(error.param, path))
    message = error.format_message().rstrip(".")
    if extra := re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message, re.DOTALL):
        return _invalid(*_too_many(extra[1], ctx, path))
    if verb := re.match(r"No such command '(.*?)'", message):
        return _invalid(*_unknown_verb(verb[1], ctx, path))
    if option := re.fullmatch(r"Option '(.*)' requires an argument", message):
        return _invalid(f"{option[1]} needs a value", f"{path} -h says which")
    return _invalid(f"{message[:1].lower()}{message[1:]}", f"{path} -h says more")


def hint_of(error: NunatakError, environ: Mapping[str, str]) -> str:
    """Return what to do about an error; what comes from a variable of the environment is no use to save by a login."""
    if error.code in BAD_TOKEN:
        for name in ("NUNATAK_TOKEN", "NUNATAK_TOKEN_FILE"):
            if environ.get(name):
                return f"it is that of {name}: set another there, or unset it to use what `nunatak login` saved"
    if error.code == "no-connection" and environ.get("NUNATAK_URL"):
        return f"{error.hint}; the address is that of NUNATAK_URL: set another there, or unset it"
    return error.hint


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid(message, code="bad-use", hint=hint)


def _verb(path: str) -> str:
    """Return what was called, without the name of the program, which all that is said begins with."""
    return path.partition(" ")[2]


def _unknown_verb(word: str, ctx: Any, path: str) -> tuple[str, str]:
    known = ctx.command.list_commands(ctx) if ctx else ()
    meant = [ELSEWHERE[word]] if ELSEWHERE.get(word) in known else _near(word, known)
    means = f"did you mean {' or '.join(f'`{path} {one}`' for one in meant)}? " if meant else ""
    return f'there is no verb "{_verb(f"{path} {word}")}"', f"{means}{path} -h shows all, {path} VERB -h shows one"


def _unknown_option(option: str, ctx: Any, path: str) -> tuple[str, str]:
    known = [name for item in ctx.command.params for name in (*item.opts, *item.secondary_opts) if name[:1] == "-"]
    own = OPTIONS.get(option, "")
    meant = [own] if own in known else _near(option, known)
    means = f"did you mean {' or '.join(meant)}? " if meant else ""
    return f"{_verb(path) or 'this'} has no option {option}", f"{means}{path} -h shows all"


def _missing(param: Any, path: str) -> tuple[str, str]:
    return f"{_verb(path)} needs {_called(param)}", _expected(param, path)


def _too_many(words: str, ctx: Any, path: str) -> tuple[str, str]:
    names = {name for item in ctx.command.params for name in item.opts}
    said = f"{_verb(path)} was given too much: {words}"
    if "--input" in names:
        return said, "put the pattern in quotes, or the shell expands it: --input 'data/*.csv'"
    return said, f"it is written as: {' '.join(ctx.get_usage().split()[1:])}"


def _called(param: Any) -> str:
    if param.param_type_name == "argument":
        return str((param.metavar or param.name.upper()).strip("[]"))
    return str(max(param.opts, key=len))


def _expected(param: Any, path: str) -> str:
    """Return what a parameter is, as its help has it."""
    value = "" if param.param_type_name == "argument" or not param.metavar else f" {param.metavar}"
    about = (param.help or "").rstrip(".")
    return f"{_called(param)}{value}: {about}; {path} -h says more" if about else f"{path} -h says more"


def _value(message: str) -> str:
    """Return what is wrong with a value, without words of programmers."""
    said = message.rstrip(".")
    for kind, words in (
        ("a valid int range", "a whole number"), ("a valid int", "a whole number"), ("a valid integer", "a whole number"),
        ("a valid float range", "a number"), ("a valid float", "a number"),
    ):  # fmt: skip
        said = said.replace(kind, words)
    head, found, low = said.partition(" is not in the range x>=")
    if found:
        return f"{head} is less than {low}"
    day = said.partition(" does not match the format")
    return f"{day[0]} is not a day: write it as 2026-11-29" if day[1] else said


def _near(word: str, known: Iterable[str]) -> Sequence[str]:
    return difflib.get_close_matches(word, list(known), 2, 0.6)
