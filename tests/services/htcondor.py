"""A real HTCondor pool for tests: its daemons in a root of their own, on loopback, shared by all test processes.

The system it runs on (Debian 13 with `minicondor`) is installed once below a cache directory, `NUNATAK_TEST_CACHE` or
`/var/tmp/nunatak-tests`; after that a pool is up in some seconds. It lives in private mount and process namespaces:
when its first process ends, all its processes and mounts are gone, however that came about.

`python -m tests.services.htcondor stop` ends a pool that a killed test run has left.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.postgres import free_port

USER, IDENTITY = 4001, "prod"
"""Who submits: a user id that has no name on this machine, and its name in the pool."""
AS_USER = (
    "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
"""Runs a command as who submits; it may read everything, since the checkout may be where only root can read."""
_SUITE = "trixie"
_NODES = ("alpha", "beta")
"""Machines of the pool, each with a startd of its own; jobs run as `nobody` there."""
_EXECUTE = ("lib/condor/alpha", "lib/condor/beta")
_POOL = """\
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:{port}
SHARED_PORT_PORT = {port}
BIND_ALL_INTERFACES = False
ENABLE_IPV6 = False
NETWORK_INTERFACE = 127.0.0.1
UID_DOMAIN = local
FILESYSTEM_DOMAIN = access-point
TRUST_DOMAIN = local
SEC_DEFAULT_AUTHENTICATION_METHODS = FS,IDTOKENS
# The root of this system is no mount point, so that these cannot be had.
MOUNT_PRIVATE_DEV_SHM = False
MOUNT_UNDER_SCRATCH =
# The nodes know nobody of the access point and see none of its files.
STARTER_ALLOW_RUNAS_OWNER = False
MASTER_BACKOFF_CONSTANT = 1
MASTER_BACKOFF_FACTOR = 1.1
PERIODIC_EXPR_INTERVAL = 2
SHADOW_QUEUE_UPDATE_INTERVAL = 3
STARTER_UPDATE_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 2
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
UPDATE_INTERVAL = 3
CLAIM_WORKLIFE = 600
NUM_CPUS = 8
MEMORY = 8000
HasScratch = True
STARTD_ATTRS = $(STARTD_ATTRS) HasScratch
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD STARTD_BETA
STARTD_ENVIRONMENT = "_CONDOR_NETWORK_HOSTNAME=alpha _CONDOR_STARTD_NAME=alpha _CONDOR_EXECUTE=/var/lib/condor/alpha"
STARTD_BETA = $(STARTD)
STARTD_BETA_ARGS = -f -local-name BETA
STARTD_BETA_ENVIRONMENT = "_CONDOR_NETWORK_HOSTNAME=beta _CONDOR_STARTD_NAME=beta _CONDOR_EXECUTE=/var/lib/condor/beta"
STARTD.BETA.STARTD_LOG = $(LOG)/StartLog.beta
"""
_CLIENT = """\
COLLECTOR_HOST = 127.0.0.1:{port}
UID_DOMAIN = local
TRUST_DOMAIN = local
SEC_TOKEN_DIRECTORY = {tokens}
SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS
LOG = {log}
"""
_BEGIN = """\
set -e
mount -t proc proc "$1/proc"; mount --rbind /sys "$1/sys"; mount --rbind /dev "$1/dev"
[ -z "$2" ] || mount --bind "$2" "$1$2"
shift 2; root=$1; shift
exec chroot "$root" "$@"
"""
_READY = """\
import htcondor2, time
end = time.monotonic() + 60
while True:
    try:
        pool = htcondor2.Collector()
        found = pool.query(htcondor2.AdType.Startd, projection=["Name"])
        if len(found) >= %d and htcondor2.Schedd(pool.locate(htcondor2.DaemonType.Schedd)).query("false") == []:
            break
    except Exception as error:
        if time.monotonic() > end:
            raise
    if time.monotonic() > end:
        raise SystemExit("the pool is not ready")
    time.sleep(0.2)
"""


def cache() -> Path:
    """Return where installed systems are kept."""
    return Path(os.environ.get("NUNATAK_TEST_CACHE", "/var/tmp/nunatak-tests"))


@dataclass
class Pool:
    """The pool below one directory: `root` its system, `work` what the access point shares with the submitter."""

    directory: Path

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def work(self) -> Path:
        return self.directory / "work"

    @property
    def config(self) -> Path:
        """The client's configuration: what `CONDOR_CONFIG` has to name."""
        return self.directory / "client" / "condor_config"

    # ---- for tests

    def environ(self) -> dict[str, str]:
        """Return the environment of a client."""
        return {**os.environ, "CONDOR_CONFIG": str(self.config), "HOME": str(self.config.parent)}

    def place(self, name: str) -> Path:
        """Return a new empty directory that belongs to the submitter."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        os.chown(path, USER, USER)
        path.chmod(0o700)
        return path

    def admin(self, *words: str) -> str:
        """Run a command of HTCondor as its administrator; return what it printed."""
        return _run(["chroot", str(self.root), *words], env=_plain_environ())

    def pids(self, name: str) -> list[int]:
        """Return the processes of this pool by the name of their program, like `condor_schedd`."""
        return [pid for pid in _below(self._record()["pid"]) if _comm(pid) == name[:15]]

    def kill(self, name: str) -> None:
        """Kill -9 the daemons of one kind; the master starts them again."""
        for pid in self.pids(name):
            os.kill(pid, signal.SIGKILL)

    def kill_starter(self, job: str) -> None:
        """Kill -9 what runs a job on its node, so that the access point loses it."""
        slot = self.admin("condor_q", "-all", job, "-af", "RemoteHost").strip()
        slot, _, node = slot.partition("@")
        for pid in self.pids("condor_starter"):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            if slot.encode() in words and f"NETWORK_HOSTNAME={node.rpartition('@')[2]}".encode() in environ:
                os.kill(pid, signal.SIGKILL)

    def wait(self) -> None:
        """Wait until the pool answers."""
        _run([*AS_USER, sys.executable, "-c", _READY % len(_NODES)], env=self.environ())

    # ---- life

    def start(self) -> None:
        """Install what is missing and start the pool, unless it runs."""
        if self._alive():
            return
        self._install()
        self._configure()
        log = (self.directory / "master.log").open("wb")
        master = subprocess.Popen(
            [*_APART, "sh", "-c", _BEGIN, "sh", self.root, self.work, self.root, "condor_master", "-f"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=_plain_environ(),
        )
        log.close()
        master.returncode = 0  # it outlives this object, and perhaps this process
        (self.directory / "pid").write_text(json.dumps({"pid": master.pid, "begun": _begun(master.pid)}))
        try:
            self._token()
            self.wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the pool with all its processes, and forget it."""
        if self._alive():
            pid = self._record()["pid"]
            for below in _below(pid):
                if _comm(below) == "condor_master":
                    os.kill(below, signal.SIGKILL)  # the first of its process namespace: the others go with it
            end = time.monotonic() + 20
            while self._alive() and time.monotonic() < end:
                _reap(pid)
                time.sleep(0.05)
        (self.directory / "pid").unlink(missing_ok=True)

    def _record(self) -> dict[str, int]:
        try:
            found: dict[str, int] = json.loads((self.directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return {"pid": 0, "begun": 0}
        return found

    def _alive(self) -> bool:
        record = self._record()
        return bool(record["pid"]) and _begun(record["pid"]) == record["begun"]

    def _install(self) -> None:
        if (self.directory / "installed").exists():
            return
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise RuntimeError("a pool for tests can be installed by root on Debian only")
        if not shutil.which("debootstrap"):
            _run(["apt-get", "update", "-q"])
            _run(["apt-get", "install", "-q", "-y", "--no-install-recommends", "debootstrap"])
        shutil.rmtree(self.root, ignore_errors=True)  # nothing can be mounted in it: mounts are made in private
        self.directory.mkdir(parents=True, exist_ok=True)
        _run(["debootstrap", "--variant=minbase", "--include=ca-certificates", _SUITE, str(self.root)])
        get = "apt-get update -q && apt-get install -q -y --no-install-recommends minicondor"
        _run(
            [*_APART, "sh", "-c", _BEGIN, "sh", str(self.root), "", str(self.root), "sh", "-c", get],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        _run(["chroot", str(self.root), "useradd", "-u", str(USER), "-M", IDENTITY])
        (self.directory / "installed").touch()

    def _configure(self) -> None:
        """Begin with an empty queue, on a port that is free."""
        port = free_port()
        (self.root / "etc/condor/config.d/99-tests").write_text(_POOL.format(port=port))
        owner = (self.root / "var/lib/condor").stat().st_uid
        for place in ("spool/condor", "log/condor", "lock/condor", "run/condor", *_EXECUTE):
            path = self.root / "var" / place
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            os.chown(path, owner, -1)
            path.chmod(0o755)
        shutil.rmtree(self.work, ignore_errors=True)
        for path in (self.work, self.root / str(self.work).lstrip("/"), self.config.parent / "tokens.d"):
            path.mkdir(parents=True, exist_ok=True)
        tokens, log = self.config.parent / "tokens.d", self.config.parent / "log"
        log.mkdir(exist_ok=True)
        self.config.write_text(_CLIENT.format(port=port, tokens=tokens, log=log))
        for path in (self.config.parent, tokens, log):
            os.chown(path, USER, USER)
            path.chmod(0o700)
        os.chown(self.config, USER, USER)

    def _token(self) -> None:
        """Have a token signed, once the collector has made itself a key."""
        end, key = time.monotonic() + 60, self.root / "etc/condor/passwords.d/POOL"
        while not key.exists():
            if time.monotonic() > end or not self._alive():
                raise RuntimeError(f"the pool did not start: see {self.root}/var/log/condor and {self.directory}")
            time.sleep(0.1)
        token = self.config.parent / "tokens.d" / IDENTITY
        token.write_text(self.admin("condor_token_create", "-identity", f"{IDENTITY}@local"))
        token.chmod(0o600)
        os.chown(token, USER, USER)


_APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")


@contextmanager
def shared_pool() -> Iterator[Pool]:
    """Give the pool, started by the first test process that wants it and stopped by the last that leaves."""
    pool = Pool(cache() / "htcondor")
    pool.directory.mkdir(parents=True, exist_ok=True)
    with (pool.directory / "users").open("a") as users:
        with _locked(pool.directory / "lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            pool.start()
        try:
            yield pool
        finally:
            with _locked(pool.directory / "lock"):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass  # others go on with it
                else:
                    pool.stop()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _plain_environ() -> dict[str, str]:
    """Return an environment without what a client in this process has set for HTCondor."""
    return {name: value for name, value in os.environ.items() if "CONDOR" not in name}


def _run(command: list[str], *, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _begun(pid: int) -> int:
    """Return when a process began; 0 if it is gone, or dead and not buried."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else 0


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _below(root: int) -> list[int]:
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents = {pid: int(fields[1]) for pid in processes if (fields := _stat(pid))}
    found, level = [], {root}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += sorted(level)
    return found


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


if __name__ == "__main__":
    if sys.argv[1:] == ["stop"]:
        Pool(cache() / "htcondor").stop()
    elif sys.argv[1:] == ["start"]:
        Pool(cache() / "htcondor").start()
    else:
        raise SystemExit("usage: python -m tests.services.htcondor start|stop")
