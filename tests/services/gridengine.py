"""A real Grid Engine for tests: qmaster and execd of Debian 12's gridengine, in a root and a hostname of their own, on loopback.

The system is installed once below the tests' cache. Its state is in memory and private to one cluster, so that several
may run beside each other; it sees the same files below the temporary directory, and nothing else of this system's.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.ports import free_port
from tests.services.roots import installed, run
from tests.services.slurm import kill_tree, until

SUITE = "bookworm"
STATE = ("var/lib/gridengine/default", "var/spool/gridengine")
SLOTS = 2
_INSTALL = """\
set -e
export DEBIAN_FRONTEND=noninteractive
hostname ge
apt-get update -q
apt-get install -q -y --no-install-recommends netbase debconf-utils msmtp-mta python3
for part in common client master; do
    echo "gridengine-$part shared/gridenginemaster string localhost" | debconf-set-selections
done
apt-get install -q -y --no-install-recommends gridengine-master gridengine-exec gridengine-client
"""
_MOUNT = """\
set -e
hostname ge
for place in proc sys dev; do mount --rbind "/$place" "$1/$place"; done
mount --rbind "$2" "$1$2"
for place in var/lib/gridengine/default var/spool/gridengine; do
    mkdir -p "$1/mnt/$place"
    mount --bind "$1/$place" "$1/mnt/$place"
    mount -t tmpfs tmpfs "$1/$place"
    chmod 755 "$1/$place"
    cp -a "$1/mnt/$place/." "$1/$place/"
done
echo ready
exec sleep infinity
"""
_CONFIGURE = """\
set -e
cd /var/spool/gridengine
qconf -as localhost
qconf -sconf | sed -e 's/^min_uid .*/min_uid 0/' -e 's/^min_gid .*/min_gid 0/' \\
    -e 's/^load_report_time .*/load_report_time 0:0:1/' \\
    -e 's/flush_time=00:00:15/flush_time=00:00:01 accounting_flush_time=00:00:00/' > global
qconf -Mconf global
qconf -ssconf | sed -e 's/^schedule_interval .*/schedule_interval 0:0:1/' -e 's/^flush_submit_sec .*/flush_submit_sec 1/' \\
    -e 's/^flush_finish_sec .*/flush_finish_sec 1/' -e 's/^job_load_adjustments .*/job_load_adjustments NONE/' > scheduler
qconf -Msconf scheduler
cat > pe <<'END'
pe_name smp
slots 100
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
END
qconf -Ap pe
cat > queue <<'END'
{queue}
END
qconf -Aq queue
"""
_QUEUE = {
    "qname": "all.q", "hostlist": "localhost", "seq_no": "0", "load_thresholds": "NONE", "suspend_thresholds": "NONE",
    "nsuspend": "1", "suspend_interval": "00:05:00", "priority": "0", "min_cpu_interval": "00:00:01", "processors": "UNDEFINED",
    "qtype": "BATCH", "ckpt_list": "NONE", "pe_list": "smp", "rerun": "FALSE", "slots": str(SLOTS), "tmpdir": "/tmp",
    "shell": "/bin/sh", "prolog": "NONE", "epilog": "NONE", "shell_start_mode": "posix_compliant", "starter_method": "NONE",
    "suspend_method": "NONE", "resume_method": "NONE", "terminate_method": "NONE", "notify": "00:00:60",
    **dict.fromkeys(("owner_list", "user_lists", "xuser_lists", "subordinate_list", "complex_values", "projects",
                     "xprojects", "calendar"), "NONE"),
    "initial_state": "default",
    **{f"{side}_{what}": "INFINITY" for what in ("rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem") for side in "sh"},
    "h_rt": "2:00:00",
}  # fmt: skip


def _finish(root: Path) -> None:
    (root / "etc/hosts").write_text("127.0.0.1 localhost ge\n")
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    mount = 'for p in proc sys dev; do mount --rbind "/$p" "$1/$p"; done; exec chroot "$1" sh -c "$2"'
    apart = ("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--propagation", "private")
    run([*apart, "sh", "-c", mount, "sh", str(root), _INSTALL])


@dataclass
class GridEngine:
    """One running cluster of one node. `prefix` are the words before a command that talks to it."""

    root: Path
    prefix: tuple[str, ...]

    def run(self, *argv: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Grid Engine against this cluster."""
        return subprocess.run((*self.prefix, *argv), input=text, capture_output=True, text=True, check=check)

    def begin(self) -> None:
        """Start qmaster, set it up, start execd, and wait until the queue takes jobs."""
        self.start_master()
        queue = "\n".join(f"{name} {value}" for name, value in _QUEUE.items())
        self.run("sh", "-c", _CONFIGURE.replace("{queue}", queue))
        self.run("sge_execd")
        until(self._ready, f"the queue is not ready: {self.run('qstat', '-f').stdout}")

    def start_master(self) -> None:
        """Start qmaster, and wait until it answers."""
        self.run("sge_qmaster")
        until(lambda: self.run("qconf", "-sm", check=False).returncode == 0, "sge_qmaster does not answer")

    def kill_master(self) -> None:
        """Kill -9 qmaster."""
        self._kill("qmaster/qmaster.pid")

    def _kill(self, name: str) -> None:
        found = self.run("cat", f"/var/spool/gridengine/{name}", check=False).stdout.strip()
        if found:
            kill_tree(int(found))

    def _ready(self) -> bool:
        rows = [line.split() for line in self.run("qstat", "-f").stdout.splitlines() if line.startswith("all.q@")]
        return len(rows) == 1 and len(rows[0]) == 5  # a sixth word is a state that is not fine

    def end(self) -> None:
        """Stop both, with all they started."""
        for name in ("execd/localhost/execd.pid", "qmaster/qmaster.pid"):
            self._kill(name)


def system() -> Path:
    """Return the root of the system, installed by the first process that wants it."""
    return installed("gridengine", SUITE, _finish)


@contextmanager
def gridengine() -> Iterator[GridEngine]:
    """Give a cluster of its own."""
    root, shared = system(), str(Path(tempfile.gettempdir()).resolve())
    (root / shared.lstrip("/")).mkdir(parents=True, exist_ok=True)
    apart = ("unshare", "--mount", "--uts", "--propagation", "private")
    keeper = subprocess.Popen([*apart, "sh", "-c", _MOUNT, "sh", root, shared], stdout=subprocess.PIPE, text=True)
    ports = {"SGE_QMASTER_PORT": free_port(), "SGE_EXECD_PORT": free_port()}
    variables = {"SGE_ROOT": "/var/lib/gridengine", "SGE_CELL": "default", "SGE_ARCH": "lx-amd64", **ports}
    words = [f"{name}={value}" for name, value in variables.items()]
    inside = ("nsenter", f"--target={keeper.pid}", "--mount", "--uts", "chroot", str(root))
    cluster = GridEngine(root, (*inside, "env", *words))
    try:
        assert keeper.stdout
        if keeper.stdout.readline() != "ready\n":
            raise RuntimeError(f"{root} could not be made ready")
        cluster.begin()
        yield cluster
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            cluster.end()
        keeper.kill()
        keeper.communicate()
