"""Lines of logs: numbered, paged and searched as the whole text would be, live, compressed, and with a dropped middle."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nunatak.core.address import parse
from nunatak.tasks.logs import lines as log_lines
from nunatak.tasks.logs.keeping import LogStore
from nunatak.tasks.logs.lines import BEFORE, PAGE_BYTES, PAGE_LINES, Line, LinePage, Log, LogLines

ADDRESS = parse("42/17/propagate#1")
LOG: Log = (ADDRESS, "stdout")


def text(lines: int, seed: int = 1) -> bytes:
    chance = random.Random(seed)
    return b"".join(b"line %d %s\n" % (n, b"x" * chance.choice((0, 3, 70, 300, 2000))) for n in range(1, lines + 1))


def store(tmp_path: Path, data: bytes, *, packed: bool, limit: int = 100_000_000) -> LogStore:
    logs = LogStore(tmp_path, limit, clock=lambda: 1e9)
    for start in range(0, len(data), 500_000):
        logs.append([(ADDRESS, "stdout", start, data[start : start + 500_000])])
    if packed:
        logs.finish([ADDRESS])
    return logs


def numbered(data: bytes) -> list[Line]:
    found, at = [], 0
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        found.append(Line(number, at, line))
        at += len(line) + 1
    return found


def forward(lines: LogLines, offset: int = 0) -> list[LinePage]:
    pages = [lines.page(LOG, offset)]
    while pages[-1].next < pages[-1].total:
        pages.append(lines.page(LOG, pages[-1].next))
    return pages


@pytest.mark.parametrize("packed", [False, True])
def test_pages_in_either_direction_have_every_line_with_its_number(tmp_path: Path, packed: bool) -> None:
    data = text(3000)
    lines = LogLines(store(tmp_path, data, packed=packed))
    pages = forward(lines)
    assert [line for page in pages for line in page.lines] == numbered(data)
    assert all(len(page.lines) <= PAGE_LINES and page.next - page.start <= PAGE_BYTES for page in pages)
    assert pages[-1].complete is packed
    back = [LogLines(lines._logs).last(LOG)]
    while back[0].start:
        back.insert(0, lines.page_before(LOG, back[0].start))
    assert [line for page in back for line in page.lines] == numbered(data)


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_is_found_by_its_number(tmp_path: Path, packed: bool) -> None:
    data = text(3000)
    lines, expected = LogLines(store(tmp_path, data, packed=packed)), numbered(data)
    for number in (1, 2, 700, 1999, 3000):
        assert lines.offset_of(LOG, number) == expected[number - 1].offset
        assert lines.number_at(LOG, expected[number - 1].offset + 2) == number
        page = lines.page_of(LOG, number)
        assert page.lines[0].number == max(1, number - BEFORE)
        assert number in [line.number for line in page.lines]
    assert lines.page_of(LOG, 10**9).lines[-1].number == 3000


def test_a_line_longer_than_pages_goes_on_over_them(tmp_path: Path) -> None:
    data = b"short\n" + b"y" * (2 * PAGE_BYTES + 5) + b"\nend\n"
    pages = forward(LogLines(store(tmp_path, data, packed=True)))
    assert b"".join(line.data for page in pages for line in page.lines if line.number == 2) == data.split(b"\n")[1]
    assert [line.rest for page in pages for line in page.lines if line.number == 2] == [False, True, True]
    assert pages[-1].lines[-1][:1] == (3,)


@pytest.mark.parametrize("packed", [False, True])
def test_where_the_middle_was_dropped_pages_go_on_in_both_directions(tmp_path: Path, packed: bool) -> None:
    data = text(6000)
    lines = LogLines(store(tmp_path, data, packed=packed, limit=600_000))
    pages = forward(lines)
    seen = [line for page in pages for line in page.lines]
    assert any(b"bytes dropped here" in line.data for line in seen)
    assert seen[-1].data == numbered(data)[-1].data
    numbers = [line.number for line in seen if not line.rest]
    assert numbers == sorted(numbers)
    back = [lines.last(LOG)]
    while back[0].start:
        back.insert(0, lines.page_before(LOG, back[0].start))
    text_of = {line.offset: line.data for page in back for line in page.lines}
    assert {at: data for at, data in text_of.items() if at < 200_000} == {
        line.offset: line.data for line in seen if line.offset < 200_000
    }
    assert sum(len(value) for value in text_of.values()) == sum(len(line.data) for line in seen)


def test_a_log_that_grows_is_counted_on(tmp_path: Path) -> None:
    data = text(4000)
    half = data.index(b"\nline 2000 ") + 1
    logs = store(tmp_path, data[:half], packed=False)
    lines = LogLines(logs)
    assert lines.last(LOG).lines[-1].number == 1999
    logs.append([(ADDRESS, "stdout", half, data[half:])])
    assert lines.last(LOG).lines[-1] == numbered(data)[-1]
    assert lines.page(LOG, half).lines[0].number == 2000
    logs.finish([ADDRESS])
    assert lines.last(LOG).lines[-1] == numbered(data)[-1]


@pytest.mark.parametrize("packed", [False, True])
def test_what_is_looked_for_is_found_in_the_whole_log(tmp_path: Path, packed: bool) -> None:
    data = text(2000) + b"\x1b[31mFatal\x1b[0m Error: a < b\n" + text(2000, 2)
    lines = LogLines(store(tmp_path, data, packed=packed))
    hits = lines.search(LOG, "fatal ERROR")
    assert [hit.number for hit in hits.lines] == [2001]
    assert (hits.next, hits.seen) == (None, len(data))
    some = lines.search(LOG, "line 1", most=5)
    more = lines.search(LOG, "line 1", some.next or 0, most=10_000)
    assert [*some.lines, *more.lines] == [line for line in numbered(data) if b"line 1" in line.data]


def test_a_search_ends_somewhere_and_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "SEARCHED", 600_000)
    data = text(9000)
    lines = LogLines(store(tmp_path, data, packed=True))
    found, at, asked = [], 0, 0
    while at is not None:
        hits = lines.search(LOG, "line 7", at, most=10_000)
        found, at, asked = [*found, *hits.lines], hits.next, asked + 1
    assert found == [line for line in numbered(data) if b"line 7" in line.data]
    assert asked > 2


def test_the_lines_a_verdict_went_by_are_found_again(tmp_path: Path) -> None:
    trace = b"Traceback (most recent call last):\n  File \"/x/propagate.py\", line 61, in load\nKeyError: 'ice'\n"
    lines = LogLines(store(tmp_path, text(2000) + trace + b"bye\n", packed=True))
    assert lines.evidence(LOG, ['File "/x/propagate.py", line 61, in load', "KeyError: 'ice'"]) == [2002, 2003]
    assert lines.evidence(LOG, ["not there"]) == []


def test_no_log_is_an_empty_page(tmp_path: Path) -> None:
    lines = LogLines(LogStore(tmp_path))
    assert lines.last(LOG) == LinePage([], 0, 0, 0, False)
    assert lines.search(LOG, "x").lines == []
    assert lines.page_of(LOG, 7).lines == []
