"""The calls to HTCondor, each for a whole set: submit, query, remove, change; all its errors become ours here.

The package `htcondor` is imported when an engine is made, since most installations do without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nunatak.core.errors import Invalid, Unavailable
from nunatak.engines.htcondor.expressions import quoted
from nunatak.engines.htcondor.options import HTCondorSettings

Job = tuple[int, int]
"""Cluster and proc."""
_TOGETHER = 1000
"""Jobs named in one call."""


class Condor:
    """A pool and one of its schedds, found anew when a call has failed."""

    def __init__(self, options: HTCondorSettings) -> None:
        """Load the bindings and check expressions. Raises `Invalid` if HTCondor's package is missing or one is wrong."""
        if options.config:
            os.environ["CONDOR_CONFIG"] = str(options.config)
        elif not _configured():
            os.environ["CONDOR_CONFIG"] = "ONLY_ENV"  # else the bindings refuse to load
        try:
            import classad2
            import htcondor2
        except ImportError as error:
            raise Invalid(
                f"HTCondor's Python bindings cannot be loaded: {error}",
                code="no-htcondor",
                hint="pip install 'nunatak[htcondor]'",
            ) from None
        self._api, self._classad = htcondor2, classad2
        if options.token_directory:
            htcondor2.param["SEC_TOKEN_DIRECTORY"] = str(options.token_directory)
            htcondor2.param["SEC_CLIENT_AUTHENTICATION_METHODS"] = "IDTOKENS"
        self._collector, self._name = options.collector or None, (options.schedd or (None,))[0]
        self._found: Any = None
        self._spool: str | None = None
        self._check(
            {"requirements": options.requirements, "rank": options.rank, **options.attributes, **options.features}
        )

    def _check(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            try:
                if text:
                    self._classad.ExprTree(text)
            except Exception as error:
                raise Invalid(
                    f"settings of the engine 'htcondor': {name}: {text!r} is not a ClassAd expression",
                    code="bad-setting",
                    hint='quote texts, as in Department == "physics"',
                ) from error

    def readable(self, text: str) -> bool:
        """Tell whether a text is one expression."""
        try:
            self._classad.ExprTree(f"({text})")
            self._classad.ExprTree(text)
        except Exception:  # noqa: BLE001 - the bindings have an exception of their own, found when they are loaded
            return False
        return True

    # ---- the queue

    def submit(self, description: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> list[Job]:
        """Submit one cluster with a job for each row, in order. Raises `Unavailable`."""
        try:
            submit = self._api.Submit(dict(description))
            result = self._schedd().submit(submit, itemdata=iter([dict(row) for row in rows]))
            if result.num_procs() != len(rows):
                raise RuntimeError(f"{result.num_procs()} jobs instead of {len(rows)}")
            return [(result.cluster(), result.first_proc() + number) for number in range(len(rows))]
        except Exception as error:
            raise self._away("the schedd does not take jobs", error) from error

    def knock(self) -> None:
        """Find out whether the schedd lets us submit, without submitting. Raises `Unavailable`."""
        try:
            self._api.ping(self._locate(), "WRITE")
        except Exception as error:
            raise self._away("the schedd does not take jobs", error) from error

    def queue(self, constraint: str, projection: Sequence[str]) -> list[dict[str, Any]]:
        """Return the jobs for which `constraint` holds. Raises `Unavailable`."""
        try:
            return [self._plain(ad) for ad in self._schedd().query(constraint, projection=list(projection))]
        except Exception as error:
            raise self._away("the schedd does not answer", error) from error

    def remove(self, jobs: Iterable[Job], reason: str, *, by_force: bool = False) -> None:
        """Remove jobs from the queue; those that are not there are no error. Raises `Unavailable`."""
        action = self._api.JobAction.RemoveX if by_force else self._api.JobAction.Remove
        self._act(jobs, lambda part: self._schedd().act(action, part, reason=reason))

    def spool(self) -> str:
        """Return the directory in which the schedd keeps files of jobs; "" if it does not say. Raises `Unavailable`."""
        if self._spool is None:
            try:
                self._spool = str(self._api.RemoteParam(self._locate())["SPOOL"])
            except Exception:  # noqa: BLE001 - not everybody may ask, and the bindings raise several kinds
                self._spool = ""
        return self._spool

    def bring_back(self, job: Job, place: Path, home: Path) -> None:
        """Fetch the files that a job left, from its place in the spool to a directory here. Raises `Unavailable`.

        The job must not be begun again: it is told another initial directory.
        """
        names = [f"{job[0]}.{job[1]}"]
        told = {"SUBMIT_Iwd": str(home), "Iwd": str(place), "Out": "_condor_stdout", "Err": "_condor_stderr"}
        try:
            for name, value in told.items():
                self._schedd().edit(names, name, quoted(value))
            self._schedd().retrieve(names)
        except Exception as error:
            raise self._away("the files of a job could not be fetched", error) from error

    def exclude(self, constraint: str, attribute: str, places: str) -> None:
        """Keep waiting jobs off nodes or sites. Raises `Unavailable`."""
        try:
            if self.queue(constraint, ["ProcId"]):
                self._schedd().edit(constraint, attribute, quoted(places))
        except Unavailable:
            raise
        except Exception as error:
            raise self._away("waiting jobs could not be told of nodes to avoid", error) from error

    def _act(self, jobs: Iterable[Job], act: Any) -> None:
        names = [f"{cluster}.{proc}" for cluster, proc in jobs]
        try:
            for start in range(0, len(names), _TOGETHER):
                act(names[start : start + _TOGETHER])
        except Exception as error:
            raise self._away("jobs could not be removed", error) from error

    # ---- the pool

    def machines(self, constraint: str, projection: Sequence[str]) -> list[dict[str, Any]]:
        """Return the slots for which `constraint` holds. Raises `Unavailable`."""
        try:
            kind = getattr(self._api.AdType, "Slot", self._api.AdType.Startd)
            found = self._api.Collector(self._collector).query(kind, constraint=constraint, projection=list(projection))
            return [self._plain(ad) for ad in found]
        except Exception as error:
            raise self._away("the collector does not answer", error) from error

    def duty(self) -> float:
        """Return how busy the schedd says it is, from 0 to 1. Raises `Unavailable`."""
        try:
            name = self._name or self._locate().get("Name")
            found = self._api.Collector(self._collector).query(
                self._api.AdType.Schedd, constraint=f'Name == "{name}"', projection=["RecentDaemonCoreDutyCycle"]
            )
            value = found[0].get("RecentDaemonCoreDutyCycle", 0.0) if found else 0.0
            return float(value) if isinstance(value, int | float) else 0.0
        except Exception as error:
            raise self._away("the collector does not answer", error) from error

    def log(self, path: str, offset: int) -> Any:
        """Open an event log at an offset. Raises `OSError` if that cannot be."""
        try:
            log = self._api.JobEventLog.__new__(self._api.JobEventLog)
            log.__setstate__(({"_deadline": 0, "_filename": path}, offset))
        except Exception as error:
            raise OSError(str(error)) from error
        return log

    def _locate(self) -> Any:
        return self._api.Collector(self._collector).locate(self._api.DaemonType.Schedd, self._name)

    def _schedd(self) -> Any:
        if self._found is None:
            self._found = self._api.Schedd(self._locate())
        return self._found

    def _plain(self, ad: Any) -> dict[str, Any]:
        """Return an ad as plain values; expressions are evaluated."""
        found = {}
        for name in ad:
            value = ad.eval(name) if isinstance(ad[name], self._classad.ExprTree) else ad[name]
            if not isinstance(value, self._classad.Value):
                found[name] = value
        return found

    def _away(self, what: str, error: Exception) -> Unavailable:
        self._found = None
        if isinstance(error, Unavailable):
            return error
        said = " ".join(str(error).split())[:300]
        return Unavailable(
            f"{what}: {said}",
            code="htcondor-away",
            hint="check the collector's address, the token and that the schedd runs: condor_q with the same CONDOR_CONFIG",
        )


def _configured() -> bool:
    """Tell whether HTCondor finds a configuration by itself."""
    places = (Path("/etc/condor/condor_config"), Path("/usr/local/etc/condor_config"))
    return bool(os.environ.get("CONDOR_CONFIG")) or any(path.exists() for path in places)
