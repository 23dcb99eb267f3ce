"""Compressed logs: any part is found without unpacking what is before it, and other programs read them as ever."""

import gzip
import zlib
from pathlib import Path

import pytest

from nunatak.tasks.logs import packed as log_packed
from nunatak.tasks.logs.live import BLOCK, Extent, LiveLog
from nunatak.tasks.logs.packed import DAMAGE, PackedLog, compress, pack_whole

LINES = b"".join(b"%d %d a line of a program\n" % (n, n * n) for n in range(60_000))


def packed(path: Path, data: bytes, limit: int = 10**9, *, whole: bool = False) -> PackedLog:
    empty = Extent.for_limit(limit)
    if whole:
        path.write_bytes(pack_whole(data, empty, 1.0))
        return PackedLog(path)
    with LiveLog(path.with_suffix(".live"), empty, create=True) as live:
        live.append(0, data)
        compress(live, path, 1.0)
    return PackedLog(path)


def kept(log: PackedLog) -> bytes:
    return b"".join(data for _, data in log.blocks(0))


@pytest.mark.parametrize("whole", [True, False])
def test_a_part_is_unpacked_from_the_point_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    log = packed(tmp_path / "log.gz", LINES, whole=whole)
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == kept(log) == LINES
    unpacked, real = [], zlib.decompressobj

    class Counting:
        def __init__(self, *arguments: int) -> None:
            self._real = real(*arguments)

        def decompress(self, *arguments: object) -> bytes:
            found = self._real.decompress(*arguments)  # type: ignore[arg-type]
            unpacked.append(len(found))
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr(log_packed.zlib, "decompressobj", Counting)
    for start in (0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 17, len(LINES) - 100):
        unpacked.clear()
        assert log.read(start, min(start + 100, len(LINES))) == LINES[start : start + 100]
        assert sum(unpacked) <= 3 * BLOCK


def test_lines_before_each_point_are_kept_also_where_the_middle_was_dropped(tmp_path: Path) -> None:
    for limit in (10**9, 6 * BLOCK + 100):
        log = packed(tmp_path / f"{limit}.gz", LINES, limit)
        points = log.lines()
        assert points[0] == (0, 0)
        assert len(points) >= 6
        whole = kept(log)
        for position, lines in points:
            rest = b"".join(data for _, data in log.blocks(position))
            assert lines == whole[: len(whole) - len(rest)].count(b"\n")
            assert log.read(position, min(position + 50, log.extent.total)) == rest[:50]


def test_without_its_index_a_log_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    place = packed(path, LINES)._index
    torn = path.read_bytes()[: place + 5]
    path.write_bytes(torn)
    assert len(PackedLog(path).points()) == 1
    assert PackedLog(path).read(3 * BLOCK, 3 * BLOCK + 50) == LINES[3 * BLOCK : 3 * BLOCK + 50]
    path.write_bytes(torn[: place // 2])
    with pytest.raises(DAMAGE):
        PackedLog(path).read(len(LINES) - 50, len(LINES))


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    extra = log_packed._EXTRA.pack(b"Nu", log_packed._EXTRA.size - 4, 10**6, 10**6, 1000, 1000)
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(LINES[:1000]) + packer.flush()
    head = log_packed._GZIP.pack(b"\x1f\x8b\x08\x04", 0, 0, 255, len(extra))
    path = tmp_path / "log.gz"
    path.write_bytes(
        head + extra + body + zlib.crc32(LINES[:1000]).to_bytes(4, "little") + (1000).to_bytes(4, "little")
    )
    assert gzip.decompress(path.read_bytes()) == LINES[:1000]
    log = PackedLog(path)
    assert kept(log) == LINES[:1000]
    assert log.read(900, 1000) == LINES[900:1000]
    assert log.lines() == [(0, 0)]
