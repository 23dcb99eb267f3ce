"""What surrounds a text of a configuration, from steering to module, and how the text is worked out there."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nunatak.core.errors import Invalid
from nunatak.iceprod.bounds import MOST_TEXT, Meter, Work, refuse
from nunatak.iceprod.deferred import UNKNOWN, Deferred, Mixed, depends, literal, template
from nunatak.iceprod.exact import coerce
from nunatak.iceprod.expansion import EXACT, STRICT, expand
from nunatak.iceprod.findings import Findings, Path
from nunatak.iceprod.levels import ENVIRONMENT, Around, surroundings
from nunatak.iceprod.names import Names
from nunatak.iceprod.partial import Partial

SAMPLES = (0, 1, 7, 123)
"""Jobs for which the two modes are compared, beside the last."""
MANY = 30
"""Tasks of a configuration in which only the first and the last job are compared."""
CLOSE = 24
"""Jobs from the first on that have to agree before a text is taken to be the same in all."""
SAMPLE_DATASETS = (20_042, 31)
RESERVED = frozenset((
    "dataset", "job", "jobs", "task", "attempt", "store", "input", "inputs", "output", "outputs", "path", "name", "stem",
    "suffix", "item", "repetition", "true", "false", "null",
))  # fmt: skip
"""Names that mean something of their own in a recipe."""
LATER = {
    "dataset": Deferred("dataset", kind="int"), "job": Deferred("job", kind="int"),
    "jobs_submitted": Deferred("jobs", kind="int"), "dataset_id": Deferred("dataset", kind="int"),
}  # fmt: skip
"""Options that are known when a job is."""


@dataclass(frozen=True, slots=True)
class Known:
    """A parameter that was worked out already."""

    value: Any


@dataclass(slots=True)
class Whole:
    """What all texts of one import share."""

    config: Mapping[str, Any]
    mode: str
    jobs: int
    findings: Findings
    used: dict[str, tuple[Deferred, Any]] = field(default_factory=dict)  # steering parameters that the recipe needs
    samples: Mapping[str, str] = field(default_factory=dict)  # names of `foreach`, as they are in the first job
    tables: list[Mapping[str, Any]] = field(default_factory=list)  # what texts that are worked out later refer to
    written_out: set[str] = field(default_factory=set)  # steering parameters that no recipe can have as its own
    at: Path = ()  # the place of the text that is being worked out
    named: frozenset[str] | None = None
    top: frozenset[str] | None = None
    datasets: Mapping[str, int] = field(default_factory=dict)  # numbers here of datasets there; 0: it is done already
    work: Work | None = None

    def begin(self, path: Path) -> None:
        """Begin with a text. Raises `TooMuch` if there are too many."""
        self.at = path
        if self.work is not None:
            self.work.spend(1)

    def mentioned(self) -> frozenset[str]:
        """Return the names that steering parameters refer to by `$(name)`."""
        if self.named is None:
            self.named = frozenset(_NAMED.findall(json.dumps(self.config["steering"]["parameters"])))
        return self.named


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A parameter that could not be worked out where it stands, for want of what is known further in."""

    raw: Any
    scope: Scope
    around: Mapping[str, Any]  # the parameters it stands among


class _Parameters(Partial):
    """Lets parameters that were worked out stand as they are, and works out others among those they stand among."""

    def __init__(self, scope: Scope, parameters: Mapping[str, Any]) -> None:
        config = {**scope.whole.config, "options": scope.options}
        names = Names(config, {"parameters": parameters, "environment": ENVIRONMENT})
        super().__init__(names, Meter(), lambda table, key: scope._later(parameters, table, key))
        self.options = scope.options

    def value(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, Known):
            return value.value
        if isinstance(value, Unsettled):
            try:
                return _Parameters(replace(value.scope, options=self.options), value.around).value(value.raw)
            except Invalid:
                return super().value(value.raw, depth)  # it refers to what is further in
        return super().value(value, depth)


@dataclass(frozen=True, slots=True)
class Scope:
    """A place in the configuration. `levels` are the tables of parameters around it, outermost first."""

    whole: Whole
    options: Mapping[str, Any]
    levels: tuple[Mapping[str, Any], ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    around: dict[Any, Any] = field(default_factory=dict, compare=False)  # what `concrete` needs, by job and mode

    def inside(self, own: Mapping[str, Any]) -> Scope:
        """Return the scope of what stands inside, with its own parameters."""
        values = dict(self.parameters)
        inner = replace(self, levels=(*self.levels, own), around={})
        for key, raw in own.items():
            around = Around(self.parameters, own, key)
            try:
                values[key] = Known(inner._worker(around).value(raw))
            except (Invalid, RecursionError):
                values[key] = Unsettled(raw, inner, around)  # what is wrong is said where it is used, if it is
        return replace(inner, parameters=values)

    def with_options(self, **more: Any) -> Scope:
        """Return the scope with more options."""
        return replace(self, options={**self.options, **more}, around={})

    def _worker(self, parameters: Mapping[str, Any]) -> Partial:
        return _Parameters(self, parameters)

    def _later(self, parameters: Mapping[str, Any], table: str, key: str) -> Deferred | None:
        """Return what stays a name in the recipe: the options known when a job is, and steering parameters."""
        plain = not table and key not in self._top()
        if (table in ("options", "args") or (plain and key not in parameters)) and self._is_later(key):
            return LATER[key]
        outermost = key in parameters and not any(key in level for level in self.levels[1:])
        if table == "steering" or (plain and (outermost or (key not in parameters and key not in self.options))):
            return self._exported(key)
        return None

    def _is_later(self, key: str) -> bool:
        return key in LATER and key not in self.whole.config["options"]

    def _top(self) -> frozenset[str]:
        if self.whole.top is None:
            config = self.whole.config
            self.whole.top = frozenset(key for key, value in config.items() if not isinstance(value, dict))
        return self.whole.top

    def _exported(self, key: str) -> Deferred | None:
        """Return a steering parameter as a parameter of the recipe; None where it has to be written out."""
        steering = self.whole.config["steering"]["parameters"]
        if key not in steering or not _IDENTIFIER.match(key) or key in RESERVED or keyword.iskeyword(key):
            return None
        inner = {name for level in self.levels[1:] for name in level}
        if inner & self.whole.mentioned() and "$(" in json.dumps(steering[key]):
            return None  # what it stands for depends on where it is used
        if key in self.whole.written_out:
            return None  # none that a recipe can have, or one being worked out: a circle, which is said there
        if key not in self.whole.used:
            self.whole.written_out.add(key)
            try:
                value = Scope(self.whole, self.whole.config["options"])._worker({}).value(steering[key])
            except (Invalid, RecursionError):
                return None
            if depends(value) and not isinstance(value, Deferred | Mixed):
                return None
            if isinstance(value, Deferred):
                found = Deferred(key, value.known, value.kind)
            else:
                found = Deferred(key, UNKNOWN if isinstance(value, Mixed) else value)
            self.whole.used[key] = (found, value)
            self.whole.written_out.discard(key)
        return self.whole.used[key][0]

    def text(self, raw: Any, path: Path) -> Any:
        """Return a value worked out as far as it can be; what is wrong is noted, and gives ""."""
        self.whole.begin(path)
        if isinstance(raw, int | float) or (isinstance(raw, str) and _stands(raw)):
            return raw  # the same in both modes
        if self.whole.mode == EXACT:
            return self.whole.findings.guarded(path, lambda: self._exact(raw, path), "")
        value = self.whole.findings.guarded(path, lambda: self._strict(raw), "")
        if value != "":
            self._compare(raw, path, constant=not depends(value) or (isinstance(value, Deferred) and _is_known(value)))
        return value

    def _strict(self, raw: Any) -> Any:
        try:
            return self._worker(self.parameters).value(raw)
        except Invalid as error:
            try:
                for where in self._samples():
                    self.concrete(raw, where, STRICT)
            except Invalid as meant:
                raise meant from None
            return self._by_function(raw, STRICT, error)

    def _exact(self, raw: Any, path: Path) -> Any:
        found = [self.concrete(raw, where, EXACT) for where in self._samples()]
        left = next((match for match in map(_PHRASE.search, map(_shown, found)) if match), None)
        if left:
            raise refuse(
                f'"{left.group()}...)" is left as it is',
                "write \\$ for the sign itself; strict mode says what is wrong with it",
            )
        meant: list[Any] = []
        try:
            meant = [self.concrete(raw, where, STRICT) for where in self._samples()]
        except Invalid as error:
            self.whole.findings.add("differs", path, f"exact: {_shown(found[0])}; strict: an error, {error.message}")
        if meant and list(map(_shown, found)) == list(map(_shown, meant)):
            try:
                return self._worker(self.parameters).value(raw)
            except Invalid:
                pass
        elif meant:
            self._say_difference(path, found, meant)
        if self._same_in_all(raw, _shown(found[0])):
            return found[0]
        return self._by_function(raw, EXACT, None)

    def _same_in_all(self, raw: Any, shown: str) -> bool:
        """Tell whether a text is the same in all jobs, by many of them: what comes round every few jobs is seen."""
        more = [(SAMPLE_DATASETS[0], job) for job in range(min(self.whole.jobs, CLOSE))]
        return all(_shown(self.concrete(raw, where, EXACT)) == shown for where in [*self._samples(), *more])

    def _by_function(self, raw: Any, mode: str, error: Invalid | None) -> Any:
        """Return a text that is worked out when a job is known, by the function `iceprod` of the recipe language."""
        if not isinstance(raw, str):
            raise error or Invalid("a list or a table depends on the job", code="bad-expansion")
        table: dict[str, Any] = {
            "mode": mode,
            "options": {key: value for key, value in self.options.items() if key not in (*LATER, "task_id")},
            "steering": dict(self.whole.config["steering"]["parameters"]),
            "levels": [level for level in self.levels if level],
        }
        config = self.whole.config
        more = {key: config[key] for key in config if key not in _OWN and config[key] is not None}
        if config["steering"].get("system"):
            more["system"] = config["steering"]["system"]
        if more:
            table["more"] = more
        for where in self._samples()[:1]:
            if _MACHINE.search(_shown(self.concrete(raw, where, mode))):
                raise Invalid(
                    "it depends on the job and on the machine at once, and cannot be put together",
                    code="bad-expansion", hint="give each part an argument of its own",
                )  # fmt: skip
        written = template(table)
        outermost = table["levels"][:1] == [table["steering"]]
        for key, value in table["steering"].items():
            if _plain(value) and self._exported(key) is not None:
                for part in (written["steering"], *(written["levels"][:1] if outermost else ())):
                    part[key] = f"{{{key}}}"
        if written not in self.whole.tables:
            self.whole.tables.append(written)
        return Deferred(f"iceprod({literal(raw)}, {table_name(self.whole.tables.index(written))})")

    def _compare(self, raw: Any, path: Path, *, constant: bool) -> None:
        samples = self._samples()[: 1 if constant else None]
        try:
            meant = [self.concrete(raw, where, STRICT) for where in samples]
        except Invalid:
            return
        try:
            found = [self.concrete(raw, where, EXACT) for where in samples]
        except Invalid as error:
            self.whole.findings.add("differs", path, f"exact: an error, {error.message}; strict: {_shown(meant[0])}")
            return
        if list(map(_shown, found)) != list(map(_shown, meant)):
            self._say_difference(path, found, meant)

    def _say_difference(self, path: Path, found: list[Any], meant: list[Any]) -> None:
        number = next(at for at in range(len(found)) if _shown(found[at]) != _shown(meant[at]))
        job = f"job {self._samples()[number][1]}: " if len({_shown(value) for value in meant}) > 1 else ""
        self.whole.findings.add(
            "differs", path, f"{job}exact: {_shown(found[number])}; strict: {_shown(meant[number])}",
            "import with --mode exact to have it as IceProd has",
        )  # fmt: skip

    def first(self, raw: Any) -> str:
        """Return a text as it is in the first job; "" if it cannot be worked out."""
        if isinstance(raw, Mixed):
            return "".join(part if isinstance(part, str) else self.first(part[0]) for part in raw.parts)
        if depends(raw):
            return self.whole.samples.get(raw.code, "") if isinstance(raw, Deferred) else ""
        try:
            return str(self.concrete(raw, self._samples()[0], self.whole.mode))
        except Invalid:
            return ""

    def _samples(self) -> list[tuple[int, int]]:
        """Return datasets and jobs for which texts are worked out: what is the same in all of them depends on neither."""
        last = max(0, self.whole.jobs - 1)
        if len(self.whole.config["tasks"]) > MANY:
            return [(SAMPLE_DATASETS[0], 0), (SAMPLE_DATASETS[1], last)]
        jobs = sorted({job for job in (*SAMPLES, last) if job <= last})
        return [*((SAMPLE_DATASETS[0], job) for job in jobs), (SAMPLE_DATASETS[1], 0)]

    def concrete(self, raw: Any, where: tuple[int, int], mode: str) -> Any:
        """Return what a value stands for in one job of a dataset."""
        if (where, mode) not in self.around:
            dataset, job = where
            later = {"dataset": dataset, "dataset_id": dataset, "job": job, "jobs_submitted": self.whole.jobs}
            known = {key: f"<{key}>" if depends(value) else value for key, value in self.options.items()}
            options = {**known, **{key: later[key] for key in LATER if key not in self.whole.config["options"]}}
            config = {**self.whole.config, "options": options}
            self.around[where, mode] = config, surroundings(config, self.levels, mode), {}
        config, env, known = self.around[where, mode]
        if not isinstance(raw, str):
            return expand(raw, job=config, env=env, mode=mode)
        if raw not in known:
            known[raw] = expand(raw, job=config, env=env, mode=mode)
        return known[raw]


_OWN = ("version", "description", "tasks", "options", "steering", "categories")
"""Keys of a configuration that are kept otherwise, or that no text refers to."""


def table_name(number: int) -> str:
    """Return the recipe's parameter for a table that texts worked out later refer to."""
    return f"iceprod_names_{number}" if number else "iceprod_names"


def _is_known(value: Deferred) -> bool:
    return value.known is not UNKNOWN


def _plain(value: Any) -> bool:
    """Tell whether a value stands for itself."""
    return isinstance(value, int | float) or (isinstance(value, str) and "$" not in value and "\\" not in value)


def _stands(text: str) -> bool:
    """Tell whether a text is no number, phrase or JSON: it stands for itself in both modes."""
    return len(text) <= MOST_TEXT and (bool(_WORD.match(text)) or (not _SIGNS.search(text) and coerce(text) is text))


def _shown(value: Any) -> str:
    return str(value)


_WORD = re.compile(r"(?!(?:true|false|null|nan|inf|infinity)\Z)[A-Za-z_/.-][A-Za-z_/.-]*\Z", re.IGNORECASE)
"""A text that is nothing but a word: no number, no phrase, no JSON."""
_SIGNS = re.compile(r"[$\\()\[\]]")
_MACHINE = re.compile(r"\$\{?(?:OS_ARCH|SROOT|I3_BUILD|I3_SRC)\b")
_NAMED = re.compile(r"\$\(([^$()]*)\)")
_PHRASE = re.compile(r"\$[A-Za-z_]*\([^)]{0,60}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,50}\Z")
