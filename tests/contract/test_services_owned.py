"""What a test process that was killed leaves running is ended by the next one, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.services import owned
from tests.services.processes import begun

OWNER = """\
import subprocess, sys, time
from pathlib import Path
from tests.services import owned
place = owned.directory("server-", Path(sys.argv[1]))
words, null = ["sh", "-c", "while :; do sleep 1; done", place], subprocess.DEVNULL
server = subprocess.Popen(words, stdout=null, start_new_session=True)
print(place, server.pid, flush=True)
time.sleep(600)
"""


def owner(parent: Path) -> tuple[subprocess.Popen[str], Path, int]:
    """Start a process that owns a server; return it, and directory and process of the server."""
    made = subprocess.Popen([sys.executable, "-c", OWNER, str(parent)], stdout=subprocess.PIPE, text=True)
    assert made.stdout
    place, pid = made.stdout.readline().split()
    return made, Path(place), int(pid)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_the_server_of_a_killed_process_is_ended_and_that_of_a_living_one_goes_on(tmp_path: Path) -> None:
    dead, left, orphan = owner(tmp_path)
    kill(dead)
    assert begun(orphan)
    living, kept, server = owner(tmp_path)  # which ends what was left
    try:
        assert not begun(orphan)
        end = time.monotonic() + 60
        while left.exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        mine = owned.directory("server-", tmp_path)
        assert (begun(server) > 0, kept.exists(), mine.exists()) == (True, True, True)
    finally:
        kill(living)
        owned.kill_all(kept)
    assert not begun(server)
