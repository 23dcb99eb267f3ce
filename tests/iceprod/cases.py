"""The corpus: configurations, what each has to become, and a tree of software that shows what was called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nunatak.datasets.manifest import Manifest
from nunatak.datasets.plan import Plan, StoredFile
from nunatak.datasets.recipe import compile_recipe
from nunatak.iceprod.importing import Imported, import_config

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
NAMES = sorted(path.name.removesuffix(".expected.json") for path in CORPUS.glob("*.expected.json"))
FEATURES = ("cvmfs", "gsiftp", "pelican", "s3", "site:CHTC", "token", "gpu_capability=7.5", "xrootd", "davs", "srm")
"""What the machine of the tests has."""
CLIENTS = ("gfal-copy", "gfal-cat", "pelican", "aws", "xrdcp")
ENV_SHELL = """#!/bin/sh
[ "$1" != --quiet ] || shift
export SROOT={tree}/cvmfs/sroot I3_BUILD={tree}/cvmfs/build I3_SRC={tree}/cvmfs/src PYTHONPATH={tree}/v1
exec "$@"
"""
CONTAINER = """#!/bin/sh
while [ "$1" != --pwd ]; do shift; done
printf '%s\\n' "$3" >> "$HOME/images"
cd "$2"; shift 3; exec "$@"
"""


@dataclass(frozen=True)
class Case:
    """One configuration, `{TREE}` and `{WEB}` filled in, and what is expected of it."""

    name: str
    config: str
    expected: Mapping[str, Any]

    @property
    def jobs(self) -> list[int]:
        """The jobs that are looked at."""
        return sorted(map(int, self.expected["runs"]))

    def imported(self, mode: str = "", numbers: Mapping[str, int] = {}) -> Imported:
        """Import it; `numbers` are those of other cases as datasets, which it may come after."""
        files = self.expected.get("task_files")
        return import_config(
            self.config, filename=f"{self.name}.json", jobs=self.expected["jobs"],
            mode=mode or self.expected.get("mode", "strict"), options=self.expected.get("options"),
            task_files=json.dumps(files) if files else None,
            datasets={of: numbers.get(name, 1) if name else 0 for of, name in self.expected.get("datasets", {}).items()},
        )  # fmt: skip


def case(name: str, tree: str = "/tree", web: str = "http://127.0.0.1:1") -> Case:
    """Read one of the corpus."""

    def filled(path: Path) -> str:
        return path.read_text().replace("{TREE}", tree).replace("{WEB}", web)

    return Case(name, filled(CORPUS / f"{name}.json"), json.loads(filled(CORPUS / f"{name}.expected.json")))


def compiled(made: Imported) -> Plan:
    """Check a recipe as the server does."""
    manifest = Manifest({name: StoredFile("0" * 64, 1) for name in (*made.files, *made.sources)})
    return compile_recipe(made.text, filename="recipe.yaml", manifest=manifest)


def build_tree(tree: Path) -> None:
    """Make the software, the tools and the files that are there before."""
    for name in ("calls", "bin", "v1/fakev1", "data/gcd", "remote", "web/tools", "cvmfs/tools", "cvmfs/build/bin"):
        (tree / name).mkdir(parents=True)
    record = HERE / "software" / "record.py"
    for name in ("record.py", "web/fetched.py", "cvmfs/tools/installed.py", "cvmfs/build/bin/tool.py"):
        shutil.copy(record, tree / name)
    (tree / "web/w.txt").write_text("w\n")
    (tree / "data/gcd/GCD.txt").write_text("gcd\n")
    shell_script(tree / "web/tools/fetched.sh")
    shutil.copy(HERE / "software" / "fakev1.py", tree / "v1/fakev1/modules.py")
    (tree / "v1/fakev1/__init__.py").touch()
    for client in CLIENTS:
        program(tree / "bin" / client, (HERE / "software" / "copy.py").read_text())
    program(tree / "bin/apptainer", CONTAINER)
    shell = tree / "cvmfs/icecube.opensciencegrid.org/py3-v4.3.0/icetray-env.sh"
    shell.parent.mkdir(parents=True)
    program(shell, ENV_SHELL.format(tree=tree))


def program(path: Path, text: str) -> None:
    """Write something that can be started."""
    path.write_text(text)
    path.chmod(0o755)


def shell_script(path: Path) -> None:
    """Write a shell script that notes its call."""
    text = (
        'import os, sys; sys.path.insert(0, os.environ["HOME"]); import record; '
        "record.note([os.path.basename(sys.argv[1]), *sys.argv[2:]])"
    )
    program(path, f'#!/bin/sh\nexec python3 -c \'{text}\' "$0" "$@"\n')


def place_sources(made: Imported, directory: Path) -> None:
    """Put what modules run beside a configuration."""
    for name in made.sources:
        if name.endswith(".sh"):
            shell_script(directory / name)
        else:
            program(directory / name, (HERE / "software" / "record.py").read_text())
