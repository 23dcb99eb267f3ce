"""Real HTCondor pools for tests: their daemons in a root of their own, on loopback; one is shared by all test processes.

The system they run on (Debian 13 with `minicondor`) is installed once below a cache directory, `NUNATAK_TEST_CACHE` or
`/var/tmp/nunatak-tests`; after that a pool is up in some seconds. It lives in private mount and process namespaces:
when its first process ends, all its processes and mounts are gone, however that came about. What a pool writes is in a
directory of its own, so that several may run on the one system: a story that breaks its pool has one to itself.

`python -m tests.services.htcondor stop` ends a pool that a killed test run has left.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.services import owned
from tests.services.htcondor_config import CLIENT, POOL
from tests.services.htcondor_root import APART, BEGIN, IDENTITY, USER, system
from tests.services.ports import free_port
from tests.services.processes import begun, below, program, reap, stand_still
from tests.services.roots import cache, locked, run

AS_USER = (
    "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
)  # fmt: skip
"""Runs a command as who submits; it may read everything, since the checkout may be where only root can read."""
_NODES = ("alpha", "beta")
"""Machines of the pool, each with a startd of its own; jobs run as `nobody` there."""
_EXECUTE = ("var/lib/condor/alpha", "var/lib/condor/beta")
_PLACES = ("etc/condor", "var/lib/condor", "var/spool/condor", "var/log/condor", "run/condor", "run/lock/condor")
"""What each pool has of its own in the common system."""
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
        if not self.alive:
            raise RuntimeError(f"the pool of {self.directory} does not run")
        inside = ("nsenter", "--mount", f"--target={self._record()['pid']}")
        return run([*inside, "chroot", str(self.root), *words], env=_plain_environ())

    def pids(self, name: str) -> list[int]:
        """Return the processes of this pool by the name of their program, like `condor_schedd`."""
        return [pid for pid in self.processes() if program(pid) == name[:15]]

    def kill(self, name: str) -> None:
        """Kill -9 the daemons of one kind; the master starts them again."""
        for pid in self.pids(name):
            os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Return all processes of this pool, those of jobs too; none if it does not run."""
        return below(self._record()["pid"]) if self.alive else []

    def power_cut(self) -> None:
        """Kill -9 everything at once, however far it has come; `begin` starts the daemons on what they left."""
        if not self.alive:
            return
        outer = self._record()["pid"]
        stand_still(outer)
        first = (self.processes() or [outer])[0]  # of its process namespace: the others go with it
        os.kill(first, signal.SIGKILL)
        os.kill(outer, signal.SIGCONT)
        self._until(lambda: reap(outer) and not self.alive, "to end")

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
        if not self.alive:
            self.prepare()
            self.begin()

    def prepare(self) -> None:
        """Install what is missing, and make the places of a pool with an empty queue, on a port that is free."""
        system()
        self._configure()

    def begin(self, slowly: float = 0.0) -> None:
        """Start the daemons on what they left; `slowly`: in so many seconds, as on a machine that has much else to do."""
        self.spawn(slowly)
        self.ready()

    def ready(self) -> None:
        """Wait until a pool that was begun can be used."""
        try:
            self._until(lambda: self.pids("condor_master"), "to have its mounts", alive=True)
            key = self.own / "etc/condor/passwords.d/POOL"
            self._until(lambda: key.exists() and key.stat().st_size, "to make itself a key", alive=True)
            self.token()
            self.wait()
        except BaseException:
            self.stop()
            raise

    def spawn(self, slowly: float = 0.0) -> None:
        """Start the first process, which will make the mounts and then be the master."""
        own = [word for place in _PLACES for word in (str(self.own / place), place)]
        seen = [str(path) for path in (self.work, self.software) if path for _ in range(2)]
        with (self.directory / "master.log").open("wb") as log:
            master = subprocess.Popen(
                [
                    *APART,
                    "sh",
                    "-c",
                    f"sleep {slowly}; {BEGIN}",
                    "sh",
                    str(self.root),
                    *own,
                    *seen,
                    "--",
                    "condor_master",
                    "-f",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_plain_environ(),
            )
        master.returncode = 0  # it outlives this object, and perhaps this process
        (self.directory / "pid").write_text(json.dumps({"pid": master.pid, "begun": begun(master.pid)}))

    def stop(self) -> None:
        """End the pool with all its processes, and forget it."""
        self.power_cut()
        (self.directory / "pid").unlink(missing_ok=True)

    def _until(self, fact: Callable[[], object], what: str, *, alive: bool = False) -> None:
        """Wait for a fact; `alive`: which a pool that is gone will never make true."""
        end = time.monotonic() + 60
        while not fact():
            if time.monotonic() > end or (alive and not self.alive):
                raise RuntimeError(f"waited for the pool {what}: see {self.own}/var/log/condor and {self.directory}")
            time.sleep(0.05)

    def _record(self) -> dict[str, int]:
        try:
            found: dict[str, int] = json.loads((self.directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return {"pid": 0, "begun": 0}
        return found

    @property
    def alive(self) -> bool:
        """Tell whether its first process is there."""
        record = self._record()
        return bool(record["pid"]) and begun(record["pid"]) == record["begun"]

    def _configure(self) -> None:
        port = free_port()
        owner = (self.root / "var/lib/condor").stat().st_uid
        shutil.rmtree(self.own, ignore_errors=True)
        for place in (*_PLACES[1:], *_EXECUTE):
            path = self.own / place
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, owner, -1)
            path.chmod(0o755)
        shutil.copytree(self.root / _PLACES[0], self.own / _PLACES[0])
        (self.own / "etc/condor/config.d/99-tests").write_text(POOL.format(port=port) + self.more)
        shutil.rmtree(self.work, ignore_errors=True)
        for path in (self.work, self.config.parent / "tokens.d"):
            path.mkdir(parents=True, exist_ok=True)
        tokens, log = self.config.parent / "tokens.d", self.config.parent / "log"
        log.mkdir(exist_ok=True)
        self.config.write_text(CLIENT.format(port=port, tokens=tokens, log=log))
        for path in (self.config.parent, tokens, log):
            os.chown(path, USER, USER)
            path.chmod(0o700)
        os.chown(self.config, USER, USER)

    def token(self, *words: str) -> None:
        """Have a token signed for the submitter; `words` say more of it."""
        token = self.config.parent / "tokens.d" / IDENTITY
        draft = token.with_name(f".{IDENTITY}")
        draft.write_text(self.admin("condor_token_create", "-identity", f"{IDENTITY}@local", *words))
        draft.chmod(0o600)
        os.chown(draft, USER, USER)
        draft.replace(token)


@contextmanager
def shared_pool() -> Iterator[Pool]:
    """Give the pool, started by the first test process that wants it and stopped by the last that leaves."""
    pool = Pool(_shared())
    pool.directory.mkdir(parents=True, exist_ok=True)
    with (pool.directory / "users").open("a") as users:
        with locked(pool.directory / "lock"):
            if _alone(users) and pool.alive and pool.admin("condor_q", "-all", "-af", "ClusterId"):
                pool.stop()  # jobs of a test process that was killed have its slots
            fcntl.flock(users, fcntl.LOCK_SH)
            pool.start()
        try:
            yield pool
        finally:
            with locked(pool.directory / "lock"):
                if _alone(users):  # else others go on with it
                    pool.stop()


def _alone(users: IO[str]) -> bool:
    """Tell whether no other process uses the pool."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def own_pool(software: Path | None = None, more: str = "", *, ready: bool = True) -> Iterator[Pool]:
    """Give a pool that nobody else uses, stopped and deleted afterwards; see `Pool`.

    One that is not `ready` has only begun.
    """
    cache().mkdir(parents=True, exist_ok=True)
    directory = owned.directory("pool-", cache(), end=lambda left: Pool(left).stop())
    directory.chmod(0o755)
    pool = Pool(directory, software, more)
    try:
        pool.prepare()
        pool.spawn()
        if ready:
            pool.ready()
        yield pool
    finally:
        pool.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _shared() -> Path:
    """Return where the shared pool is: one for each configuration, as several checkouts may use the one cache."""
    return cache() / "htcondor" / f"shared-{hashlib.sha256(POOL.encode()).hexdigest()[:8]}"


def _plain_environ() -> dict[str, str]:
    """Return an environment without what a client in this process has set for HTCondor."""
    return {name: value for name, value in os.environ.items() if "CONDOR" not in name}


if __name__ == "__main__":
    if sys.argv[1:] == ["stop"]:
        Pool(_shared()).stop()
    elif sys.argv[1:] == ["start"]:
        Pool(_shared()).start()
    else:
        raise SystemExit("usage: python -m tests.services.htcondor start|stop")
