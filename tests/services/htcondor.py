"""Real HTCondor pools for tests: their daemons in a root of their own, on loopback; one is shared by all test processes.

The system they run on (Debian 13 with `minicondor`) is installed once below a cache directory, `NUNATAK_TEST_CACHE` or
`/var/tmp/nunatak-tests`; after that a pool is up in some seconds. It lives in private mount and process namespaces:
when its first process ends, all its processes and mounts are gone, however that came about. What a pool writes is in a
directory of its own, so that several may run on the one system: a story that breaks its pool has one to itself.

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
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services import apt
from tests.services.postgres import free_port
from tests.services.roots import cache, locked, run

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
_EXECUTE = ("var/lib/condor/alpha", "var/lib/condor/beta")
_PLACES = ("etc/condor", "var/lib/condor", "var/spool/condor", "var/log/condor", "run/condor", "run/lock/condor")
"""What each pool has of its own in the common system."""
_PACKAGES = ("minicondor", "libfaketime", "strace")
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
root=$1; shift
mount -t proc proc "$root/proc"; mount --rbind /sys "$root/sys"; mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    mkdir -p "$root/$2"; mount --bind "$1" "$root/$2"; shift 2
done
shift
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


def system() -> Path:
    """Return the root that all pools run on, installed if it was not."""
    home = cache() / "htcondor"
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / "install.lock"):
        _install(home)
    return home / "root"


@dataclass
class Pool:
    """The pool below one directory: `root` its system, `work` what the access point shares with the submitter.

    `software` is a directory that its machines see under the same path, `more` are lines for their configuration.
    """

    directory: Path
    software: Path | None = None
    more: str = ""

    @property
    def root(self) -> Path:
        return cache() / "htcondor" / "root"

    @property
    def own(self) -> Path:
        """What this pool has instead of some places of the system."""
        return self.directory / "own"

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
        inside = ("nsenter", "--mount", f"--target={self._record()['pid']}")
        return run([*inside, "chroot", str(self.root), *words], env=_plain_environ())

    def pids(self, name: str) -> list[int]:
        """Return the processes of this pool by the name of their program, like `condor_schedd`."""
        return [pid for pid in _below(self._record()["pid"]) if _comm(pid) == name[:15]]

    def kill(self, name: str) -> None:
        """Kill -9 the daemons of one kind; the master starts them again."""
        for pid in self.pids(name):
            os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Return all processes of this pool, those of jobs too."""
        return _below(self._record()["pid"])

    def power_cut(self) -> None:
        """Kill -9 everything at once; `begin` starts the daemons on what they left."""
        for pid in self.pids("condor_master"):
            os.kill(pid, signal.SIGKILL)  # the first of its process namespace: the others go with it
        end = time.monotonic() + 20
        while self._alive() and time.monotonic() < end:
            _reap(self._record()["pid"])
            time.sleep(0.05)

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
        run([*AS_USER, sys.executable, "-c", _READY % len(_NODES)], env=self.environ())

    # ---- life

    def start(self) -> None:
        """Install what is missing and start the pool with an empty queue, unless it runs."""
        if self._alive():
            return
        system()
        self._configure()
        self.begin()

    def begin(self) -> None:
        """Start the daemons on what they left."""
        own = [word for place in _PLACES for word in (str(self.own / place), place)]
        seen = [str(path) for path in (self.work, self.software) if path for _ in range(2)]
        log = (self.directory / "master.log").open("wb")
        master = subprocess.Popen(
            [*_APART, "sh", "-c", _BEGIN, "sh", str(self.root), *own, *seen, "--", "condor_master", "-f"],
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
            self.token()
            self.wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the pool with all its processes, and forget it."""
        if self._alive():
            self.power_cut()
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

    def _configure(self) -> None:
        """Begin with an empty queue, on a port that is free."""
        port = free_port()
        owner = (self.root / "var/lib/condor").stat().st_uid
        shutil.rmtree(self.own, ignore_errors=True)
        for place in (*_PLACES[1:], *_EXECUTE):
            path = self.own / place
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, owner, -1)
            path.chmod(0o755)
        shutil.copytree(self.root / _PLACES[0], self.own / _PLACES[0])
        (self.own / "etc/condor/config.d/99-tests").write_text(_POOL.format(port=port) + self.more)
        shutil.rmtree(self.work, ignore_errors=True)
        for path in (self.work, self.config.parent / "tokens.d"):
            path.mkdir(parents=True, exist_ok=True)
        tokens, log = self.config.parent / "tokens.d", self.config.parent / "log"
        log.mkdir(exist_ok=True)
        self.config.write_text(_CLIENT.format(port=port, tokens=tokens, log=log))
        for path in (self.config.parent, tokens, log):
            os.chown(path, USER, USER)
            path.chmod(0o700)
        os.chown(self.config, USER, USER)

    def token(self, *words: str) -> None:
        """Have a token signed for the submitter, once the collector has made itself a key; `words` say more of it."""
        end, key = time.monotonic() + 60, self.own / "etc/condor/passwords.d/POOL"
        while not key.exists():
            if time.monotonic() > end or not self._alive():
                raise RuntimeError(f"the pool did not start: see {self.own}/var/log/condor and {self.directory}")
            time.sleep(0.1)
        token = self.config.parent / "tokens.d" / IDENTITY
        draft = token.with_name(f".{IDENTITY}")
        draft.write_text(self.admin("condor_token_create", "-identity", f"{IDENTITY}@local", *words))
        draft.chmod(0o600)
        os.chown(draft, USER, USER)
        draft.replace(token)


def _install(home: Path) -> None:
    """Install the system below `home`, or what is missing of it."""
    root, mark = home / "root", home / "installed"
    if mark.exists() and mark.read_text().split() == list(_PACKAGES):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError("a pool for tests can be installed by root on Debian only")
    if not mark.exists():
        apt.install(("debootstrap",), lambda: bool(shutil.which("debootstrap")))
        shutil.rmtree(root, ignore_errors=True)  # nothing can be mounted in it: mounts are made in private
        run(["debootstrap", "--variant=minbase", "--include=ca-certificates", _SUITE, str(root)])
    get = f"apt-get update -q && apt-get install -q -y --no-install-recommends {' '.join(_PACKAGES)}"
    run(
        [*_APART, "sh", "-c", _BEGIN, "sh", str(root), "--", "sh", "-c", get],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if f":{USER}:" not in (root / "etc/passwd").read_text():
        run(["chroot", str(root), "useradd", "-u", str(USER), "-M", IDENTITY])
    mark.write_text("\n".join(_PACKAGES))


_APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")


@contextmanager
def shared_pool() -> Iterator[Pool]:
    """Give the pool, started by the first test process that wants it and stopped by the last that leaves."""
    pool = Pool(_shared())
    pool.directory.mkdir(parents=True, exist_ok=True)
    with (pool.directory / "users").open("a") as users:
        with locked(pool.directory / "lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            pool.start()
        try:
            yield pool
        finally:
            with locked(pool.directory / "lock"):
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass  # others go on with it
                else:
                    pool.stop()


@contextmanager
def own_pool(software: Path | None = None, more: str = "") -> Iterator[Pool]:
    """Give a pool that nobody else uses, stopped and deleted afterwards; see `Pool`."""
    cache().mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="pool-", dir=cache()))
    directory.chmod(0o755)
    pool = Pool(directory, software, more)
    try:
        pool.start()
        yield pool
    finally:
        pool.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _shared() -> Path:
    return cache() / "htcondor" / "shared"


def _plain_environ() -> dict[str, str]:
    """Return an environment without what a client in this process has set for HTCondor."""
    return {name: value for name, value in os.environ.items() if "CONDOR" not in name}


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
        Pool(_shared()).stop()
    elif sys.argv[1:] == ["start"]:
        Pool(_shared()).start()
    else:
        raise SystemExit("usage: python -m tests.services.htcondor start|stop")
