"""Frozen values that are made by the thousand a second: the same dataclasses, made in a third of the time."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

T = TypeVar("T")


def quickly_made(cls: type[T]) -> type[T]:
    """Give a frozen dataclass with slots an `__init__` that writes its fields while the value is not frozen yet.

    The usual one goes past the guard of a frozen value for each field, which takes most of its time. This one lets the
    value be of a class with the same slots and no guard until all is written. Nobody else can have it by then.
    """
    if hasattr(cls, "__post_init__"):
        raise TypeError(f"{cls.__name__} has a __post_init__, which would be left out")
    unguarded = type(f"_{cls.__name__}", (), {"__slots__": cls.__dict__["__slots__"]})
    known: dict[str, Any] = {"_frozen": cls, "_open": unguarded, "_become": object.__setattr__, "_missing": MISSING}
    names: list[str] = []
    lines = ["_become(self, '__class__', _open)"]
    for item in fields(cls):  # type: ignore[arg-type]  # it is a dataclass
        name, value = _argument(item, known)
        names.append(name)
        lines.append(f"self.{item.name} = {value}")
    body = "\n ".join([*lines, "self.__class__ = _frozen"])
    exec(f"def __init__(self, {', '.join(names)}):\n {body}\n", known)  # noqa: S102 - as dataclasses do; names of fields alone
    made = known["__init__"]
    made.__qualname__, made.__doc__ = f"{cls.__qualname__}.__init__", cls.__init__.__doc__
    made.__annotations__ = dict(cls.__init__.__annotations__)
    type.__setattr__(cls, "__init__", made)
    return cls


def _argument(item: Field[Any], known: dict[str, Any]) -> tuple[str, str]:
    """Return how a field is written as an argument, and what is written into it."""
    if item.default is not MISSING:
        known[f"_default_{item.name}"] = item.default
        return f"{item.name}=_default_{item.name}", item.name
    if item.default_factory is not MISSING:
        known[f"_make_{item.name}"] = item.default_factory
        return f"{item.name}=_missing", f"_make_{item.name}() if {item.name} is _missing else {item.name}"
    return item.name, item.name
