"""A worker that lies, is silent or sends garbage, as the name of its task says, in the place of the real one.

Started as `liar.py REAL_WORKER SANDBOX ...`; tasks whose names begin with `of_` are done by the real worker.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

MB = 1_000_000


def main(real: str, *words: str) -> None:
    sandbox = Path(words[0])
    task = json.loads((sandbox / "task.json").read_text())
    name, _, attempt = task["address"].rpartition("/")[2].partition("#")
    if name.startswith("of_"):
        os.execv(sys.executable, [sys.executable, "-I", "-S", real, *words])
    good = {"format": 1, "address": task["address"], "lease": task["lease"], "reason": "ok", "ended": time.time()}
    good["outputs"] = [stored(output) for output in task["outputs"]]
    told = LIES[name](good, sandbox, int(attempt))
    if told is not None:
        draft = sandbox / "draft"
        draft.write_bytes(told if isinstance(told, bytes) else json.dumps(told).encode())
        draft.rename(sandbox / "outcome.json")


def stored(output: dict[str, Any], data: bytes = b"true\n") -> dict[str, Any]:
    """Store an output as promised."""
    place = Path(unquote(urlsplit(output["url"]).path))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return {
        "name": output["name"], "url": output["url"], "size": len(data), "sha256": sha256(data).hexdigest(),
        "temporary": False,
    }  # fmt: skip


def hangs(_good: dict[str, Any], sandbox: Path, _attempt: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (sandbox / "hangs").touch()
    while True:
        time.sleep(600)


def gone(good: dict[str, Any], _sandbox: Path, _attempt: int) -> dict[str, Any]:
    """Claims an output that is not there (any more)."""
    Path(unquote(urlsplit(good["outputs"][0]["url"]).path)).unlink()
    return good


def altered(good: dict[str, Any], _sandbox: Path, _attempt: int) -> dict[str, Any]:
    """Claims a checksum that is not that of the output."""
    good["outputs"][0]["sha256"] = "0" * 64
    return good


def elsewhere(good: dict[str, Any], _sandbox: Path, _attempt: int) -> dict[str, Any]:
    """Claims a file of the server as its output."""
    good["outputs"][0]["url"] = "file:///etc/passwd"
    return good


def resized(good: dict[str, Any], _sandbox: Path, _attempt: int) -> dict[str, Any]:
    """Claims a size that is not that of the output."""
    good["outputs"][0]["size"] += 1
    return good


def changed(good: dict[str, Any], _sandbox: Path, _attempt: int) -> dict[str, Any]:
    """Lets the output be written to after it was stored, before it is reported."""
    Path(unquote(urlsplit(good["outputs"][0]["url"]).path)).write_bytes(b"trve\n")
    return good


def wrong_clock(good: dict[str, Any], hours: float) -> dict[str, Any]:
    """Tells times by a clock that is ahead, or behind."""
    return {**good, "started": good["ended"] - 0.05 + 3600 * hours, "ended": good["ended"] + 3600 * hours}


LIES = {
    "honest": lambda good, sandbox, attempt: good,
    "lease": lambda good, sandbox, attempt: {**good, "lease": "abc123"},
    "address": lambda good, sandbox, attempt: {**good, "address": "1/0/honest#1"},
    "garbage": lambda good, sandbox, attempt: os.urandom(4096),
    "half": lambda good, sandbox, attempt: json.dumps(good).encode()[:-20],
    "empty": lambda good, sandbox, attempt: b"",
    "types": lambda good, sandbox, attempt: {**good, "exit": "zero", "usage": [1, 2]},
    "negative": lambda good, sandbox, attempt: {**good, "usage": {"wall": -3600.0}},
    "infinite": lambda good, sandbox, attempt: json.dumps({**good, "usage": {"wall": float("inf")}}).encode(),
    "nul": lambda good, sandbox, attempt: {**good, "reason": "exit", "exit": 1, "message": "a\0b"},
    "reason": lambda good, sandbox, attempt: {**good, "reason": "perfect"},
    "silent": lambda good, sandbox, attempt: None if attempt == 1 else good,
    "hangs": hangs,
    "missing": lambda good, sandbox, attempt: {**good, "outputs": []},
    "more": lambda good, sandbox, attempt: {
        **good,
        "outputs": good["outputs"] + [{**good["outputs"][0], "name": "b.txt"}],
    },
    "elsewhere": elsewhere,
    "ahead": lambda good, sandbox, attempt: wrong_clock(good, 5.0),
    "behind": lambda good, sandbox, attempt: wrong_clock(good, -5.0),
    "gone": gone,
    "resized": resized,
    "changed": changed,
    "altered": altered,
    "long": lambda good, sandbox, attempt: {**good, "reason": "exit", "exit": 1, "message": "x" * (MB // 2)},
    "longer": lambda good, sandbox, attempt: {**good, "reason": "exit", "exit": 1, "message": "x" * (9 * MB)},
    "longest": lambda good, sandbox, attempt: {**good, "reason": "exit", "exit": 1, "message": "x" * (20 * MB)},
}

if __name__ == "__main__":
    main(*sys.argv[1:])
