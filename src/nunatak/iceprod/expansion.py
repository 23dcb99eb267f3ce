"""The expansion language of IceProd configurations, in its two modes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.iceprod.bounds import Meter, refuse
from nunatak.iceprod.exact import MOST_PASSES, expand_exact
from nunatak.iceprod.names import Names
from nunatak.iceprod.strict import expand_strict

EXACT = "exact"
"""As IceProd expands: texts are pasted and read again, what looks like a number becomes one, what is unknown stays."""
STRICT = "strict"
"""As it is meant: innermost first, texts stay texts, what is unknown is an error."""
MODES = (STRICT, EXACT)


def expand(
    text: Any, *, job: Mapping[str, Any], env: Mapping[str, Any] | None = None, mode: str = STRICT, seed: str = ""
) -> Any:
    """Return what a text (or a list or table of texts) of a configuration stands for.

    `job` is the configuration: a plain dictionary with `options`, `steering`, `difplus` and any other key. `env` is what
    surrounds the text: `parameters` (of task, tray and module) and `environment`. `$choice` draws by `seed`, or without one by
    the options `dataset`, `job` and `task`: the same again for the same, in both modes.

    Raises `Invalid` (code `bad-expansion`) within bounded time for circles and for what costs too much; in strict mode also
    for what stands for nothing. `data` has `phrase`, and `at`, the character where it begins, where these are known.
    """
    if mode not in MODES:
        raise Invalid(f'"{mode}" is no mode of expansion', code="bad-mode", hint=f"known: {', '.join(MODES)}")
    names = Names(job, env or {}, seed)
    try:
        return expand_strict(text, names, Meter()) if mode == STRICT else _settled(text, names)
    except RecursionError:
        raise refuse("phrases and the values they refer to stand too deep in each other") from None


def _settled(value: Any, names: Names) -> Any:
    """Expand again until nothing changes, as IceProd does with every text it uses."""
    meter = Meter()
    for _ in range(MOST_PASSES):
        after = expand_exact(value, names, meter)
        if _same(after, value) or not isinstance(value, str):
            return after
        value = after
    return value


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)
