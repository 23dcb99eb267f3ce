"""Run the commands of a batch system, here or on a login node by one ssh connection that stays open."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nunatak.engines.batch.dialect import Answer, Ask, Command, T

Run = Callable[[Command], Answer]
"""Runs one command to its end; never raises."""
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
    options = {
        "BatchMode": "yes",
        "ControlMaster": "auto",
        "ControlPath": f"{control}/%C",
        "ControlPersist": "600",
        "ConnectTimeout": str(max(1, int(patience // 2))),
        "ServerAliveInterval": "15",
    }
    ssh = ["ssh", *(f"-o{name}={value}" for name, value in options.items()), "--", host]

    def run(command: Command) -> Answer:
        control.mkdir(mode=0o700, parents=True, exist_ok=True)
        answer = _run((*ssh, shlex.join(command.argv)), command.text, dict(environ), patience, execute)
        # 255 is ssh's own: the command may have been run before the connection broke
        return Answer(answer.code, answer.out, answer.err, lost=True) if answer.code == 255 else answer

    return run


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
