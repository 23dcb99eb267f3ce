"""A real Slurm for tests: munged, slurmctld and a few slurmd of one directory, loopback only, stopped by pid.

Installed from the distribution's packages where it is missing (root on Debian). Several clusters may run beside each
other: each has its own key, sockets, ports and state.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.services import apt, owned
from tests.services.ports import free_port

PACKAGES = ("slurm-wlm", "munge")
SBIN = "/usr/sbin:/usr/bin:/sbin:/bin"
NODES = (
    "NodeName=c1 CPUs=2 RealMemory=2000 Feature=scratch",
    "NodeName=c2 CPUs=4 RealMemory=4000 Feature=fast",
    "NodeName=g1 CPUs=4 RealMemory=4000 Gres=gpu:a100:2",
    "NodeName=p1 CPUs=2 RealMemory=2000",
)
PARTITIONS = (
    "PartitionName=one Nodes=c1 Default=YES MaxTime=2:02:00 State=UP",
    "PartitionName=two Nodes=c2 MaxTime=1:00:00 State=UP",
    "PartitionName=gpu Nodes=g1 MaxTime=30:00 State=UP",
    "PartitionName=low Nodes=p1 PriorityTier=1 MaxTime=30:00 State=UP",
    "PartitionName=high Nodes=p1 PriorityTier=10 MaxTime=30:00 State=UP",
)
CONF = """\
ClusterName=nunatak
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmctldParameters=idle_on_node_suspend
SlurmUser={me}
SlurmdUser={me}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={base}/run/munge.sock
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/slurmd.%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd.%n.log
SlurmctldTimeout=10
SlurmdTimeout=10
MessageTimeout=5
MinJobAge={age}
KillWait=5
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={base}/log/jobcomp.txt
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""


def is_installed() -> bool:
    """Tell whether Slurm and munge are there."""
    return bool(shutil.which("slurmctld", path=SBIN) and shutil.which("munged", path=SBIN))


def installed() -> None:
    """Install Slurm and munge if they are missing. Raises `RuntimeError` where that fails."""
    apt.install(PACKAGES, is_installed)


@dataclass
class Slurm:
    """One running cluster. `environ` makes Slurm's commands talk to it."""

    base: Path
    environ: dict[str, str]
    pids: dict[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()  # words before each command: where the cluster has a system of its own

    @classmethod
    def start(
        cls,
        *,
        nodes: Sequence[str] = NODES,
        partitions: Sequence[str] = PARTITIONS,
        age: int = 3600,
        prefix: tuple[str, ...] = (),
    ) -> Slurm:
        """Start munged, slurmctld and one slurmd a node, and wait until every node is idle.

        With a `prefix` (`tests.services.slurm_root`) they are those of another system.
        """
        if not prefix:
            installed()
        base = owned.directory("nunatak-slurm-")
        base.chmod(0o755)
        for name in ("spool", "state", "log", "run"):
            (base / name).mkdir(mode=0o755)
        cluster = cls(
            base,
            {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SBIN}", "SLURM_CONF": f"{base}/slurm.conf"},
            prefix=prefix,
        )
        try:
            cluster._configure(nodes, partitions, age)
            cluster.start_munge()
            cluster.start_controller()
            for name in cluster.names:
                cluster.start_node(name)
            cluster.until_idle(cluster.names)
        except BaseException:
            cluster.stop()
            raise
        return cluster

    def _configure(self, nodes: Sequence[str], partitions: Sequence[str], age: int) -> None:
        host = socket.gethostname().split(".")[0]
        ports = [free_port() for _ in range(len(nodes) + 1)]
        conf = CONF.format(host=host, port=ports[0], me=getpass.getuser(), base=self.base, age=age)
        names = []
        for line, port in zip(nodes, ports[1:], strict=True):
            found = re.search(r"NodeName=(\S+)", line)
            assert found
            names.append(found[1])
            (self.base / "spool" / found[1]).mkdir()
            conf += f"{line} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}\n"
        self.names = tuple(names)
        (self.base / "slurm.conf").write_text(conf + "".join(f"{line}\n" for line in partitions))
        gpus = [name for name, line in zip(names, nodes, strict=True) if "Gres=gpu" in line]
        devices = "".join(f"NodeName={name} Name=gpu Type=a100 File=/dev/tty[0-1]\n" for name in gpus)
        (self.base / "gres.conf").write_text(devices)
        (self.base / "cgroup.conf").write_text("CgroupPlugin=disabled\n" if self.version >= (24,) else "")

    @property
    def version(self) -> tuple[int, ...]:
        """Return the version of the installed Slurm."""
        return tuple(int(number) for number in re.findall(r"\d+", self.run("sbatch", "--version").stdout)[:2])

    def start_munge(self) -> None:
        """Start munged; the key is made once."""
        key = self.base / "munge.key"
        if not key.exists():
            key.write_bytes(os.urandom(1024))
            key.chmod(0o400)
        run, log = self.base / "run", self.base / "log"
        files = {"key-file": key, "socket": run / "munge.sock", "pid-file": run / "munged.pid"}
        files |= {"log-file": log / "munged.log", "seed-file": self.base / "munge.seed"}
        self._daemon("munged", files["pid-file"], "munged", *(f"--{name}={path}" for name, path in files.items()))

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._daemon("slurmctld", self.base / "run" / "slurmctld.pid", "slurmctld", "-f", str(self.base / "slurm.conf"))
        until(lambda: self.run("scontrol", "ping", check=False).stdout.count("is UP") == 1, "slurmctld does not answer")

    def start_node(self, name: str) -> None:
        """Start the slurmd of a node."""
        pid = self.base / "run" / f"slurmd.{name}.pid"
        self._daemon(name, pid, "slurmd", "-N", name, "-f", str(self.base / "slurm.conf"))

    def _daemon(self, name: str, pid_file: Path, *argv: str) -> None:
        pid_file.unlink(missing_ok=True)
        words = (*self.prefix, *argv)
        done = subprocess.run(words, env=self.environ, capture_output=True, text=True, check=False, cwd=self.base)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} does not start: {done.stdout}{done.stderr}")
        until(lambda: pid_file.exists() and pid_file.read_text().strip().isdigit(), f"{argv[0]} writes no pid")
        self.pids[name] = int(pid_file.read_text())

    def until_idle(self, names: Sequence[str]) -> None:
        """Wait until nodes are ready for jobs and have none."""

        def idle() -> bool:
            return set(self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").stdout.split()) >= set(names)

        try:
            until(idle, f"not idle: {names}")
        except RuntimeError as error:
            seen = self.run("sinfo", "-N", "-o", "%N %T %E").stdout + self.run("squeue", "-o", "%i %T %r %N %k").stdout
            raise RuntimeError(f"{error}\n{seen}") from None

    def run(self, *argv: str, check: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of Slurm against this cluster."""
        words = (*self.prefix, *argv)
        return subprocess.run(words, env=self.environ, input=text, capture_output=True, text=True, check=check)

    def kill(self, name: str) -> None:
        """Kill a daemon at once: `slurmctld`, or the slurmd of a node with every process below it."""
        pid = self.pids.pop(name)
        if name in self.names:
            for step in _steps(self.base / "spool" / name):
                kill_tree(step)
        kill_tree(pid)

    def stop(self) -> None:
        """Stop what was started here, and remove its files."""
        if "slurmctld" in self.pids:
            self.run("scancel", "--me", check=False)
        for name in [*self.names, "slurmctld", "munged"]:
            if name in self.pids:
                self.kill(name)
        shutil.rmtree(self.base, ignore_errors=True)


def _steps(spool: Path) -> list[int]:
    """Return the slurmstepd processes of a node: they outlive their slurmd."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if words.startswith(b"slurmstepd") and any(
                    f"{spool.parents[1].name}/spool/{spool.name}" in str(fd.readlink())
                    for fd in (entry / "fd").iterdir()
                    if fd.is_symlink()
                ):
                    found.append(int(entry.name))
    return found


def kill_tree(pid: int, number: int = signal.SIGKILL) -> None:
    """Kill a process and all below it."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, number)
        for child in children:
            kill_tree(int(child))


def until(condition: Callable[[], object], complaint: str, seconds: float = 60.0) -> None:
    """Wait for a condition. Raises `RuntimeError` with the complaint."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(complaint)
        time.sleep(0.05)
