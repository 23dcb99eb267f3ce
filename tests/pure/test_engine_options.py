"""Options of engines: each says what it is, and what is wrong with those in a file is known before an engine is made."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from nunatak.engines import plugins
from nunatak.engines.batch.settings import BatchSettings, PbsSettings, SlurmSettings
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.options import GROUP, describe, faults, model_of

KINDS = sorted(entry_points(group=plugins.GROUP).names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_every_engine_says_what_it_is(kind: str) -> None:
    model = model_of(kind)
    assert model
    rows = describe(model)
    assert [row.name for row in rows] == list(model.model_fields)
    for row in rows:
        assert row.meaning.endswith("."), row.name


def test_every_engine_tells_its_options() -> None:
    assert sorted(entry_points(group=GROUP).names) == KINDS


def test_defaults_are_shown_with_their_units() -> None:
    shown = {row.name: row.default for row in describe(SlurmSettings)}
    assert (shown["memory_margin"], shown["time_margin"], shown["interval"]) == ("64 MB", "5 min", "10 s")
    assert (shown["keep"], shown["queue"], shown["ssh"], shown["directory"]) == ("no", "100", "", "")
    shown = {row.name: row.default for row in describe(HTCondorSettings)}
    assert (shown["shared"], shown["depth"], shown["busy"]) == ("`/cvmfs`", "1,000", "0.95")


def test_what_options_have_of_others_can_be_left_out() -> None:
    names = [row.name for row in describe(SlurmSettings, without=BatchSettings)]
    assert names == ["partitions", "account", "qos", "nice", "history", "platform"]
    assert "torque" in [row.name for row in describe(PbsSettings, without=BatchSettings)]


def test_what_the_host_fills_in_need_not_be_written() -> None:
    for kind in KINDS:
        assert faults(kind, {}) == [], kind


@pytest.mark.parametrize(
    ("kind", "options", "path", "said"),
    [
        ("slurm", {"partition": "cpu"}, "partition", "did you mean 'partitions'?"),
        ("slurm", {"interval": "10 parsec"}, "interval", "is not a length of time"),
        ("local", {"memory": "8 GX"}, "memory", "did you mean"),
        ("htcondor", {"attributes": {"NunatakLease": "1"}}, "attributes", "set by the engine itself"),
        ("htcondor", {"files": "/data, data"}, "files", "'data' does not begin at the root"),
        ("slurm", {"shared": ["cvmfs"]}, "shared", "does not begin at the root"),
        ("htcondor", {"keep": 3}, "keep", "callable"),
        ("simulated", {"failure_rate": 2}, "failure_rate", "at most 1"),
    ],
)
def test_a_wrong_option_is_found_without_making_the_engine(
    kind: str, options: dict[str, object], path: str, said: str
) -> None:
    (problem,) = faults(kind, options)
    assert problem.path == path
    assert said in str(problem)


def test_words_may_be_a_list_or_text_with_commas() -> None:
    model = model_of("local")
    assert model
    for given in ("cvmfs, avx2", ["cvmfs", "avx2"]):
        made = model.model_validate({"features": given, "directory": "/x", "worker": ["w"]})
        assert made.features == ("cvmfs", "avx2")  # type: ignore[attr-defined]


def test_an_engine_that_tells_no_options_is_not_checked() -> None:
    assert model_of("elsewhere") is None
    assert faults("elsewhere", {"any": "thing"}) == []
