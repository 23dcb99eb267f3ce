"""The system that all HTCondor pools for tests run on: Debian 13 with `minicondor`, installed once below the tests' cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.services import apt
from tests.services.roots import cache, locked, run

SUITE = "trixie"
PACKAGES = ("minicondor", "libfaketime", "strace")
USER, IDENTITY = 4001, "prod"
"""Who submits: a user id that has no name on this machine, and its name in the pool."""
APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
BEGIN = """\
set -e
root=$1; shift
mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    mkdir -p "$root/$2"; mount --bind "$1" "$root/$2"; shift 2
done
shift
exec chroot "$root" "$@"
"""
"""Makes the mounts of a system and runs a command in it: ROOT [PLACE PLACE-IN-ROOT]... -- COMMAND."""


def system() -> Path:
    """Return the root that all pools run on, installed if it was not."""
    home = cache() / "htcondor"
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / "install.lock"):
        _install(home)
    return home / "root"


def _install(home: Path) -> None:
    """Install the system below `home`, or what is missing of it."""
    root, mark = home / "root", home / "installed"
    if mark.exists() and mark.read_text().split() == list(PACKAGES):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError("a pool for tests can be installed by root on Debian only")
    if not mark.exists():
        apt.install(("debootstrap",), lambda: bool(shutil.which("debootstrap")))
        shutil.rmtree(root, ignore_errors=True)  # nothing can be mounted in it: mounts are made in private
        run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root)])
    get = f"apt-get update -q && apt-get install -q -y --no-install-recommends {' '.join(PACKAGES)}"
    run(
        [*APART, "sh", "-c", BEGIN, "sh", str(root), "--", "sh", "-c", get],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if f":{USER}:" not in (root / "etc/passwd").read_text():
        run(["chroot", str(root), "useradd", "-u", str(USER), "-M", IDENTITY])
    mark.write_text("\n".join(PACKAGES))
