"""The page docs/reference/engines.md: what stands in the option classes of the engines, and around it what they are."""

from __future__ import annotations

from collections.abc import Iterable

from nunatak.engines.batch.settings import BatchSettings, GridEngineSettings, OtherSettings, PbsSettings, SlurmSettings
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.options import Option, describe
from nunatak.engines.settings import LocalSettings, SimulatedSettings

HEAD = """\
# Engines

An engine carries tasks to one computing resource, in a process of its own: [`nunatak serve engine NAME`](cli.md). Its options are given as
`--option NAME=VALUE`, or in the table `[engines.NAME.options]` of the [settings file](settings.md#engines). Amounts have units (`2 GB`, `10 min`), lists
are lists in the file and separated by commas on the command line. A wrong or unknown option ends the start, with the nearest spelling;
`nunatak config check` finds it before. No default: the meaning says what holds without it, or nothing.

| kind | what it is | tested on |
|---|---|---|
| [`local`](#local) | processes on this machine | real processes |
| [`htcondor`](#htcondor) | jobs of an HTCondor pool; [how to](../how-to/run-on-htcondor.md) | a real pool (23.9), by bindings of 25.14 |
| [`slurm`](#slurm) | jobs of a Slurm cluster; [how to](../how-to/run-on-slurm.md) | real clusters (22.05 and 24.11) |
| [`pbs`](#pbs) | OpenPBS or Torque | **recorded only** |
| [`gridengine`](#gridengine) | Grid Engine | a real one (8.1.9) |
| [`lsf`](#lsf) | LSF | **recorded only** |
| [`simulated`](#simulated) | no resource: attempts take time and fail as told | itself |

*Recorded only*: commands and answers are tested against transcripts written from the manuals, and no such system has been run against. Others can be
[added](../how-to/add-an-engine.md). An engine started by `nunatak serve engine` keeps all it has below `engines/NAME` of the data directory
unless `directory` says otherwise.
"""
SHARED = """\
## Batch systems

Options that `slurm`, `pbs`, `gridengine` and `lsf` have in common.
"""
SLURM = """\
## `slurm`

Cores, memory, GPUs, features and limits are read from `scontrol show node` and `scontrol show partition`.
"""
OTHERS = """\
## `lsf`

It is not asked what the cluster has, nor told which nodes to avoid; the same holds for `pbs` and `gridengine`. All three have these:
"""
LOCAL = """\
## `local`

`cores`, `memory` and `series_target` of the [settings](settings.md) are its `cpu`, `memory` and `target` unless these are given.
"""
HTCONDOR = """\
## `htcondor`

Pairs are `Name = expression; Name = expression`, with spaces around `=`, or a table in the settings file. Expressions are ClassAds: texts in them have quotes.
"""
TAIL = """\
## In the directory of a batch system's engine

| path | what |
|---|---|
| `42/17/propagate.2.9f3c/` | the [sandbox](worker.md#the-sandbox) of an attempt; beside the worker's files `script` as it was submitted (`nunatak why ADDRESS --script` shows it), `stop.json` why it was ended, `ended.json` how it ended |
| `.submissions/MARK/` | a submission: `tasks` (the sandboxes, or orders of series), `script`, `job` (the batch system's id) |
| `.series/000000000004/` | a series of short tasks that one job runs: `series.json` its order, `script` |
| `.talk/MARK.INDEX.out` | what a job said beside its logs |
| `.worker/` | the worker |

A submission is written down before the batch system is asked, and its mark is in the job's comment (Slurm) or name. An engine that was killed in between asks for the mark. What is not
out there is submitted again; should the first submission arrive late, its jobs find their list gone and do nothing.
"""


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join(
        [
            HEAD,
            LOCAL,
            *_table(describe(LocalSettings)),
            HTCONDOR,
            *_table(describe(HTCondorSettings), given=("worker", "keep", "directory")),
            SHARED,
            *_table(describe(BatchSettings), given=("deliver",)),
            SLURM,
            *_table(describe(SlurmSettings, without=BatchSettings)),
            OTHERS,
            *_table(describe(OtherSettings, without=BatchSettings)),
            "## `pbs`\n\nBeside those of [`lsf`](#lsf):\n",
            *_table(describe(PbsSettings, without=OtherSettings)),
            "## `gridengine`\n\nBeside those of [`lsf`](#lsf):\n",
            *_table(describe(GridEngineSettings, without=OtherSettings)),
            "## `simulated`\n",
            *_table(describe(SimulatedSettings)),
            TAIL,
        ]
    )


def _table(options: Iterable[Option], given: tuple[str, ...] = ()) -> list[str]:
    rows = [f"| `{row.name}` | {row.meaning} | {row.default} |" for row in options if row.name not in given]
    return ["| option | meaning | default |", "|---|---|---|", *rows, ""]
