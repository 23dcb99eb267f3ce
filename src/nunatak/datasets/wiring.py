"""How tasks hang together: what inputs and outputs stand for, who comes before whom."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from nunatak.core.errors import Invalid
from nunatak.datasets.manifest import relative
from nunatak.datasets.plan import InputPlan, OutputPlan

_ARROW = re.compile(r"\s+->\s+")
_ELSEWHERE = re.compile(r"([1-9]\d{0,8}|\{[^{}]+\})/(?:(\d+|\{[^{}]*\})/)?([A-Za-z][A-Za-z0-9_.-]{0,62})/(.+)\Z")


@dataclass(frozen=True, slots=True)
class Split:
    """`left? -> right` taken apart."""

    left: str
    right: str
    optional: bool


def split_arrow(text: str) -> Split:
    """Take `source? -> name` apart. Raises `Invalid` for several arrows or an empty side."""
    parts = _ARROW.split(text.strip())
    if len(parts) > 2 or text.strip().endswith("->") or text.strip().startswith("->"):
        raise Invalid(
            f'"{text}" is not a file', code="bad-path", hint='write NAME, or NAME -> OTHER with spaces around "->"'
        )
    left = parts[0]
    optional = left.endswith("?") and "://" not in left
    return Split(left[:-1].rstrip() if optional else left, parts[1] if len(parts) == 2 else "", optional)


def read_input(split: Split, tasks: Set[str], addresses: Set[str], datasets: Set[str]) -> InputPlan:
    """Return what an input stands for; its name is "" where that of the source is to be used as it is.

    `addresses` are the parameters that hold storage URLs, `datasets` what `after` names: `{upstream}` there is a number here too.
    Raises `Invalid`.
    """
    left, right = split.left, _local(split.right)
    first, _, rest = left.partition("/")
    if left in ("{input}", "{path}"):
        return InputPlan(right or "{name}", file="{path}", optional=split.optional)
    worked_out = left.startswith("{iceprod(")  # by the language of an IceProd configuration, in which only URLs are
    if worked_out or "://" in left or first == "{store}" or (first[:1] == "{" and first[1:-1] in addresses):
        return InputPlan(right or _basename(left), url=left, optional=split.optional)
    elsewhere = _ELSEWHERE.match(left)
    if elsewhere and (elsewhere[1].isdigit() or elsewhere[1] in datasets):
        url = _elsewhere(*elsewhere.groups())
        return InputPlan(right or _basename(left), url=url, optional=split.optional)
    if first in tasks and rest:
        return InputPlan(right, task=first, output=rest, optional=split.optional)
    name = left if "{" in left else relative(left)
    return InputPlan(right or name, file=name, optional=split.optional)


def _local(name: str) -> str:
    return relative(name) if name and "{" not in name else name


def _basename(source: str) -> str:
    found = re.search(r"((?:\{[^{}]*\}|[^/{}])+)\Z", source)
    if not found:
        raise Invalid(f'"{source}" has no name to use here', code="bad-path", hint=f"write {source} -> NAME")
    return found[1]


def _elsewhere(dataset: str, job: str | None, task: str, name: str) -> str:
    """Return the usual place of another dataset's output, as a template."""
    if job is None:
        return f"{{store}}/{dataset}/{task}/{name}"
    number = job.strip("{}")
    return f"{{store}}/{dataset}/{task}/{{({number})//1000:03d}}/{{{number}:06d}}/{name}"


def read_output(split: Split, temporary: bool) -> OutputPlan:
    """Return an output. Raises `Invalid` for a name or place that leads elsewhere."""
    name = split.left if "{" in split.left else relative(split.left)
    place = split.right
    scheme, separator, path = place.partition("://")
    if ".." in (path if separator else scheme).split("/"):
        raise Invalid(f'"{place}" has ".." in it', code="bad-path", hint="write the place out")
    if place.startswith("/"):
        raise Invalid(f'"{place}" is an absolute path', code="bad-path", hint=f"write file://{place}")
    return OutputPlan(name, place, split.optional, temporary)


def default_name(output: str, several: bool) -> str:
    """Return the name in the sandbox of another task's output, "" where only that task can tell."""
    if "{" in output or "}" in output:
        return ""
    stem, suffix = posixpath.splitext(output)
    return f"{stem}.{{job:06d}}{suffix}" if several else output


def circle(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return tasks that wait for each other in a circle, [] if there are none."""
    left = dict(parents)
    while free := [name for name, before in left.items() if not any(other in left for other in before)]:
        for name in free:
            del left[name]
    if not left:
        return []
    name, walk = next(iter(left)), []
    while name not in walk:
        walk.append(name)
        name = next(other for other in left[name] if other in left)
    return [*walk[walk.index(name) :], name]


def ordered(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the tasks so that parents come first, else in the order given; there must be no circle."""
    done: dict[str, None] = {}
    left = list(parents)
    while left:
        name = next(name for name in left if all(other in done for other in parents[name]))
        done[name] = None
        left.remove(name)
    return list(done)


def ancestors(name: str, parents: Mapping[str, Iterable[str]]) -> set[str]:
    """Return all tasks that come before one."""
    found: set[str] = set()
    ahead = list(parents.get(name, ()))
    while ahead:
        other = ahead.pop()
        if other not in found:
            found.add(other)
            ahead += parents.get(other, ())
    return found
