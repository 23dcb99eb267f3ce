"""An engine in a process of its own, called from here: so that it can be another user's, and can be killed -9."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nunatak.engines.protocol import ALL_FINE, Capacity, Changes, Handle, LogPart, Nodes


class EngineProcess:
    """The six methods, each a message to the process and its answer."""

    def __init__(
        self, kind: str, settings: Mapping[str, Any], command: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        """Start it: `command` runs another command, as another user say. Raises what making the engine raises."""
        self._process = subprocess.Popen(
            [*command, sys.executable, "-c", "from tests.services.engine_process import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env=dict(environ),
        )
        try:
            self._tell(kind, dict(settings))
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def dead(self) -> bool:
        return self._process.poll() is not None

    def submit(self, batch: Sequence[Any], nodes: Nodes = ALL_FINE) -> list[Handle]:
        return self._tell("submit", list(batch), nodes)

    def poll(self, cursor: str) -> Changes:
        return self._tell("poll", cursor)

    def cancel(self, handles: Sequence[Handle]) -> None:
        self._tell("cancel", list(handles))

    def adopt(self) -> list[Handle]:
        return self._tell("adopt")

    def capacity(self) -> Capacity:
        return self._tell("capacity")

    def logs(self, offsets: dict[tuple[str, str, str], int]) -> list[LogPart]:
        return self._tell("logs", offsets)

    def using(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
        return self._tell("using", list(keys))

    def die_in(self, function: str) -> None:
        """Have the process kill itself -9 when it comes to call `MODULE:CLASS.METHOD`, or with a + when that returned."""
        self._tell("die_in", function)

    def kill(self) -> None:
        """Kill -9."""
        self._process.kill()
        self._process.communicate()

    def wait_until_dead(self) -> int:
        """Wait for its end, and return how."""
        self._process.communicate(timeout=60)
        return self._process.returncode

    def _tell(self, *message: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()
        fine, answer = pickle.load(self._process.stdout)
        if not fine:
            raise answer
        return answer


def serve() -> None:
    """Make the engine that the first message asks for, and answer until the other side is gone."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine: Any = None
    while True:
        try:
            name, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if engine is None:
                engine = _make(name, *arguments)
                answer: Any = None
            elif name == "die_in":
                answer = die_in(*arguments)
            else:
                answer = getattr(engine, name)(*arguments)
            pickle.dump((True, answer), answers)
        except Exception as error:  # noqa: BLE001 - it is raised at the other side
            pickle.dump((False, error), answers)
        answers.flush()


def _make(kind: str, settings: dict[str, Any]) -> Any:
    from nunatak.engines.plugins import load_engine
    from nunatak.loops.engine_start import keeper
    from nunatak.storage.posix import PosixStorage

    return load_engine(kind, {"keep": keeper(PosixStorage([Path("/")])), **settings})


def die_in(function: str, call: int = 1) -> None:
    """Have this process kill itself -9 at the nth call of `MODULE:CLASS.METHOD`, or with a + when that returned."""
    import importlib
    import signal

    place, _, path = function.rstrip("+").partition(":")
    owner: Any = importlib.import_module(place)
    *owners, name = path.split(".")
    for part in owners:
        owner = getattr(owner, part)
    real, after, calls = getattr(owner, name), function.endswith("+"), 0

    def last(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = real(*arguments, **named) if after or calls < call else None
        if calls >= call:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, last)
