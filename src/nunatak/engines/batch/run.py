"""Run the commands of a batch system, here or on a login node by one ssh connection that stays open."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from nunatak.core.errors import Unavailable
from nunatak.engines.batch.dialect import Answer, Ask, Command, T
from nunatak.engines.batch.ferry import Pipe

Run = Callable[[Command], Answer]
"""Runs one command to its end; never raises."""
MOST_PATH = 40
"""Characters of the directory of a socket: OpenSSH adds 58, and the system takes 107 in all."""
Execute = Callable[..., "subprocess.CompletedProcess[bytes]"]
"""Like `subprocess.run`."""


def here(environ: Mapping[str, str], patience: float, execute: Execute = subprocess.run) -> Run:
    """Return what runs commands on this machine with `environ`; after `patience` seconds they are given up."""

    def run(command: Command) -> Answer:
        return _run(command.argv, command.text, dict(environ), patience, execute)

    return run


def by_ssh(
    host: str, control: Path, environ: Mapping[str, str], patience: float, execute: Execute = subprocess.run
) -> Run:
    """Return what runs commands on `host`. The first opens a connection that the others share (OpenSSH ControlMaster).

    `control` is a directory of ours for its socket. Keys and user are OpenSSH's business (~/.ssh/config); it asks nobody.
    """
    ssh = _ssh(host, control, patience)

    def run(command: Command) -> Answer:
        control.mkdir(mode=0o700, parents=True, exist_ok=True)
        answer = _run((*ssh, shlex.join(command.argv)), command.text, dict(environ), patience, execute)
        return _told(answer)

    return run


def pipe(host: str, control: Path, environ: Mapping[str, str], patience: float) -> Pipe:
    """Return what runs commands between an input and an output, on `host` by the same connection; "": here."""

    def run(argv: Sequence[str], source: IO[bytes], target: IO[bytes]) -> Answer:
        control.mkdir(mode=0o700, parents=True, exist_ok=True)
        words = (*_ssh(host, control, patience), shlex.join(argv)) if host else tuple(argv)
        given: dict[str, Any] = {"stdin": source} if hasattr(source, "name") else {"input": source.read()}
        try:
            done = subprocess.run(words, stdout=target, stderr=subprocess.PIPE, env=dict(environ), timeout=patience,
                                  check=False, start_new_session=True, **given)  # fmt: skip
        except subprocess.TimeoutExpired:
            return Answer(-1, err=f"{words[0]} did not end within {patience:g} s", lost=True)
        except OSError as error:
            return Answer(127, err=f"{words[0]}: {error.strerror or error}")
        answer = Answer(done.returncode, err=done.stderr.decode("utf-8", "replace"))
        return _told(answer) if host else answer

    return run


def _ssh(host: str, control: Path, patience: float) -> tuple[str, ...]:
    """Return the words before a command that is to be run on `host`."""
    options = {
        "BatchMode": "yes",
        "ControlMaster": "auto",
        "ControlPath": f"{control}/%C",
        "ControlPersist": "600",
        "ConnectTimeout": str(max(1, int(patience // 2))),
        "ServerAliveInterval": "15",
    }
    return ("ssh", *(f"-o{name}={value}" for name, value in options.items()), "--", host)


def _told(answer: Answer) -> Answer:
    """Return an answer that came by ssh; 255 is ssh's own: the command may have been run before the connection broke."""
    return replace(answer, lost=True) if answer.code == 255 else answer


def control_place(directory: Path, environ: Mapping[str, str]) -> Path:
    """Return a directory of ours for the socket of a connection: its path has to be short (`sockaddr_un`).

    Raises `Unavailable` if somebody else made it.
    """
    word = hashlib.sha256(str(directory).encode()).hexdigest()[:8]
    short = Path(tempfile.gettempdir()) / f"nunatak-{os.getuid()}-{word}"
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or directory) / ".ssh"
    place = runtime if len(str(runtime)) <= MOST_PATH else short
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Unavailable(
            f"{place} is not ours alone", code="engine-directory", hint="delete it, or set XDG_RUNTIME_DIR"
        )
    return place


def ask(run: Run, question: Ask[T]) -> T:
    """Run the commands of a question in order and return how it reads the answers. Raises what its reading raises."""
    return question.read([run(command) for command in question.commands])


def _run(argv: Sequence[str], text: str, environ: dict[str, str], patience: float, execute: Execute) -> Answer:
    options: dict[str, Any] = {"input": text.encode(), "capture_output": True, "env": environ, "timeout": patience}
    try:
        done = execute(tuple(argv), check=False, start_new_session=True, **options)
    except subprocess.TimeoutExpired:
        return Answer(-1, err=f"{argv[0]} did not answer within {patience:g} s", lost=True)
    except OSError as error:
        return Answer(127, err=f"{argv[0]}: {error.strerror or error}")
    return Answer(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
