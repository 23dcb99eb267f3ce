"""Logs of attempts: live and compressed, capped, complete whatever is sent twice, late or never."""

from __future__ import annotations

import gzip
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.address import ONCE, Address
from nunatak.core.clock import ManualClock
from nunatak.core.errors import Invalid, Unavailable
from nunatak.tasks.logs import packed as log_packed
from nunatak.tasks.logs.keeping import LogSlice, LogStore
from nunatak.tasks.logs.live import NOTICE
from nunatak.tasks.logs.whole import Part

ONE = Address(42, 17, "propagate", 2)
LIMIT = 1024
HOUR = 3600


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000 * HOUR)


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> LogStore:
    return LogStore(tmp_path, LIMIT, retention=10 * HOUR, clock=clock)


def whole(store: LogStore, address: Address = ONE, stream: str = "stdout", length: int = 300) -> bytes:
    """Read page by page, as a client does."""
    data, offset = b"", 0
    while True:
        part = store.read(address, stream, offset, length)
        assert len(part.data) <= length
        assert part.offset >= offset
        data, offset = data + part.data, part.next
        if offset >= part.total:
            return data
        assert part.data, "a page without bytes before the end"


def numbered(count: int) -> bytes:
    return b"".join(b"%07d\n" % n for n in range(count))


def capped(data: bytes) -> bytes:
    """What is kept of a log: half of the limit from its head, the notice, the rest from its tail."""
    if len(data) <= LIMIT:
        return data
    dropped = len(data) - (LIMIT - NOTICE)
    notice = f"\n[nunatak: {dropped} bytes dropped here".encode().ljust(NOTICE - 2) + b"]\n"
    return data[: LIMIT // 2] + notice + data[-(LIMIT // 2 - NOTICE) :]


def files(store: LogStore) -> list[Path]:
    return [path for path in (store.root / "logs").rglob("*") if path.is_file()]


def test_a_log_can_be_read_while_it_grows_and_after(store: LogStore) -> None:
    store.append([(ONE, "stdout", 0, b"one\n"), (ONE, "stderr", 0, b"oh\n"), (ONE, "stdout", 4, b"two\n")])
    assert store.read(ONE, "stdout", 0, 100) == LogSlice(b"one\ntwo\n", 0, 8, False)
    assert store.read(ONE, "stdout", 4, 2) == LogSlice(b"tw", 4, 8, False)
    assert store.read(ONE, "stderr", 0, 100) == LogSlice(b"oh\n", 0, 3, False)
    store.finish([ONE])
    assert store.read(ONE, "stdout", 0, 100) == LogSlice(b"one\ntwo\n", 0, 8, True)
    assert store.read(ONE, "stdout", 4, 2) == LogSlice(b"tw", 4, 8, True)
    assert store.read(ONE, "stdout", 99, 2) == LogSlice(b"", 8, 8, True)
    assert store.tail(ONE, "stderr", 2) == LogSlice(b"h\n", 1, 3, True)


def test_a_log_without_bytes_is_empty_and_has_no_file(store: LogStore) -> None:
    store.append([(ONE, "stdout", 0, b"")])
    store.finish([ONE])
    assert store.read(ONE, "stdout") == LogSlice(b"", 0, 0, False)
    assert store.tail(ONE, "stderr", 10) == LogSlice(b"", 0, 0, False)
    assert files(store) == []


def test_finished_logs_are_gzip_files_any_tool_can_read(store: LogStore) -> None:
    data = numbered(1000)
    store.append([(ONE, "stdout", 0, data), (ONE, "stderr", 0, b"short")])
    store.finish([ONE])
    contents = {path.name: gzip.decompress(path.read_bytes()) for path in files(store)}
    assert contents == {"17.propagate.2.stdout.gz": capped(data), "17.propagate.2.stderr.gz": b"short"}


def test_a_log_larger_than_the_limit_keeps_head_and_tail_and_says_what_is_missing(store: LogStore) -> None:
    data = numbered(500)
    store.append([(ONE, "stdout", 0, data)])
    for _ in range(2):
        assert whole(store) == capped(data)
        assert len(whole(store)) == LIMIT
        assert store.read(ONE, "stdout", 600, 5000).offset == len(data) - LIMIT // 2
        assert store.tail(ONE, "stdout", 16).data == data[-16:]
        assert store.tail(ONE, "stdout", 10**6).data == capped(data)[LIMIT // 2 :]
        store.finish([ONE])


def test_a_log_of_exactly_the_limit_is_kept_whole(store: LogStore) -> None:
    data = os.urandom(LIMIT)
    store.append([(ONE, "stdout", 0, data)])
    assert whole(store) == data
    store.append([(ONE, "stdout", LIMIT, b"!")])
    assert whole(store) == capped(data + b"!")


def test_the_disk_used_while_streaming_is_bounded(store: LogStore) -> None:
    block = os.urandom(50_000)
    for number in range(40):
        store.append([(ONE, "stdout", number * len(block), block)])
    (path,) = files(store)
    assert path.stat().st_size <= LIMIT + 70_000
    assert whole(store)[-400:] == block[-400:]


def test_a_reader_who_follows_gets_every_byte_once(store: LogStore) -> None:
    data, offset, seen = numbered(2000), 0, b""
    for at in range(0, len(data), 100):
        store.append([(ONE, "stdout", at, data[at : at + 100])])
        part = store.read(ONE, "stdout", offset, 10_000)
        assert part.offset == offset
        seen, offset = seen + part.data, part.next
    store.finish([ONE])
    assert seen == data
    assert store.read(ONE, "stdout", offset) == LogSlice(b"", offset, len(data), True)


def test_a_gap_is_said_and_the_sender_goes_on_from_its_own_offset(store: LogStore) -> None:
    store.append([(ONE, "stdout", 0, b"begin"), (ONE, "stdout", 100, b"later"), (ONE, "stdout", 103, b"er\n")])
    expected = b"begin\n[nunatak: 95 bytes of this log never arrived]\nlater\n"
    assert whole(store) == expected
    store.finish([ONE])
    store.append([(ONE, "stdout", 50, b"x" * 55), (ONE, "stdout", 106, b"end")])
    assert whole(store) == expected + b"end"


def test_bytes_that_come_after_the_end_are_added_and_stay_compressed(store: LogStore) -> None:
    data = numbered(300)
    for cut in (2400, 300):
        address = ONE.of(cut)
        store.append([(address, "stdout", 0, data[:cut])])
        store.finish([address])
        store.append([(address, "stdout", cut - 8, data[cut - 8 :] + b"the end")])
        assert whole(store, address) == capped(data + b"the end")
        assert store.read(address, "stdout").complete
    assert {path.suffix for path in files(store)} == {".gz"}


def test_a_task_done_once_a_dataset_has_one_log_however_it_is_addressed(store: LogStore) -> None:
    store.append(
        [(Address(42, ONCE, "analyze", 1), "stdout", 0, b"one"), (Address(42, None, "analyze", 1), "stdout", 3, b"+")]
    )
    assert whole(store, Address(42, None, "analyze", 1)) == b"one+"


@pytest.mark.parametrize(
    "address",
    [
        Address(42),
        Address(42, 17),
        Address(42, 17, "propagate"),
        Address(42, 17, "../../x", 1),
        Address(42, 17, "a/b", 1),
        Address(42, -5, "a", 1),
        Address(0, 1, "a", 1),
        Address(42, 17, "..", 1),
        Address(42, 17, "", 1),
        Address(42, 17, "a\n", 1),
        Address(42, 17, "a", 0),
    ],
    ids=repr,
)
def test_what_is_no_address_of_an_attempt_never_becomes_a_path(store: LogStore, address: Address) -> None:
    for use in (
        lambda: store.append([(address, "stdout", 0, b"x")]),
        lambda: store.finish([address]),
        lambda: store.read(address, "stdout"),
        lambda: store.tail(address, "stdout", 1),
    ):
        with pytest.raises(Invalid):
            use()
    assert files(store) == []


def test_wrong_streams_offsets_and_ranges_are_refused_before_anything_is_written(store: LogStore) -> None:
    good: Part = (ONE, "stdout", 0, b"x")
    for bad in ((ONE, "../x", 0, b"x"), (ONE, "stdout", -1, b"x"), (ONE, "stdout", 2**60, b"x")):
        with pytest.raises(Invalid):
            store.append([good, bad])
    for offset, length in ((-1, 1), (0, 0)):
        with pytest.raises(Invalid):
            store.read(ONE, "stdout", offset, length)
    with pytest.raises(Invalid):
        store.tail(ONE, "stdout", 0)
    with pytest.raises(Invalid):
        LogStore(store.root, limit=10)
    assert files(store) == []


def test_no_directory_holds_more_than_the_logs_of_a_hundred_jobs(store: LogStore) -> None:
    jobs = [*range(100), 100, 9_999, 10_000, 123_456_789]
    store.append([(Address(1234, job, "a", 1), "stdout", 0, b"x") for job in jobs])
    fullest = max(len(list(path.iterdir())) for path in (store.root / "logs").rglob("*") if path.is_dir())
    assert fullest == 100


def test_logs_go_when_their_retention_is_over_a_bounded_number_at_a_time(store: LogStore, clock: ManualClock) -> None:
    old = [Address(1, job, "a", 1) for job in range(25)]
    store.append([(address, "stdout", 0, b"x") for address in old])
    store.finish(old)
    clock.advance(5 * HOUR)
    store.append([(ONE, "stdout", 0, b"new"), (ONE.of(3), "stdout", 0, b"runs")])
    store.finish([ONE])
    ended = clock.now - 5 * HOUR
    assert store.expire(ended + 10 * HOUR) == 0
    assert [store.expire(ended + 11 * HOUR, most=10) for _ in range(4)] == [10, 10, 5, 0]
    assert sorted(path.name for path in files(store)) == ["17.propagate.2.stdout.gz", "17.propagate.3.stdout.live"]
    assert not (store.root / "logs" / "0" / "1").exists()
    assert store.expire(ended + 17 * HOUR) == 1
    assert [path.name for path in files(store)] == ["17.propagate.3.stdout.live"]
    assert list((store.root / "ended").iterdir()) == []


def test_many_attempts_of_one_hour_all_go(store: LogStore, clock: ManualClock) -> None:
    attempts = [Address(1, job, "a-task-with-a-name-nearly-as-long-as-may-be", 1) for job in range(1500)]
    store.append([(address, "stderr", 0, b"x") for address in attempts])
    store.finish(attempts)
    store.finish(attempts)
    done = []
    while count := store.expire(clock.now + 12 * HOUR, most=10_000):
        done.append(count)
    assert sum(done) == 1500
    assert len(done) > 1
    assert files(store) == []


def test_a_note_cut_short_by_a_crash_costs_no_other_log_its_end(store: LogStore, clock: ManualClock) -> None:
    store.append([(ONE, "stdout", 0, b"x")])
    (store.root / "ended").mkdir()
    (store.root / "ended" / str(int(clock.now // HOUR))).write_bytes(b"41/1/a#1\n42/17/prop")
    store.finish([ONE])
    while store.expire(clock.now + 12 * HOUR):
        pass
    assert files(store) == []


def test_a_clock_set_back_deletes_nothing_early(store: LogStore, clock: ManualClock) -> None:
    store.append([(ONE, "stdout", 0, b"x")])
    clock.advance(-HOUR)
    store.finish([ONE])
    assert store.expire(clock.now + 9 * HOUR) == 0
    assert whole(store) == b"x"


PAGE_WRITE = 64  # bytes; so small a write within a page is done whole or not at all


class Killed(BaseException):
    """Stands for the end of a process."""


def test_killed_at_any_write_a_log_goes_on_correctly(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th call that changes the disk never happens; then everything is sent and finished once more."""
    data = numbered(400)
    pieces: list[Part] = [(ONE, "stdout", at, data[at : at + 700]) for at in range(0, len(data), 700)]
    real = {name: getattr(os, name) for name in ("pwrite", "replace", "unlink", "ftruncate", "rename")}
    for fatal in range(1, 200):
        store = LogStore(tmp_path / str(fatal), LIMIT, 10 * HOUR, clock)
        left = fatal

        def counted(name: str) -> object:
            def call(*arguments: object, **named: object) -> object:
                nonlocal left
                left -= 1
                if left <= 0:
                    if left == 0 and name == "pwrite" and len(arguments[1]) > PAGE_WRITE:  # type: ignore[arg-type]
                        real[name](arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])  # type: ignore[index, arg-type]
                    raise Killed
                return real[name](*arguments, **named)

            return call

        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, counted(name))
            try:
                work(store, pieces)
            except Killed:
                pass
            else:
                break
        total = store.read(ONE, "stdout").total
        assert whole(store) == capped((data + b"late")[:total]), (
            f"killed at change {fatal}, before anything is sent again"
        )
        work(store, pieces)
        assert whole(store) == capped(data + b"late"), f"killed at change {fatal}"
        assert [path.name for path in files(store)] == ["17.propagate.2.stdout.gz"]
    assert fatal > 20


def work(store: LogStore, pieces: list[Part]) -> None:
    for piece in pieces:
        store.append([piece])
    store.finish([ONE])
    store.append([(ONE, "stdout", pieces[-1][2] + len(pieces[-1][3]), b"late")])
    store.finish([ONE])


def test_a_damaged_compressed_log_does_not_stop_new_bytes(store: LogStore) -> None:
    for damage in (b"", b"\x1f\x8b\x08", b"x" * 200):
        address = ONE.of(len(damage) + 1)
        store.append([(address, "stdout", 0, b"old")])
        store.finish([address])
        (path,) = [path for path in files(store) if f".{address.attempt}." in path.name]
        path.write_bytes(damage)
        store.append([(address, "stdout", 3, b"new")])
        assert whole(store, address).endswith(b"3 bytes of this log never arrived]\nnew")
        store.finish([address])
        assert store.read(address, "stdout").complete


def test_a_compressed_log_cut_in_its_data_is_told_when_read_and_replaced_when_more_comes(store: LogStore) -> None:
    data = os.urandom(900)
    store.append([(ONE, "stdout", 0, data)])
    store.finish([ONE])
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(Unavailable):
        store.read(ONE, "stdout")
    store.append([(ONE, "stdout", 900, b"new")])
    assert whole(store).endswith(b"never arrived]\nnew")


def test_a_full_disk_is_told_and_nothing_is_lost(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append([(ONE, "stdout", 0, b"before ")])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(Unavailable) as caught:
            store.append([(ONE, "stdout", 7, b"after")])
    assert caught.value.code == "disk-full"
    with monkeypatch.context() as patch:
        patch.setattr(log_packed.zlib, "compressobj", full)
        with pytest.raises(Unavailable):
            store.finish([ONE])
    store.append([(ONE, "stdout", 7, b"after")])
    store.finish([ONE])
    assert whole(store) == b"before after"
    assert len(files(store)) == 1


@pytest.mark.parametrize("size", [1, 100, LIMIT // 2, LIMIT // 2 + 1, 3 * LIMIT])
def test_a_log_that_comes_whole_is_as_one_that_grew(store: LogStore, size: int) -> None:
    data = numbered(1000)[:size]
    store.take([(ONE, "stdout", 0, data[:40]), (ONE, "stdout", 40, data[40:]), (ONE, "stderr", 0, b"no")], [ONE])
    assert whole(store) == capped(data)
    assert whole(store, stream="stderr") == b"no"
    assert store.read(ONE, "stdout").complete
    (path,) = [path for path in files(store) if "stdout" in path.name]
    assert gzip.decompress(path.read_bytes()) == capped(data)
    store.take([(ONE, "stdout", 0, data), (ONE, "stdout", len(data), b"late")], [ONE])
    assert whole(store) == capped(data + b"late")
    assert {path.suffix for path in files(store)} == {".gz"}


def test_logs_of_one_request_may_be_whole_go_on_or_end(store: LogStore) -> None:
    live, over, begun = ONE, ONE.of(3), ONE.of(4)
    store.append([(begun, "stdout", 0, b"one ")])
    store.take([(live, "stdout", 0, b"a"), (over, "stdout", 0, b"b"), (begun, "stdout", 4, b"two")], [over, begun])
    assert [whole(store, address) for address in (live, over, begun)] == [b"a", b"b", b"one two"]
    assert [store.read(address, "stdout").complete for address in (live, over, begun)] == [False, True, True]
    store.take([(begun, "stdout", 0, b"one two")], [begun])
    assert whole(store, begun) == b"one two"


def test_whole_logs_go_when_their_retention_is_over(store: LogStore, clock: ManualClock) -> None:
    store.take([(ONE, "stdout", 0, b"x")], [ONE])
    assert store.expire(clock.now + 9 * HOUR) == 0
    assert store.expire(clock.now + 12 * HOUR) == 1
    assert files(store) == []


def test_killed_at_any_write_a_whole_log_comes_again(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, real = numbered(100)[: LIMIT // 2], os.pwrite
    for fatal in range(1, 20):
        store, left = LogStore(tmp_path / str(fatal), LIMIT, 10 * HOUR, clock), fatal

        def cut(fd: int, content: bytes, at: int) -> int:
            nonlocal left
            left -= 1
            if left == 0:
                real(fd, content[: len(content) // 2], at)
                raise Killed
            return real(fd, content, at)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", cut)
            try:
                store.take([(ONE, "stdout", 0, data)], [ONE])
            except Killed:
                pass
            else:
                break
        assert not store.read(ONE, "stdout").complete
        store.take([(ONE, "stdout", 0, data)], [ONE])
        assert whole(store) == data
        assert [path.name for path in files(store)] == ["17.propagate.2.stdout.gz"]
    assert fatal > 2


def append_all(root: str, data: bytes) -> None:
    store = LogStore(Path(root), LIMIT)
    for at in range(0, len(data), 40):
        store.append([(ONE, "stdout", at, data[at : at + 40]), (ONE.of(1), "stdout", at, data[at : at + 40])])


def test_processes_may_append_and_compress_at_once(store: LogStore) -> None:
    data = numbered(400)
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=append_all, args=(str(store.root), data)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        store.finish([ONE])
        store.read(ONE.of(1), "stdout")
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    store.finish([ONE, ONE.of(1)])
    assert whole(store) == capped(data)
    assert whole(store, ONE.of(1)) == capped(data)


SENT = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 700), st.sampled_from(["", "finish", "again"])), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(sent=SENT, page=st.integers(1, 1500))
def test_whatever_is_sent_twice_and_whenever_it_is_compressed_the_log_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, int, str]], page: int
) -> None:
    store = LogStore(tmp_path_factory.mktemp("logs"), LIMIT)
    stream = numbered(2000)
    end = 0
    for back, size, then in sent:
        start = max(0, end - back)
        part: Part = (ONE, "stdout", start, stream[start : start + size])
        store.append([part, part] if then == "again" else [part])
        end = max(end, start + size)
        if then == "finish":
            store.finish([ONE])
        assert whole(store, length=page) == capped(stream[:end])


def test_a_script_is_one_file_for_all_it_was_submitted_for(store: LogStore, tmp_path: Path, clock: ManualClock) -> None:
    others = [Address(42, job, "propagate", 1) for job in (1, 20_000)]
    store.keep_script([ONE, *others], b"#!/bin/sh\n")
    assert [whole(store, address, "script") for address in (ONE, *others)] == [b"#!/bin/sh\n"] * 3
    assert len({path.stat().st_ino for path in tmp_path.rglob("*.script.gz")}) == 1
    store.keep_script([ONE], b"again\n")
    assert whole(store, ONE, "script") == b"again\n"
    assert whole(store, others[0], "script") == b"#!/bin/sh\n"
    store.append([(ONE, "stdout", 0, b"x")])
    store.finish([ONE, *others])
    assert store.expire(clock.now + 12 * HOUR) == 3
    assert not list(tmp_path.rglob("*.gz"))


def test_a_script_that_has_too_many_names_gets_another_file(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refuse)
    other = Address(42, None, "merge", 1)
    store.keep_script([ONE, other], b"text")
    assert whole(store, other, "script") == whole(store, ONE, "script") == b"text"
