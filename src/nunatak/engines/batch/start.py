"""Make the engines of batch systems from their options: what the entry points `slurm`, `pbs`, `gridengine`, `lsf` name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nunatak.core.clock import Clock, system_clock
from nunatak.core.work import Shape
from nunatak.engines.batch.dialect import Dialect
from nunatak.engines.batch.engine import BatchEngine
from nunatak.engines.batch.ferry import Ferry
from nunatak.engines.batch.fits import Terms
from nunatak.engines.batch.gridengine import GridEngine
from nunatak.engines.batch.lsf import Lsf
from nunatak.engines.batch.pbs import Pbs
from nunatak.engines.batch.run import Run, by_ssh, control_place, here, pipe
from nunatak.engines.batch.script import Place
from nunatak.engines.batch.settings import BatchSettings, GridEngineSettings, OtherSettings, PbsSettings, SlurmSettings
from nunatak.engines.batch.slurm import Slurm
from nunatak.engines.batch.staged import Staged
from nunatak.engines.batch.there import shared
from nunatak.engines.local import inherited
from nunatak.engines.settings import read


def slurm(settings: Mapping[str, Any], clock: Clock = system_clock) -> BatchEngine:
    """Make an engine for Slurm from the options of `SlurmSettings`. Raises `Invalid` for what they get wrong."""
    options = read(SlurmSettings, settings, "slurm")
    dialect = Slurm(
        account=options.account, qos=options.qos, nice=options.nice, extra=options.extra, history=options.history
    )
    return _engine(options, dialect, options.partitions, options.platform, clock)


def pbs(settings: Mapping[str, Any], clock: Clock = system_clock) -> BatchEngine:
    """Make an engine for OpenPBS or Torque from the options of `PbsSettings`. Raises `Invalid` for what they get wrong."""
    options = read(PbsSettings, settings, "pbs")
    dialect = Pbs(
        _most(options), queues=options.queues, account=options.account, extra=options.extra, torque=options.torque
    )
    return _engine(options, dialect, options.queues, options.platform, clock)


def gridengine(settings: Mapping[str, Any], clock: Clock = system_clock) -> BatchEngine:
    """Make an engine for Grid Engine from the options of `GridEngineSettings`. Raises `Invalid` for what they get wrong."""
    options = read(GridEngineSettings, settings, "gridengine")
    dialect = GridEngine(
        _most(options),
        queues=options.queues,
        account=options.account,
        extra=options.extra,
        parallel=options.parallel,
        memory=options.memory_resource,
    )
    return _engine(options, dialect, options.queues, options.platform, clock)


def lsf(settings: Mapping[str, Any], clock: Clock = system_clock) -> BatchEngine:
    """Make an engine for LSF from the options of `OtherSettings`. Raises `Invalid` for what they get wrong."""
    options = read(OtherSettings, settings, "lsf")
    dialect = Lsf(_most(options), queues=options.queues, account=options.account, extra=options.extra)
    return _engine(options, dialect, options.queues, options.platform, clock)


def _most(options: OtherSettings) -> Shape:
    """Return what is asked of the batch system for the largest attempt, margins included."""
    memory, time = options.memory + options.memory_margin, int(options.time) + options.time_margin
    return Shape(options.cpu, options.gpu, memory, options.disk, time, options.platform)


def _engine(
    options: BatchSettings, dialect: Dialect, queues: tuple[str, ...], platform: str, clock: Clock
) -> BatchEngine:
    directory = options.directory.absolute()
    there = options.directory_there or str(directory)
    connection = _Connection(options, directory)
    return BatchEngine(
        directory,
        dialect,
        connection.run(),
        place=Place(
            root=there,
            cache=options.cache or f"{there}/.cache",
            worker=tuple(_moved(word, directory, there) for word in options.worker),
            setup=options.setup,
        ),
        terms=Terms(
            queues=queues,
            memory=options.memory_margin,
            time=options.time_margin,
            disk=options.disk,
            features=options.features,
            platform=platform,
        ),
        there=connection.staged if options.staged else shared,
        carries=(*options.shared, *options.files) if options.staged else None,
        queue=options.queue,
        interval=options.interval,
        settle=options.settle,
        keep=options.keep,
        target=options.target,
        clock=clock,
    )


class _Connection:
    """The way to the batch system; the environment of the server's own settings and credentials stays here."""

    def __init__(self, options: BatchSettings, directory: Path) -> None:
        self._options, self._environ = options, inherited(os.environ)
        self._control = control_place(directory, self._environ) if options.ssh else directory

    def run(self) -> Run:
        """Return what runs commands."""
        options = self._options
        if not options.ssh:
            return here(self._environ, options.patience)
        return by_ssh(options.ssh, self._control, self._environ, options.patience)

    def staged(self, root: Path, tag: str) -> Staged:
        """Return the other end, for the engine in `root`."""
        options = self._options
        assert options.deliver
        carry = pipe(options.ssh, self._control, self._environ, options.transfer)
        return Staged(
            root, Ferry(carry, options.directory_there, tag, root / ".ferry"), options.deliver, options.shared
        )


def _moved(word: str, directory: Path, there: str) -> str:
    """Return a path below the engine's directory as the nodes see it; other words as they are."""
    inside = f"{directory}/"
    return f"{there}/{word.removeprefix(inside)}" if word.startswith(inside) else word
