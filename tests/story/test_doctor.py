"""The doctor finds what is wrong with an installation, says it in words, and repairs what can be worked out again."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from nunatak import assembly
from nunatak.core.clock import ManualClock
from nunatak.core.settings import Settings
from nunatak.datasets.plan import StoredFile
from nunatak.db import migrate
from nunatak.db.database import Database
from nunatak.tasks.doctor import Report, examine
from tests.contract.world import World, chain


@pytest.fixture
def world(database: Database, clock: ManualClock) -> World:
    return World(database, clock)


def look(world: World, **more: object) -> Report:
    more.setdefault("repair", False)
    return examine(world.database, world.contexts, now=world.clock(), **more)  # type: ignore[arg-type]


def test_a_sound_installation_gives_no_word_but_how_much_was_looked_at(world: World) -> None:
    for _ in range(3):
        world.submit(chain(2))
    assert look(world) == Report(datasets=3)
    assert str(look(world)) == "3 datasets looked at: sound"
    assert look(world).to_plain() == {
        "sound": True,
        "datasets": 3,
        "faults": [],
        "warnings": [],
        "repaired": [],
        "repairable": [],
    }


def test_wrong_counts_are_found_and_with_repair_put_right(world: World) -> None:
    good, bad = world.submit(chain(2)), world.submit(chain(2))
    with world.database.write() as tx:
        tx.execute(text(f"UPDATE task_counts SET done = done + 1 WHERE dataset = {bad}"))
    found = look(world)
    assert not found.sound
    assert all(fault.startswith(f"dataset {bad}: counts of") for fault in found.faults)
    mended = look(world, repair=True)
    assert mended.sound
    assert mended.repaired
    assert f"dataset {good}" not in str(mended)
    assert look(world) == Report(datasets=2)


def test_a_state_that_cannot_be_is_a_fault_which_no_repair_hides(world: World) -> None:
    world.submit(chain(1))
    world.claim(1)
    with world.database.write() as tx:
        tx.execute(text("UPDATE tasks SET lease = NULL WHERE state = 'queued'"))
    assert any("without a lease" in fault for fault in look(world, repair=True).faults)


def test_counts_are_repaired_right_while_the_work_goes_on(world: World) -> None:
    dataset = world.submit(chain(300, 1))
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set() and (items := world.claim(5)):
            world.end(items)

    workers = [threading.Thread(target=work) for _ in range(2)]
    with world.database.write() as tx:
        tx.execute(text(f"UPDATE task_counts SET held = held + 7 WHERE dataset = {dataset}"))
    for worker in workers:
        worker.start()
    mended = look(world, repair=True)
    for worker in workers:
        worker.join(60)
    assert mended.repaired
    assert look(world).faults == []


def test_silent_engines_their_tasks_and_stops_that_nobody_carried_out_are_warned_of(world: World) -> None:
    world.submit(chain(3, 1))
    items = world.claim(3)
    world.clock.advance(400)
    (silent,) = look(world).warnings
    assert "engine local was not heard of since" in silent
    assert f"its {len(items)} tasks go to others" in silent
    world.clock.advance(-4000)
    (ahead,) = look(world).warnings
    assert ahead == "engine local was heard of 1 h from now: the clock was set back"
    world.clock.advance(3700)
    with world.database.write() as tx:
        tx.execute(
            text(
                "INSERT INTO stops (engine, dataset, job, task, attempt, lease, at)"
                f" VALUES ({world.engine}, 1, 0, 0, 1, 5, {world.clock() - 3600})"
            )
        )
    assert any("was told to end 1 attempt since" in warning for warning in look(world).warnings)


def test_a_file_of_a_recipe_that_is_gone_is_a_fault(world: World) -> None:
    kept, gone = StoredFile("a" * 64, 1), StoredFile("b" * 64, 1)
    far = StoredFile("c" * 64, 1, url="file:///elsewhere")
    world.submit(replace(chain(1), files={"kept.py": kept, "gone.py": gone, "far.py": far}))
    found = look(world, missing=lambda hashes: [sha256 for sha256 in hashes if sha256 != kept.sha256])
    assert found.faults == [f'the file gone.py of the recipe "chain" is gone: blob {gone.sha256}']


def test_a_database_of_another_version_is_named_and_not_looked_into(world: World) -> None:
    world.submit(chain(1))
    with world.database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    found = look(world)
    assert found.datasets == 0
    assert len(found.faults) == 1
    assert "9999" in found.faults[0]
    assert "start the version that migrated it" in found.faults[0]
    with world.database.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert look(world).faults == [
        f"the database is at revision 0001, this version needs {migrate.head()}: run nunatak migrate"
    ]


def test_secrets_that_others_can_read_and_directories_that_are_open_are_found(world: World, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "token").write_text("secret")
    (data / "token").chmod(0o644)
    found = look(world, data=data)
    assert found.faults == [f"{data}/token holds a secret and can be read by others: chmod 600 {data}/token"]
    assert found.warnings == [f"{data} is open to other users: chmod 700 {data}"]
    assert look(world, data=tmp_path / "nowhere").faults == [f"there is no directory {tmp_path}/nowhere"]


def test_a_damaged_database_file_is_found(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    tmp_path.chmod(0o700)
    assembly.migrate(settings)
    with (tmp_path / "nunatak.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 40960)
    for log in tmp_path.glob("nunatak.db-*"):
        log.unlink()
    assert not assembly.doctor(settings, repair=False).sound


def test_where_there_is_no_database_the_doctor_makes_none(tmp_path: Path) -> None:
    found = assembly.doctor(Settings(data=tmp_path), repair=True)
    assert [fault.partition(":")[0] for fault in found.faults] == [f"there is no database {tmp_path}/nunatak.db"]
    assert "nunatak up makes one" in found.faults[0]
    assert not (tmp_path / "nunatak.db").exists()
    nowhere = assembly.doctor(Settings(data=tmp_path / "nowhere"), repair=False)
    assert "there is no database" in nowhere.faults[0]
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").touch()
    assert "is not a directory" in assembly.doctor(Settings(data=tmp_path / "file"), repair=False).faults[0]


def test_a_database_that_does_not_answer_is_a_fault_and_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(data=tmp_path, database="postgresql://nobody:secret@127.0.0.1:1/nothing")
    (fault,) = assembly.doctor(settings, repair=False).faults
    assert fault.startswith("the database does not answer: ")
    assert "is the setting database right (postgresql" in fault
    assert "secret" not in fault
    assert capfd.readouterr() == ("", "")


def test_an_empty_database_and_a_file_that_is_none_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "nunatak.db").touch()
    assert assembly.doctor(Settings(data=tmp_path), repair=False).faults == [
        "the database is empty: nunatak up or nunatak migrate makes its tables"
    ]
    (tmp_path / "nunatak.db").write_text("this is no database at all" * 100)
    (fault,) = assembly.doctor(Settings(data=tmp_path), repair=False).faults
    assert "put a backup in its place" in fault


def test_the_clock_of_the_database_is_compared_where_asked_to(world: World) -> None:
    """The clock of this world is that of its tests, and PostgreSQL has that of its machine."""
    found = look(world, clocks=True).warnings
    behind = [text for text in found if "the clock of the database is" in text and "of this machine: set both" in text]
    assert len(behind) == (world.database.dialect == "postgresql")
