"""What stands for a value in the help of a verb: `--jobs N`, not `--jobs <int range>`; set once, when the verb is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

KINDS = {
    "int": "N", "int range": "N", "float": "NUMBER", "float range": "NUMBER", "datetime": "DAY",
    "file": "FILE", "directory": "DIR", "path": "PATH",
}  # fmt: skip
"""By the name of a type; a text is called as its option is."""


def readable(command: Any) -> Any:
    """Return the same command, or group of commands, with a word for each value."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parameter.make_metavar = _named(parameter)
        elif parameter.metavar is None and not parameter.is_flag:
            parameter.metavar = KINDS.get(parameter.type.name) or _last_word(parameter)
    for below in getattr(command, "commands", {}).values():
        readable(below)
    return command


def _last_word(option: Any) -> str:
    return str(max(option.opts, key=len).lstrip("-").rpartition("-")[2].upper())


def _named(argument: Any) -> Callable[..., str]:
    """Return what writes an argument: in brackets if it may be left out, with dots if there may be several."""
    name = (argument.metavar or argument.name.upper()).strip("[]")
    several = "..." if argument.nargs != 1 else ""

    def written(ctx: Any = None, *, usage: bool = False) -> str:  # noqa: ARG001 - as its name is asked for everywhere
        return f"[{name}]{several}" if usage and not argument.required else name + several

    return written
