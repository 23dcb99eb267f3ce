"""The pools that tests have: what is done to one meets no other, and one that is ended is gone, however far it had come."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.services.htcondor import Pool
from tests.services.processes import program

pytestmark = pytest.mark.htcondor


def test_a_pool_that_does_not_run_has_no_processes_and_takes_no_command(tmp_path: Path) -> None:
    schedd = tmp_path / "condor_schedd"
    shutil.copy2(shutil.which("sleep") or "sleep", schedd)
    with subprocess.Popen([schedd, "600"]) as foreign:
        pool = Pool(tmp_path)
        assert pool.processes() == []
        assert pool.pids("condor_schedd") == []
        pool.kill("condor_schedd")
        pool.power_cut()
        pool.stop()
        assert foreign.poll() is None
        with pytest.raises(RuntimeError, match="does not run"):
            pool.admin("condor_q")
        foreign.kill()


def test_a_pool_that_is_ended_before_its_daemons_began_is_gone_with_all_it_has(tmp_path: Path) -> None:
    pool = Pool(tmp_path)
    pool.spawn(slowly=600)
    try:
        pool._until(lambda: any(program(pid) == "sleep" for pid in pool.processes()), "to begin")
        processes = pool.processes()
    finally:
        pool.stop()
    assert not pool.alive
    assert [pid for pid in processes if program(pid) == "sleep"] == []
    assert not (tmp_path / "pid").exists()
