"""Makes the worker into one file or one directory that runs anywhere; used by servers and engines, not on a node."""

import hashlib
import io
import os
import py_compile
import shutil
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "nunatak_worker"
_MAIN = f'"""Runs the worker."""\n\nfrom {PACKAGE}.main import main\n\nmain()\n'
_LEFT_OUT = ("build.py", "__main__.py")


def sources() -> dict[str, bytes]:
    """Return the files of the worker by the names they have when it runs alone."""
    here = Path(__file__).parent
    files = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in here.glob("*.py") if path.name not in _LEFT_OUT}
    return dict(sorted({"__main__.py": _MAIN.encode(), **files}.items()))


def identity() -> str:
    """Return a short hash of the content: equal for equal sources."""
    digest = hashlib.sha256()
    for name, data in sources().items():
        digest.update(f"{name} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def build(target: Path) -> Path:
    """Write the worker as a zipapp; the same bytes for the same sources, whatever is there is replaced at once."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sources().items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.write_bytes(b"#!/usr/bin/env python3\n" + buffer.getvalue())
    part.chmod(0o755)
    part.replace(target)
    return target


def unpack(target_dir: Path) -> Path:
    """Write the worker's modules to a directory below `target_dir` named by their content; return it.

    Run it as `python -I -S DIRECTORY SANDBOX`. What is there already is used as it is.
    """
    home = target_dir / f"worker-{identity()}"
    if home.is_dir():
        return home
    target_dir.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".worker-", dir=target_dir))
    try:
        part.chmod(0o755)
        for name, data in sources().items():
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_bytes(data)
            if name != "__main__.py":  # never read from a compiled file
                py_compile.compile(str(part / name), dfile=str(home / name), doraise=True)
        _rename(part, home)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return home


def _rename(part: Path, home: Path) -> None:
    try:
        part.rename(home)
    except OSError:
        if not home.is_dir():  # else another process was faster, with the same content
            raise
