"""Reads and checks `task.json`, the order an attempt is run by; the first thing the worker does."""

from . import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

FORMAT = 1


class Malformed(Exception):  # noqa: N818
    """The order cannot be understood; `address` and `lease` are "" unless they could be read."""

    address = ""
    lease = ""


class Input:
    """A file to have in the work directory; size -1 and sha256 "" mean not known."""

    def __init__(self, plain: "Dict[str, Any]", where: str) -> None:
        """Read one entry of `inputs`."""
        self.name = inside(_get(plain, "name", str, where), where)
        self.url: "str" = _get(plain, "url", str, where)
        self.sha256: "str" = _get(plain, "sha256", str, where, "")
        self.size: "int" = _get(plain, "size", int, where, -1)
        self.optional: "bool" = _get(plain, "optional", bool, where, False)
        self.mode: "int" = _get(plain, "mode", int, where, 0o644)


class Output:
    """A file the task makes, and where it goes."""

    def __init__(self, plain: "Dict[str, Any]", where: str) -> None:
        """Read one entry of `outputs`."""
        self.name = inside(_get(plain, "name", str, where), where)
        self.url: "str" = _get(plain, "url", str, where)
        self.optional: "bool" = _get(plain, "optional", bool, where, False)
        self.temporary: "bool" = _get(plain, "temporary", bool, where, False)


class Checkpoint:
    """A file by which a later attempt goes on: where this one keeps it, and what an earlier one kept (or None)."""

    def __init__(self, plain: "Dict[str, Any]", where: str) -> None:
        """Read `checkpoint`."""
        self.name = inside(_get(plain, "name", str, where), where)
        self.url: "str" = _get(plain, "url", str, where)
        before = plain.get("before")
        self.before = None if before is None else Input(_get(plain, "before", dict, where), where + ".before")
        if self.before is not None and self.before.name != self.name:
            raise Malformed("{}.before: expected the name {!r}".format(where, self.name))


class Command:
    """An argument list, or with `shell` one text for /bin/sh."""

    def __init__(self, plain: "Dict[str, Any]", where: str) -> None:
        """Read one entry of `commands`."""
        self.argv = _texts(_get(plain, "argv", list, where), where + ".argv")
        self.shell: "bool" = _get(plain, "shell", bool, where, False)
        self.variables = _variables(plain, where)
        self.stdin: "str" = _get(plain, "stdin", str, where, "")
        if self.stdin:
            inside(self.stdin, where + ".stdin")
        if not self.argv or (self.shell and len(self.argv) != 1) or not self.argv[0]:
            raise Malformed(where + ".argv: expected a command, or with shell exactly one text")


class Environment:
    """What surrounds the commands."""

    def __init__(self, plain: "Dict[str, Any]", where: str) -> None:
        """Read `environment`."""
        self.variables = _variables(plain, where)
        self.setup: "str" = _get(plain, "setup", str, where, "")
        self.image: "str" = _get(plain, "image", str, where, "")
        self.requirements: "str" = _get(plain, "requirements", str, where, "")
        for name in (self.setup, self.requirements):
            if name:
                inside(name, where)


class Shape:
    """What the task may use: memory and disk in bytes, time in seconds."""

    def __init__(self, plain: "Dict[str, Any]", where: str) -> None:
        """Read `shape`."""
        self.cpu: "int" = _get(plain, "cpu", int, where, 1)
        self.gpu: "int" = _get(plain, "gpu", int, where, 0)
        self.memory: "int" = _get(plain, "memory", int, where, 0)
        self.disk: "int" = _get(plain, "disk", int, where, 0)
        self.time: "int" = _get(plain, "time", int, where, 0)


class Task:
    """The whole order."""

    def __init__(self, plain: "Dict[str, Any]") -> None:
        """Read it. Raises `Malformed` with the place of the first error."""
        if plain.get("format") != FORMAT:
            raise Malformed("format: expected {}, found {!r}".format(FORMAT, plain.get("format")))
        self.address: "str" = _get(plain, "address", str, "")
        self.lease: "str" = _get(plain, "lease", str, "")
        self.log_limit: "int" = _get(plain, "log_limit", int, "", 10000000)
        self.shape = Shape(_get(plain, "shape", dict, "", {}), "shape")
        self.environment = Environment(_get(plain, "environment", dict, "", {}), "environment")
        self.commands = [Command(item, where) for item, where in _items(plain, "commands")]
        self.inputs = [Input(item, where) for item, where in _items(plain, "inputs")]
        self.outputs = [Output(item, where) for item, where in _items(plain, "outputs")]
        self.checkpoint: "Optional[Checkpoint]" = None
        if plain.get("checkpoint") is not None:
            self.checkpoint = Checkpoint(_get(plain, "checkpoint", dict, ""), "checkpoint")
            if self.checkpoint.name in [item.name for item in self.inputs]:
                raise Malformed("checkpoint: the file {!r} is an input too".format(self.checkpoint.name))
        for items in (self.inputs, self.outputs):
            names = [item.name for item in items]
            twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
            if twice:
                raise Malformed("the file {!r} is named twice".format(twice[0]))


def read(path: str) -> Task:
    """Read an order from a file. Raises `Malformed`, with address and lease if these could be read."""
    plain: "Any" = {}
    try:
        with open(path, "rb") as stream:
            plain = document.load(stream.read())
        if not isinstance(plain, dict):
            raise Malformed("expected an object")
        return Task(plain)
    except (OSError, ValueError, Malformed) as error:
        wrong = Malformed("{} cannot be used: {}".format(path, error))
        for key in ("address", "lease"):
            value = plain.get(key) if isinstance(plain, dict) else None
            setattr(wrong, key, value if isinstance(value, str) else "")
        raise wrong from error


def inside(name: str, where: str) -> str:
    """Return a file name that stays inside the work directory. Raises `Malformed` for any other."""
    parts = name.split("/")
    if "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Malformed("{}: the name {!r} does not stay inside the sandbox".format(where, name))
    return name


def _get(plain: "Dict[str, Any]", key: str, kind: type, where: str, default: "Any" = None) -> "Any":
    value = plain.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        place = where + "." + key if where else key
        raise Malformed("{}: expected {}, found {!r}".format(place, kind.__name__, value))
    return value


def _items(plain: "Dict[str, Any]", key: str) -> "List[Any]":
    items = [(item, "{}[{}]".format(key, index)) for index, item in enumerate(_get(plain, key, list, "", []))]
    for item, where in items:
        if not isinstance(item, dict):
            raise Malformed(where + ": expected an object")
    return items


def _texts(items: "List[Any]", where: str) -> "List[str]":
    for item in items:
        if not isinstance(item, str) or "\0" in item:
            raise Malformed("{}: expected a text without NUL, found {!r}".format(where, item))
    return items


def _variables(plain: "Dict[str, Any]", where: str) -> "Dict[str, str]":
    found: "Dict[str, str]" = _get(plain, "variables", dict, where, {})
    _texts(list(found.values()), where + ".variables")
    for name in found:
        if not name or "=" in name or "\0" in name:
            raise Malformed("{}.variables: {!r} cannot name a variable".format(where, name))
    return found
