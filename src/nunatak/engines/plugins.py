"""Find an engine by its kind, among the entry points of the group `nunatak.engines`, and make it from its settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from nunatak.core.errors import Invalid, NotFound
from nunatak.engines.protocol import Engine

GROUP = "nunatak.engines"
"""What an entry point of this group names makes an engine from its settings, and raises `Invalid` for what they get wrong."""


def load_engine(kind: str, settings: Mapping[str, Any], *, installed: EntryPoints | None = None) -> Engine:
    """Make the engine `kind` from `settings`. Raises `NotFound` for an unknown kind, `Invalid` for wrong settings."""
    found = entry_points(group=GROUP) if installed is None else installed.select(group=GROUP)
    if kind not in found.names:
        near = difflib.get_close_matches(kind, found.names, 1)
        known = ", ".join(sorted(found.names)) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"installed: {known}"
        raise NotFound(f"there is no engine of kind {kind!r}", code="no-engine", hint=hint)
    factory = found[kind].load()
    if not callable(factory):
        raise Invalid(f"the entry point {kind!r} of {GROUP} is not a function", code="bad-plugin")
    engine: Engine = factory(settings)
    return engine
