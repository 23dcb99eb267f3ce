"""What an order says of telling logs while the attempt runs, and the key by which a teller is known.

The key is made of the engine's secret and of whose it is, so that nothing is kept for each attempt, and with one key
nobody can tell anything of another attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from nunatak.core.errors import Unavailable

_LENGTH = 32


def key_for(secret: bytes, address: str, lease: str, place: str) -> str:
    """Return the key of an attempt whose box is at `place` (HMAC with SHA-256, RFC 2104)."""
    return hmac.new(secret, f"{address}\n{lease}\n{place}".encode(), hashlib.sha256).hexdigest()


def genuine(secret: bytes, address: str, lease: str, place: str, key: str) -> bool:
    """Tell whether a key is that of an attempt."""
    made = key_for(secret, address, lease, place)
    return hmac.compare_digest(made.encode(), key.encode("utf-8", "replace"))


def secret_of(path: Path) -> bytes:
    """Return the secret in a file, made up if there is none; only who owns it may read it. Raises `Unavailable`."""
    try:
        if not path.exists():
            _make(path)
        found = path.read_bytes()
    except OSError as error:
        raise Unavailable(
            f"the key of live logs cannot be kept: {error.strerror or error}: {path}", code="engine-directory"
        ) from None
    if len(found) != _LENGTH:
        raise Unavailable(
            f"the key of live logs is damaged: {path}", code="engine-directory", hint="delete it: another is made"
        )
    return found


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, secrets.token_bytes(_LENGTH))
        os.fsync(file)
    finally:
        os.close(file)
    draft.rename(path)
