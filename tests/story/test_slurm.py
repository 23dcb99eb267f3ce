"""A chain of tasks on a real Slurm, from submission to done, with the engine killed in the middle."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.services.slurm import Slurm
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow
RECIPE = """
name: chain on a cluster
jobs: 12
needs: {memory: 64 MB, disk: 64 MB, time: 10 min}
tasks:
  generate:
    run: echo {job} > numbers.txt
    shell: true
    outputs: [numbers.txt]
  square:
    after: generate
    inputs: [generate/numbers.txt]
    run: sleep 0.3; read n < numbers.txt; echo $((n * n)) > squares.txt
    shell: true
    outputs: ["squares.txt -> {store}/{dataset}/{job:06d}.txt"]
"""


def engine(house: Installation, slurm: Slurm, token: str, shared: Path) -> subprocess.Popen[bytes]:
    """Start an engine that looks at the cluster every second."""
    options = {"directory": str(shared), "partitions": "one,two", "interval": "1", "settle": "5"}
    words = [f"--option={name}={value}" for name, value in options.items()]
    variables = {"NUNATAK_URL": house.url, "NUNATAK_TOKEN": token, "SLURM_CONF": slurm.environ["SLURM_CONF"]}
    return house.spawn("serve", "engine", "c", "--kind", "slurm", *words, log="slurm.log", variables=variables)


def test_a_chain_runs_on_a_cluster_and_survives_its_engine(tmp_path: Path, slurm: Slurm) -> None:
    shared = tmp_path / "shared"
    with installation(tmp_path / "data", start=False, lease="30", heartbeat="5") as house:
        house.start_server()
        with house.client() as client:
            token = client.create_token("c", ["engine"], days=1).token or ""
        first = engine(house, slurm, token, shared)
        house.submit(RECIPE)
        house.until_done(3)
        first.send_signal(signal.SIGKILL)
        first.wait(60)
        engine(house, slurm, token, shared)
        house.until_state("done")
        house.assert_each_done_once(24)
        assert house.doctor().faults == []
        store = house.data / "store" / "1"
        assert [int((store / f"{job:06d}.txt").read_text()) for job in range(12)] == [job * job for job in range(12)]
        until(lambda: not list((shared / ".submissions").glob("n*")), "the engine to forget its submissions")
        until(lambda: not slurm.run("squeue", "-h", "--me").stdout, "jobs to leave their nodes")
