"""A disk runs full: attempts fail with a reason a person understands, nothing is lost, and with space it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nunatak.core.errors import Unavailable
from nunatak.loops.logging import Forgiving
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow

MB = 1_000_000
BIG = """\
name: outputs of a third of a megabyte
jobs: 6
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {tries: 2, delay: 0.1 s}
tasks:
  make:
    shell: true
    run: "head -c 300000 /dev/zero > big.bin"
    outputs: [big.bin]
"""


class SmallDisk:
    """A disk of a few megabytes; where this user may not mount one, a directory that can be closed for writing."""

    def __init__(self, place: Path, megabytes: int) -> None:
        self.place, self.mounted = place, os.geteuid() == 0
        place.mkdir(parents=True)
        if self.mounted:
            self._run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "none", str(place))

    def _run(self, *words: str) -> None:
        subprocess.run(words, check=True, capture_output=True)

    def fill(self) -> None:
        """Leave no byte free."""
        if not self.mounted:
            self.place.chmod(0o500)
            return
        with (self.place / "ballast").open("ab", buffering=0) as ballast:
            for size in (65536, 4096, 512, 1):
                try:
                    while True:
                        ballast.write(b"\0" * size)
                except OSError:
                    continue

    def free(self) -> None:
        """Make room."""
        if self.mounted:
            self._run("mount", "-o", "remount,size=200m", str(self.place))
        self.place.chmod(0o700)
        (self.place / "ballast").unlink(missing_ok=True)

    def close(self) -> None:
        if self.mounted:
            self._run("umount", "--lazy", str(self.place))


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[SmallDisk]:
    disk = SmallDisk(place, megabytes)
    try:
        yield disk
    finally:
        disk.close()


def test_outputs_that_find_no_space_fail_with_a_reason_and_a_retry_stores_them(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "store", 1) as disk,
        installation(tmp_path / "data", store=f"file://{disk.place}") as house,
    ):
        if not disk.mounted:
            disk.fill()
        house.submit(BIG)
        house.until_state("held")  # no output of any task can be stored: nothing more is started
        until(lambda: not (house.status().tasks.queued + house.status().tasks.running), "what ran to end")
        failed = house.status().tasks.failed
        assert failed >= 1
        with house.client() as client:
            assert {failure.kind for failure in client.errors(1)} == {
                "storage-full" if disk.mounted else "storage-denied"
            }
            (task,) = client.tasks(1, state="failed", limit=1)
            said = client.status(f"{task.address}#1").message
            assert "the output big.bin could not be stored" in said
            assert ("No space left" if disk.mounted else "Permission denied") in said
        assert len([path for path in disk.place.rglob("*") if path.name.endswith(".part")]) == 0  # no half files
        assert house.doctor().faults == []
        disk.free()
        with house.client() as client:
            assert client.retry(1) >= failed
            house.until_state("done")
            assert {file.path.stat().st_size for file in client.get(1, tmp_path / "out")} == {300_000}
        house.assert_each_done_once(6)


LITTLE = """\
name: little tasks
jobs: 20
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
retry: {tries: 50, delay: 0.2 s}
tasks:
  one: {shell: true, run: "echo {job} > a.txt", outputs: [a.txt]}
  two: {shell: true, run: "grep -qx {job} a.txt", inputs: [one/a.txt]}
"""


def test_an_engine_without_space_for_sandboxes_gives_tasks_back_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data" / "engines", 4) as disk, installation(tmp_path / "data") as house:
        disk.fill()
        house.submit(LITTLE)
        until(lambda: "sandboxes could not be made" in talk_of(house), "the engine to say what is wrong")
        assert house.status().tasks.done == 0
        assert house.doctor().faults == []
        disk.free()
        house.until_state("done")
        house.assert_each_done_once(40)


def talk_of(house: Installation) -> str:
    return (house.data / "engine.log").read_text()


def test_a_server_without_space_says_so_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 30) as disk, installation(tmp_path / "data") as house:
        house.submit(LITTLE)
        house.until_done(5)
        disk.fill()
        until(lambda: writing_fails(house), "the server to run out of space")
        disk.free()
        house.until_state("done")
        house.assert_each_done_once(40)


def writing_fails(house: Installation) -> bool:
    try:
        with house.client(patience=0.0) as client:
            client.create_token("one more", ["read"])
    except Unavailable:
        return True
    return False


def test_a_log_on_a_full_disk_is_no_error_of_what_is_logged() -> None:
    stream = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115 - to close it is an error, as it should be
    try:
        log = Forgiving(stream)
        assert log.write("a line\n") == 7
        log.flush()
    finally:
        with pytest.raises(OSError, match="No space left"):
            stream.close()
