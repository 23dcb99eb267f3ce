"""Translates what the operating system says about a file into the errors of Nunatak."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from nunatak.core.errors import Invalid, NotFound, NunatakError, Refused, Unavailable

_FULL = {errno.ENOSPC, errno.EDQUOT}
_WRONG = {errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EFBIG, errno.EEXIST}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def translate(error: OSError, what: str) -> NunatakError:
    """Return the error to raise for `error`, met while doing something with `what`."""
    said = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        return NotFound(f"there is no {what}", code="no-file")
    if error.errno in _FULL:
        return Unavailable(f"no space left for {what}", code="disk-full", hint="free space or raise the quota")
    if error.errno in _DENIED:
        return Refused(f"{what}: {said}", code="denied", hint="check the owner and the permissions")
    if error.errno in _WRONG:
        return Invalid(f"{what}: {said}", code="bad-file")
    return Unavailable(f"{what}: {said}", code="storage-error")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise what the operating system says inside as an error of Nunatak."""
    try:
        yield
    except OSError as error:
        raise translate(error, what) from error
