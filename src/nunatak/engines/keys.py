"""What identifies an attempt out there: its address and its lease, checked before anything is made of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from nunatak.core.address import NAME, Address, parse
from nunatak.core.errors import Invalid
from nunatak.core.work import Series, TaskSpec
from nunatak.engines.protocol import Handle

Key = tuple[str, str]
"""Address and lease."""
_LEASE = re.compile(r"[0-9a-f]{1,32}\Z")
_ATTEMPT = re.compile(rf"[1-9][0-9]{{0,8}}(?:/(?:0|[1-9][0-9]{{0,8}}))?/{NAME.pattern[:-2]}#[1-9][0-9]{{0,8}}\Z")
"""The one spelling of the address of an attempt."""


def key_of(handle: Handle | TaskSpec) -> Key:
    """Return the key of a handle or a spec."""
    return handle.address, handle.lease


def check(spec: TaskSpec) -> None:
    """See that a spec describes an attempt. Raises `Invalid` for another address, or for no lease.

    What passes is safe as part of a file name.
    """
    if not _ATTEMPT.match(spec.address):
        raise Invalid(f"{spec.address!r} is not the address of an attempt", code="bad-address", hint="like 42/17/fit#1")
    if not _LEASE.match(spec.lease):
        raise Invalid(f"{spec.lease!r} is not a lease", code="bad-lease", hint="up to 32 hexadecimal digits")


def attempt_of(spec: TaskSpec) -> Address:
    """Return the address of the attempt that a spec describes. Raises `Invalid` as `check` does."""
    check(spec)
    return parse(spec.address)


def specs_of(item: TaskSpec | Series) -> tuple[TaskSpec, ...]:
    """Return the attempts that take one place of an engine: one, or those of a series."""
    return (item,) if isinstance(item, TaskSpec) else item.members


def unknown(batch: Sequence[TaskSpec | Series], known: Collection[Key]) -> list[TaskSpec | Series]:
    """Return what of a batch is new, each attempt once; a series keeps the members that are."""
    new, seen = list[TaskSpec | Series](), set[Key]()
    for item in batch:
        members, fresh = specs_of(item), list[TaskSpec]()
        for spec in members:
            key = key_of(spec)
            if key not in seen and key not in known:
                seen.add(key)
                fresh.append(spec)
        if len(fresh) == len(members):
            new.append(item)
        elif fresh and isinstance(item, Series):
            new.append(replace(item, members=tuple(fresh)))
    return new
