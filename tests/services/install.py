"""`python -m tests.services.install`: what the real services need, so that no test has to wait for it.

Packages of this machine are installed at once; the systems that services have to themselves are made in the background, and a
test that wants one before it is there waits. Does nothing for who is not root: the tests say then what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.services import apt, chromium, gridengine, gridftp, htcondor_root, roots, slurm, slurm_root, ssh, xrootd

PACKAGES = (
    *slurm.PACKAGES,
    *chromium.PACKAGES,
    *xrootd.PACKAGES,
    *gridftp.PACKAGES,
    "openssh-server",
    "openssh-client",
    "iproute2",
    "debootstrap",
)
COMMANDS = ("chromium", "ip", "debootstrap", "ssh")


def there() -> bool:
    """Tell whether all packages of this machine are installed."""
    systems = (slurm, xrootd, gridftp)
    return all(map(shutil.which, COMMANDS)) and all(of.is_installed() for of in systems) and Path(ssh.SSHD).exists()


SYSTEMS: dict[str, Callable[[], object]] = {
    "htcondor": htcondor_root.system, "slurm": slurm_root.system, "gridengine": gridengine.system,
}  # fmt: skip
"""The systems that services have to themselves, the one that most tests want first."""


def main() -> None:
    """Install, and begin what takes longer."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    if len(sys.argv) > 1:
        for name in sys.argv[1:]:
            SYSTEMS[name]()
        return
    apt.install(PACKAGES, there)
    roots.cache().mkdir(parents=True, exist_ok=True)
    with (roots.cache() / "install.log").open("w") as log:
        command = [sys.executable, "-m", "tests.services.install", *SYSTEMS]
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


if __name__ == "__main__":
    main()
