"""Make the engines of batch systems from their options: what the entry points `slurm`, `pbs`, `gridengine`, `lsf` name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nunatak.core.clock import Clock, system_clock
from nunatak.engines.batch.dialect import Dialect
from nunatak.engines.batch.engine import BatchEngine
from nunatak.engines.batch.fits import Terms
from nunatak.engines.batch.run import Run, by_ssh, here
from nunatak.engines.batch.script import Place
from nunatak.engines.batch.settings import BatchSettings, SlurmSettings
from nunatak.engines.batch.slurm import Slurm
from nunatak.engines.local import inherited
from nunatak.engines.settings import read


def slurm(settings: Mapping[str, Any], clock: Clock = system_clock) -> BatchEngine:
    """Make an engine for Slurm from the options of `SlurmSettings`. Raises `Invalid` for what they get wrong."""
    options = read(SlurmSettings, settings, "slurm")
    dialect = Slurm(
        account=options.account, qos=options.qos, nice=options.nice, extra=options.extra, history=options.history
    )
    return _engine(options, dialect, options.partitions, options.platform, clock)


def _engine(
    options: BatchSettings, dialect: Dialect, queues: tuple[str, ...], platform: str, clock: Clock
) -> BatchEngine:
    directory = options.directory.absolute()
    there = options.directory_there or str(directory)
    return BatchEngine(
        directory,
        dialect,
        _run(options, directory),
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
        queue=options.queue,
        interval=options.interval,
        settle=options.settle,
        keep=options.keep,
        clock=clock,
    )


def _run(options: BatchSettings, directory: Path) -> Run:
    """Return what runs commands; the environment of the server's own settings and credentials stays here."""
    environ = inherited(os.environ)
    if not options.ssh:
        return here(environ, options.patience)
    return by_ssh(options.ssh, Path(environ.get("XDG_RUNTIME_DIR") or directory) / ".ssh", environ, options.patience)


def _moved(word: str, directory: Path, there: str) -> str:
    """Return a path below the engine's directory as the nodes see it; other words as they are."""
    inside = f"{directory}/"
    return f"{there}/{word.removeprefix(inside)}" if word.startswith(inside) else word
