"""The engine on a real Slurm 24.11, whose squeue, scontrol and sacct speak another JSON and other words than 22.05."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.contract import test_engines as suite
from tests.contract import test_engines_slurm as basics
from tests.contract import test_engines_slurm_faults as faults
from tests.services.slurm import Slurm
from tests.services.slurm_root import newer_slurm
from tests.services.workers import impatient

rig, rigs, host, own = basics.rig, faults.rigs, basics.host, faults.own  # the fixtures
ALIKE = {
    suite: (
        "test_an_attempt_runs_and_ends_with_an_outcome_that_is_its_own",
        "test_a_running_attempt_is_cancelled",
        "test_a_running_member_is_cancelled_alone",
    ),
    basics: (
        "test_attempts_of_one_shape_are_one_array_and_the_script_is_in_each_sandbox",
        "test_no_more_run_than_there_are_cores_and_the_rest_follows_in_order",
        "test_a_job_asks_for_gpus_and_finds_them",
        "test_a_feature_picks_the_node_and_nodes_to_avoid_are_avoided",
        "test_what_waits_is_kept_from_a_node_that_is_drained_later",
    ),
    faults: (
        "test_a_killed_controller_costs_nothing_but_time",
        "test_a_job_that_is_requeued_is_ended_and_tried_again_by_us",
        "test_ends_from_outside_are_told_apart",
    ),
}
globals().update({name: getattr(module, name) for module, names in ALIKE.items() for name in names})


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    with newer_slurm() as prefix:
        cluster = Slurm.start(prefix=prefix)
        yield cluster
        cluster.stop()


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The worker, under the other system's Python."""
    return ("python3", "-I", "-S", str(impatient(tmp_path_factory.mktemp("worker"))))


def test_it_is_another_slurm_and_another_form(slurm: Slurm) -> None:
    assert slurm.version >= (24, 5)
    job = slurm.run("sbatch", "--parsable", "-p", "one", "-o", "/dev/null", text="#!/bin/sh\ntrue\n").stdout.strip()
    (told,) = json.loads(slurm.run("squeue", "--json", "--states=all", "-j", job).stdout)["jobs"]
    assert isinstance(told["job_state"], list)
    assert isinstance(told["start_time"], dict)
