"""A child that does not outlive its parent: it holds the end of a pipe that breaks when the parent is gone, however."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import MutableMapping

VARIABLE = "NUNATAK_PARENT_PIPE"
GRACE_SECONDS = 15.0


def end_with_parent(environ: MutableMapping[str, str]) -> None:
    """End this process, politely and then firmly, when the process that gave it the pipe ends. Without a pipe: nothing."""
    number = environ.pop(VARIABLE, "")
    if number.isdigit():
        threading.Thread(target=_wait, args=(int(number),), name="parent", daemon=True).start()


def _wait(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    firmly = threading.Timer(GRACE_SECONDS, os._exit, (1,))
    firmly.daemon = True
    firmly.start()
    os.kill(os.getpid(), signal.SIGTERM)
