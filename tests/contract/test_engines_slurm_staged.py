"""The engine for batch systems where no file system is shared: files and commands go by one connection of a real OpenSSH."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nunatak.core.work import Input, Output, Reason, Series
from nunatak.engines.batch.dialect import Answer, Command
from nunatak.engines.batch.engine import BatchEngine
from nunatak.engines.batch.ferry import Ferry
from nunatak.engines.batch.run import by_ssh, pipe
from nunatak.engines.batch.script import Place
from nunatak.engines.batch.slurm import Slurm as Dialect
from nunatak.engines.batch.staged import Staged
from nunatak.loops.engine_start import keeper
from nunatak.storage.posix import PosixStorage
from nunatak.worker import build
from tests.contract import test_engines as suite
from tests.contract.slurm_rig import SlurmRig
from tests.contract.test_engines import Host, spec
from tests.services.slurm import Slurm
from tests.services.ssh import Sshd

ALIKE = (
    "test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own",
    "test_a_running_attempt_is_cancelled",
)
globals().update({name: getattr(suite, name) for name in ALIKE})


@pytest.fixture(scope="module")
def sshd(slurm: Slurm) -> Iterator[Sshd]:
    server = Sshd.start({"SLURM_CONF": slurm.environ["SLURM_CONF"], "PATH": slurm.environ["PATH"]})
    yield server
    server.stop()


class StagedRig(SlurmRig):
    """An engine whose directory is not the one that the jobs see."""

    deadline = 200.0

    def __init__(self, directory: Path, slurm: Slurm, sshd: Sshd, *partitions: str) -> None:
        self._sshd, self.there = sshd, directory / "there"
        self._control = Path(tempfile.mkdtemp(prefix="nn-"))
        super().__init__(directory, (), slurm, *partitions)

    def _make(self) -> BatchEngine:
        root = self._directory / "engine"
        worker = build.unpack(root / ".worker")
        self.run = by_ssh("cluster", self._control, self._sshd.environ, 30.0)
        carry = pipe("cluster", self._control, self._sshd.environ, 30.0)

        def there(where: Path, tag: str) -> Staged:
            store = keeper(PosixStorage([Path("/")]))
            return Staged(where, Ferry(carry, str(self.there), tag, where / ".ferry"), store, ())

        self.batch = BatchEngine(
            root,
            Dialect(),
            lambda command: self.run(command),
            place=Place(
                str(self.there),
                str(self.there / ".cache"),
                ("python3", "-I", "-S", f"{self.there}/.worker/{worker.name}"),
            ),
            terms=self._terms,
            there=there,
            queue=self.queue,
            interval=0.5,
            settle=5.0,
        )
        return self.batch

    def left(self) -> set[str]:
        """Return what of sandboxes and records is still there."""
        parts = ("[0-9]*", ".submissions/*", ".series/*", ".talk/*")
        return {str(path.relative_to(self.there)) for part in parts for path in self.there.glob(part)}

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._control, ignore_errors=True)


@pytest.fixture
def rig(tmp_path: Path, slurm: Slurm, sshd: Sshd) -> Iterator[StagedRig]:
    slurm.until_idle(("c1",))
    made = StagedRig(tmp_path, slurm, sshd, "one")
    yield made
    made.close()


@pytest.fixture
def host(rig: StagedRig) -> Host:
    return Host(rig)  # type: ignore[arg-type]


def test_files_go_there_and_come_back_by_one_connection(host: Host, rig: StagedRig, tmp_path: Path, sshd: Sshd) -> None:
    before, data = sshd.connections(), b"\x00\xff" * 300_000
    (tmp_path / "in.bin").write_bytes(data)
    given = Input("in.bin", f"file://{tmp_path}/in.bin", hashlib.sha256(data).hexdigest(), len(data))
    made = Output("out.bin", f"file://{tmp_path}/store/out.bin")
    task = replace(
        spec("1/0/a#1", 'cat in.bin in.bin > out.bin; pwd; echo "$0" >&2', shell=True), inputs=(given,), outputs=(made,)
    )
    host.engine.submit([task])
    order = (rig.there / "1/0/a.1.a1/task.json").read_text()
    assert str(tmp_path / "in.bin") not in order
    assert str(tmp_path / "store") not in order
    host.until(lambda: host.ended("1/0/a#1"))
    (ended,) = host.ended("1/0/a#1")
    assert ended.reason is Reason.OK, ended
    assert (tmp_path / "store/out.bin").read_bytes() == 2 * data
    assert [(item.url, item.size) for item in ended.outputs] == [(made.url, 2 * len(data))]
    assert [item.url for item in ended.inputs] == [given.url]
    (said,) = host.engine.logs({("1/0/a#1", "a1", "stdout"): 0})
    assert said.data.decode().startswith(str(rig.there))
    host.until(lambda: not rig.left())
    assert sshd.connections() == before + 1


def test_a_missing_input_is_said_by_the_worker(host: Host, tmp_path: Path) -> None:
    task = replace(spec("1/0/a#1"), inputs=(Input("in.bin", f"file://{tmp_path}/nothing"),))
    host.engine.submit([task])
    host.until(lambda: host.ended("1/0/a#1"))
    assert host.ended("1/0/a#1")[0].reason is Reason.STAGE_IN


def said(host: Host, address: str) -> bytes:
    """Return what is known of what an attempt printed."""
    return b"".join(part.data for part in host.engine.logs({(address, "a1", "stdout"): 0}))


def test_a_series_runs_and_each_member_is_told_while_it_does_and_one_is_ended_alone(
    host: Host, rig: StagedRig, tmp_path: Path
) -> None:
    made = Output("out.txt", f"file://{tmp_path}/store/out.txt")
    first = replace(spec("1/0/a#1", "echo said; echo x > out.txt", shell=True), outputs=(made,))
    second = spec("1/1/a#1", "echo it goes on; exec sleep 600", shell=True)
    handles = host.engine.submit([Series((first, second, spec("1/2/a#1", "false")), suite.SMALL)])
    host.until(lambda: host.ended("1/0/a#1") and host.begun("1/1/a#1"))
    assert (tmp_path / "store/out.txt").read_text() == "x\n"
    host.until(lambda: bool(said(host, "1/1/a#1")))  # while it runs
    assert said(host, "1/1/a#1") == b"it goes on\n"
    assert not host.begun("1/2/a#1")
    host.engine.cancel(handles[1:2])
    host.until(lambda: all(host.ended(handle.address) for handle in handles))
    reasons = [host.ended(handle.address)[0].reason for handle in handles]
    assert reasons == [Reason.OK, Reason.TERMINATED, Reason.EXIT]
    host.until(lambda: not rig.left())


def test_a_broken_connection_costs_nothing_but_time(host: Host, rig: StagedRig, tmp_path: Path, sshd: Sshd) -> None:
    mark = tmp_path / "ran"
    made = Output("out.txt", f"file://{tmp_path}/store/out.txt")
    task = replace(spec("1/0/a#1", f"echo x >> {mark}; sleep 2; echo x > out.txt", shell=True), outputs=(made,))
    host.engine.submit([task])
    host.until(lambda: host.begun("1/0/a#1"))
    sshd.cut()
    try:
        host.until(lambda: host.engine.capacity().queue == 0)
        with pytest.raises(suite.Unavailable):
            host.engine.submit([spec("1/1/a#1")])
    finally:
        sshd.listen()
    host.until(lambda: host.ended("1/0/a#1"))
    assert host.ended("1/0/a#1")[0].reason is Reason.OK
    assert (mark.read_text(), (tmp_path / "store/out.txt").read_text()) == ("x\n", "x\n")


def test_another_engine_takes_up_what_is_out_there_and_clears_what_nobody_wants(
    host: Host, rig: StagedRig, tmp_path: Path
) -> None:
    made = Output("out.txt", f"file://{tmp_path}/store/out.txt")
    task = replace(spec("1/0/a#1", "sleep 1; echo x > out.txt", shell=True), outputs=(made,))
    host.engine.submit([task])
    host.until(lambda: host.begun("1/0/a#1"))
    (rig.there / "7/8/gone.1.aa").mkdir(parents=True)
    rig.restart()
    host.cursor, host.changes = "", []
    host.engine.submit([spec("1/1/a#1")])
    assert not (rig.there / "7/8/gone.1.aa").exists()
    host.until(lambda: host.ended("1/0/a#1") and host.ended("1/1/a#1"))
    assert {host.ended(name)[0].reason for name in ("1/0/a#1", "1/1/a#1")} == {Reason.OK}
    assert (tmp_path / "store/out.txt").read_text() == "x\n"


def test_a_directory_that_is_another_engines_is_left_alone(rig: StagedRig, host: Host) -> None:
    rig.there.mkdir()
    (rig.there / ".engine").write_text("somebody")
    (rig.there / "7/8/theirs.1.aa").mkdir(parents=True)
    with pytest.raises(suite.Unavailable, match="belongs to another engine"):
        host.engine.submit([spec("1/0/a#1")])
    assert (rig.there / "7/8/theirs.1.aa").exists()


@pytest.mark.parametrize("made", [True, False])
def test_a_submission_without_an_answer_is_looked_for_before_it_is_made_again(
    host: Host, rig: StagedRig, tmp_path: Path, made: bool
) -> None:
    run, lost = rig.run, list[int]()

    def silent(command: Command) -> Answer:
        if command.argv[0] == "sbatch" and not lost:
            lost.append(1)
            if made:
                run(command)
            return Answer(-1, err="the connection broke", lost=True)
        return run(command)

    rig.run = silent
    host.engine.submit([spec("1/0/a#1", f"echo ran >> {tmp_path}/marks", shell=True)])
    host.until(lambda: host.ended("1/0/a#1"))
    assert host.ended("1/0/a#1")[0].reason is Reason.OK
    assert (tmp_path / "marks").read_text() == "ran\n"
