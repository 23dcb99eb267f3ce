"""What fails around a pool: nothing is lost, nothing is done twice, no try is used up, and `why` says what it was.

One pool and one installation with PostgreSQL are behind all stories of this module, and are healed between them, so that
one that fails takes no other with it. Their tasks write down when they begin and wait for a sign, so that a fault meets
them where the story wants it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from nunatak.tasks.tables import attempts
from tests.services.postgres import Postgres
from tests.story.installation import until
from tests.story.pool_site import Site, pool_site

pytestmark = [pytest.mark.slow, pytest.mark.htcondor, pytest.mark.timeout(900)]  # the first may install the pool

BEFORE = "nunatak.engines.htcondor.engine:HTCondorEngine.submit"
AFTER = "nunatak.engines.htcondor.bindings:Condor.submit+"


@pytest.fixture(scope="module")
def shared(postgres: Postgres) -> Iterator[Site]:
    with pool_site(postgres) as found:
        yield found


@pytest.fixture
def site(shared: Site) -> Site:
    """Give what all stories share, sound whatever became of the story before."""
    shared.heal()
    return shared


def once(jobs: int) -> Counter[str]:
    return Counter(str(job) for job in range(jobs))


def test_a_schedd_and_a_negotiator_that_are_killed_cost_nothing(site: Site) -> None:
    number = site.running("schedd", 3)
    site.pool.kill("condor_schedd")
    site.pool.kill("condor_negotiator")
    later = site.submit("negotiator", 2)
    site.finish(number, later)
    assert site.begun(number) == once(3)
    assert site.begun(later) == once(2)
    assert site.endings(number) == {("ok", False): 3}
    assert site.endings(later)["ok", False] == 2  # others may have been given back: the schedd took no jobs
    assert {counted for _, counted in site.endings(later)} == {False}


def test_killed_startds_starters_workers_and_shadows_cost_the_attempts_that_they_had_and_no_try(site: Site) -> None:
    number = site.running("startd", 2)
    site.pool.kill("condor_startd")  # which is noticed when the leases of the jobs are over
    later = site.running("starter", 4)
    site.pool.kill_starter(site.job(later, 0))
    site.kill_worker(later, 1)
    site.kill_shadow(later, 2)
    starter, worker, shadow = (site.first_end(later, job) for job in range(3))
    site.finish(number, later)
    assert "node-lost: " in starter
    assert starter.endswith(" was lost")
    assert "lost: the worker left no outcome: it was killed by signal 9" in worker
    # the schedd begins it again at once, or a busy one after a while, in which it waits in the queue
    assert ("evicted: it was taken from " in shadow and "HTCondor began it again on " in shadow) or (
        "evicted: it was evicted from " in shadow
    ), shadow
    assert site.begun(number) == once(2) + once(2)
    assert site.endings(number) == {("ok", False): 2, ("node-lost", False): 2}
    assert site.endings(later) == {("ok", False): 4, ("node-lost", False): 1, ("lost", False): 1, ("evicted", False): 1}


def test_who_follows_a_log_sees_what_is_printed_meanwhile_also_past_the_death_of_the_engine(site: Site) -> None:
    number = site.submit("followed", 1)
    with site.house.client() as client:
        text = client.logs(f"{number}/0/wait", follow=True)
        assert next(iter(text)) == "job 0 begins\n"
        assert site.house.status(number).tasks.done == 0
        site.kill_engine()
        site.restore()
        other = site.submit("followed-later", 1)
        assert next(iter(client.logs(f"{other}/0/wait", follow=True))) == "job 0 begins\n"
        site.finish(number, other)
        assert list(text) == []
    assert site.endings(number) == site.endings(other) == {("ok", False): 1}


def test_a_pool_that_loses_its_power_begins_again_what_ran(site: Site) -> None:
    number = site.running("power", 2)
    site.pool.power_cut()
    site.let(number, 0, 1)
    site.restore(slowly=1.0)
    site.finish(number)
    assert site.begun(number) == once(2) + once(2)
    assert site.endings(number)["ok", False] == 2
    assert {counted for _, counted in site.endings(number)} == {False}
    assert "node-lost: " in site.first_end(number, 0)


def test_a_queue_that_is_wiped_costs_the_attempts_in_it_and_no_try(site: Site) -> None:
    number = site.running("wiped", 2)
    site.wipe_queue()
    said = site.first_end(number, 0)
    assert "lost: it vanished from the queue of HTCondor" in said
    site.finish(number)
    assert site.endings(number) == {("ok", False): 2, ("lost", False): 2}


def test_what_administrators_and_the_policy_of_a_site_do_to_jobs_is_told_and_tried_again(site: Site) -> None:
    number = site.submit("hands", 5)  # the policy is against the fifth job of any dataset
    until(lambda: {"0", "1", "2"} <= set(site.begun(number)), "the jobs in whose way hands come")
    held, removed, both = (site.job(number, job) for job in range(3))
    admin = site.pool.admin
    admin("condor_hold", held)
    admin("condor_rm", removed)
    with site.engine_asleep():
        admin("condor_hold", both)
        admin("condor_release", both)
        until(lambda: f"013 (00{both}".split(".")[0] in site.event_log.read_text(), "the release to be written")
    said = [site.first_end(number, job) for job in (0, 1, 2, 4)]
    site.finish(number)
    assert "evicted: it was held in the queue by hand: via condor_hold" in said[0]
    assert "evicted: it was removed from the queue by hand: via condor_rm" in said[1]
    assert "evicted: it was held in the queue by hand: via condor_hold" in said[2]
    assert "HTCondor held it: the site holds what it does not like" in said[3]
    begun = site.begun(number)
    del begun["4"]  # which is held before or after it says so
    assert begun == Counter({"0": 2, "1": 2, "2": 2, "3": 1})
    ends = site.endings(number)
    assert ends["ok", False] == 5
    assert ends["evicted", False] == 3
    assert (ends.total(), {counted for _, counted in ends}) == (9, {False})


def test_an_event_log_that_is_rotated_truncated_torn_or_deleted_costs_nothing(site: Site) -> None:
    number = site.running("log", 4)
    log = site.event_log
    for job, damage in enumerate(("truncated", "torn", "rotated", "deleted")):
        with site.engine_asleep():
            if damage == "rotated":
                log.rename(log.with_suffix(".old"))
            elif damage == "truncated":
                os.truncate(log, log.stat().st_size // 2)
            elif damage == "torn":
                with log.open("a") as stream:
                    stream.write("005 (001.000.000) 2026-01-01 00:00:00 Job termi")
            else:
                log.unlink(missing_ok=True)  # jobs go on in the one that was put away
            site.let(number, job)
            until(lambda job=job: not site.cluster.job(f"{number}/{job}/wait#1"), f"the job of {damage} to end")
        until(lambda job=job: site.house.status(number).tasks.done == job + 1, f"the end behind a log {damage}")
    site.finish(number)
    assert site.begun(number) == once(4)
    assert site.endings(number) == {("ok", False): 4}


def test_an_engine_killed_before_and_after_a_submission_does_each_task_once(site: Site) -> None:
    site.kill_engine()
    number = site.submit("killed", 2)
    for place in (BEFORE, AFTER):
        site.start_engine(sys.executable, "-m", "tests.story.dying", place, "1")
        assert site.engine
        assert site.engine.wait(120) == -signal.SIGKILL
        assert site.endings(number)["lost", False] == (0 if place == BEFORE else 2)
    assert site.begun(number).total() <= 2
    site.start_engine()
    site.finish(number)
    assert site.begun(number) == once(2)
    assert site.endings(number) == {("ok", False): 2, ("lost", False): 2}
    assert "lost: the engine lost it" in site.first_end(number, 0)


@dataclass(frozen=True)
class Mischief:
    """A dataset of which the site did something else to each job, from when to when, and how its first two attempts ended."""

    number: int
    began: float
    over: float
    ends: tuple[str, ...]


@pytest.fixture(scope="module")
def mischief(shared: Site) -> Mischief:
    shared.heal()
    began = time.time()
    with shared.faults("truncate output.0", "remove output.0", "clock -3d", "clock +3d"):
        number = shared.running("mischief", 4)
        shared.let(number, 0, 1)
        ends = tuple(shared.first_end(number, job) for job in range(2))
        shared.finish(number)
    return Mischief(number, began, time.time(), ends)


def test_an_output_that_does_not_come_back_whole_is_not_taken(shared: Site, mischief: Mischief) -> None:
    short, missing = mischief.ends
    assert "the output a.txt could not be stored" in short
    assert "it came back with 3 bytes instead of" in short
    assert "the output a.txt could not be stored" in missing
    assert "No such file" in missing
    assert shared.begun(mischief.number) == Counter({"0": 2, "1": 2, "2": 1, "3": 1})


def test_a_clock_of_a_node_that_is_days_off_moves_nothing_in_the_ledger(shared: Site, mischief: Mischief) -> None:
    columns = (attempts.c.claimed, attempts.c.started, attempts.c.ended, attempts.c.wall)
    wanted = attempts.c.dataset == mischief.number, attempts.c.job >= 2
    with shared.house.database() as opened, opened.read() as tx:
        rows = tx.execute(select(*columns).where(*wanted)).all()
    assert len(rows) == 2
    for row in rows:
        assert mischief.began - 1 <= row.claimed <= row.started + 1 <= row.ended + 2 <= mischief.over + 3
        assert 0 <= row.wall < 300
    assert "it runs" not in shared.why(mischief.number, 2).sentence


def test_while_a_token_is_out_of_date_nothing_is_claimed_and_why_says_so(site: Site) -> None:
    number = site.running("token", 2)
    with site.token_out_of_date():
        later = site.submit("renewed", 1)
        said = until(lambda: trouble(site, later), "the engine's trouble to be told")
        tries = sum(site.endings(later).values())
        site.let(number, 0, 1)
        site.house.until_done(2, number)  # the event log can be read without a token
        assert sum(site.endings(later).values()) == tries <= 3
    site.finish(number, later)
    assert "engine pool takes nothing now: the schedd does not" in said
    assert site.begun(number) == once(2)
    assert site.endings(number) == {("ok", False): 2}


def trouble(site: Site, number: int) -> str:
    """Return what `why` says of an engine that takes nothing."""
    return next((str(text) for text in site.why(number, 0).reasons if "takes nothing" in str(text)), "")
