"""What tasks come after in other datasets: `41`, `41/detect` or `41/{job}/detect`, read from `after`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nunatak.core.errors import Invalid
from nunatak.core.spelling import nearest
from nunatak.datasets.plan import Follow
from nunatak.datasets.report import Report, quoted
from nunatak.datasets.template import Scope, compile_value
from nunatak.datasets.yaml_source import Path

if TYPE_CHECKING:
    from nunatak.datasets.names import Namer

_OUTSIDE = re.compile(r"[1-9{]")
_NUMBER = re.compile(r"[1-9]\d{0,8}\Z", re.ASCII)
_FORM = re.compile(
    r"(?P<dataset>[1-9]\d{0,8}|\{[^{}]+\})(?:/(?P<task>[A-Za-z][A-Za-z0-9_.-]{0,62})"
    r"|/(?P<each>\{job\})/(?P<of>[A-Za-z][A-Za-z0-9_.-]{0,62}|\d{1,3}))?\Z",
    re.ASCII,
)
_SINGLE = re.compile(r"(?:[1-9]\d*|\{[^{}]+\})/\d+/[A-Za-z][A-Za-z0-9_.-]*\Z", re.ASCII)
FORMS = "write 41/{job}/TASK for the same job, 41/TASK for all jobs, or 41 for everything"


def apart(entries: Iterable[tuple[Path, Any]]) -> tuple[list[tuple[Path, str]], list[tuple[Path, str]]]:
    """Return the tasks of the recipe, and what is of another dataset: no task's name begins with a digit or a brace."""
    own: list[tuple[Path, str]] = []
    others: list[tuple[Path, str]] = []
    for path, entry in entries:
        (others if _OUTSIDE.match(str(entry)) else own).append((path, str(entry)))
    return own, others


def followed(document: Mapping[str, Any], follows: Iterable[tuple[Path, str]]) -> set[str]:
    """Return the datasets that a task comes after, as they are written there or for all tasks: `41`, `{upstream}`."""
    texts = [text for _, text in (*follows, *apart(document.get("after", ()))[1])]
    return {form["dataset"] for form in map(_FORM.match, texts) if form}


class Follower:
    """Reads what tasks come after in other datasets; whether that is there only the server can tell."""

    def __init__(self, document: Mapping[str, Any], report: Report) -> None:
        """Keep what the recipe says for all tasks: it is for those that come after no other."""
        self.report = report
        own, self.common = apart(document.get("after", ()))
        for path, name in own:
            self.report.add(
                path, f"{quoted(name)} is not of another dataset", "name it in the task that comes after it"
            )

    def of(self, follows: Iterable[tuple[Path, str]], namer: Namer, *, once: bool, first: bool) -> tuple[Follow, ...]:
        """Return what a task comes after; `once`: it is done once a dataset; `first`: it comes after no
        other task of its dataset.
        """
        found: dict[Follow, None] = {}
        for path, text in follows:
            follow = self._read(path, text, once, namer)
            if follow in found:
                self.report.add(path, f"{quoted(text)} is named twice")
            found |= {follow: None} if follow else {}
        for path, text in self.common if first else ():
            follow = self._read(path, text, once, namer)
            found |= {follow: None} if follow else {}
        return tuple(found)

    def _read(self, path: Path, text: str, once: bool, namer: Namer) -> Follow | None:
        form = _FORM.match(text)
        if not form:
            single = _SINGLE.match(text)
            what = (
                "a task of one job alone, and all jobs would wait for it"
                if single
                else "no dataset, and no task of one"
            )
            self.report.add(path, f"{quoted(text)} is {what}", FORMS)
            return None
        if form["each"] and once:
            hint = f"write {form['dataset']}/{form['of']} for all its jobs"
            self.report.add(
                path, f'a task done once a dataset has no job: "{{job}}" has no place in {quoted(text)}', hint
            )
            return None
        dataset = self._dataset(path, form["dataset"], namer)
        return Follow(dataset, form["task"] or form["of"] or "", bool(form["each"])) if dataset else None

    def _dataset(self, path: Path, text: str, namer: Namer) -> int:
        """Return the number of a dataset, which may be a parameter; 0 after reporting."""
        if not text.startswith("{"):
            return int(text)
        try:
            value = compile_value(text)
            unknown = sorted(value.names - set(namer.parameters))
            if unknown and unknown[0] not in namer.declared:
                hint = nearest(unknown[0], namer.parameters) or "declare it under parameters:"
                self.report.add(path, f"{quoted(unknown[0])} is no parameter", hint)
            if unknown:
                return 0
            found = value.evaluate(Scope({"task": namer.task}, namer.parameters))
        except Invalid as error:
            self.report.error(path, error)
            return 0
        if isinstance(found, bool) or not _NUMBER.match(str(found)):
            self.report.add(path, f"{quoted(text)} is {quoted(found)}, which is the number of no dataset")
            return 0
        return int(found)
