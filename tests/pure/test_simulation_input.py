"""What a simulation is told: a file of engines with every mistake at its place, and slots as people say them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nunatak.core.errors import Invalid, NotFound
from nunatak.core.work import Shape
from nunatak.simulation.engines_file import EnginesFile, read_engines
from nunatak.simulation.slots import slots_of

GOOD = """\
engines:
  - {name: pool, site: madison, slots: 400, memory: 4 GB, time: 2 d, eviction_half_life: 6 h}
  - name: gpus
    slots: 8
    cpu: 4
    gpu: 1
    hosts: 2
    speed: 2
durations:
  generate: 20 min
  propagate: {median: 1 h, spread: 0.8}
memory: {propagate: 3 GB}
"""


def read(tmp_path: Path, text: str, tasks: list[str] | None = None) -> EnginesFile:
    (tmp_path / "engines.yaml").write_text(text)
    return read_engines(tmp_path / "engines.yaml", tasks)


def problems(tmp_path: Path, text: str, tasks: list[str] | None = None) -> list[str]:
    with pytest.raises(Invalid) as found:
        read(tmp_path, text, tasks)
    assert found.value.message.startswith("engines.yaml cannot be used: ")
    return [str(item) for item in found.value.problems]


def test_a_file_says_slots_and_what_each_has(tmp_path: Path) -> None:
    pool, gpus = (entry.resource() for entry in read(tmp_path, GOOD, ["generate", "propagate"]).engines)
    assert (pool.name, pool.site, pool.slots) == ("pool", "madison", 400)
    assert pool.slot == Shape(1, 0, 4 * 10**9, 20 * 10**9, 2 * 86400, "linux/x86_64")
    assert pool.total.cpu == 400
    assert pool.total.memory == 400 * 4 * 10**9
    assert len(pool.place.hosts) == 50
    assert pool.place.half_life == 6 * 3600
    assert (gpus.total.cpu, gpus.total.gpu, len(gpus.place.hosts), gpus.place.speed) == (32, 8, 2, 2.0)


def test_what_is_not_said_of_a_task_follows_from_what_it_asks_for(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    asked = Shape(memory=2 * 10**9, time=3600)
    assert found.habit("filter", asked).duration.at(0.5) == pytest.approx(1200)
    assert found.habit("filter", asked).memory.at(0.5) == pytest.approx(10**9)
    assert found.habit("generate", asked).duration.at(0.5) == pytest.approx(1200)
    assert found.habit("propagate", asked).duration.at(0.5) == pytest.approx(3600)
    assert found.habit("propagate", asked).memory.at(0.5) == pytest.approx(3 * 10**9)
    wide, narrow = found.habit("propagate", asked).duration, found.habit("generate", asked).duration
    assert wide.at(0.9) / wide.at(0.5) > narrow.at(0.9) / narrow.at(0.5) > 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("engines:\n  - {name: a, slot: 3}\n", 'engines.yaml:2:15 engines[0].slot: there is no such key (did you mean "slots"?)'),
        ("engines:\n  - {name: a}\n", "engines.yaml:2:5 engines[0].slots: this is needed"),
        ("engines: []\n", "engines.yaml:1:10 engines: "),
        ("durations: {}\n", "engines.yaml:1:1 engines: this is needed"),
        ("engines:\n  - {name: a, slots: 1, memory: 4 GX}\n", "engines.yaml:2:33 engines[0].memory: '4 GX' is not"),
        ("engines:\n  - {name: a, slots: 0}\n", "engines.yaml:2:22 engines[0].slots: must be at least 1"),
        ("engines:\n  - {name: a, slots: 1}\n  - {name: a, slots: 2}\n", "engines.yaml:3:12 engines[1].name: there are two"),
        ("engines:\n  - {name: a, slots: 1\n", "engines.yaml:3:1: this is not YAML"),
        ("engines:\n  - {name: a, slots: 1}\ndurations: {x: 5 mn}\n", "engines.yaml:3:16 durations.x.median: '5 mn' is not"),
        ("engines:\n  - {name: a, slots: 1}\ndurations: {fitt: 5 min}\n", 'the recipe has no task "fitt" (did you mean "fit"?)'),
    ],
)  # fmt: skip
def test_each_mistake_is_named_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in line for line in problems(tmp_path, text, ["fit"])), problems(tmp_path, text, ["fit"])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"engines\.yaml cannot be read"):
        read_engines(tmp_path / "engines.yaml")


@pytest.mark.parametrize(
    ("text", "slots", "site", "slot"),
    [
        ("100 slots 4 GB", 100, "a new site", {"memory": 4 * 10**9}),
        ("1 slot", 1, "a new site", {}),
        ("20 slots of 2 cpu, 1 gpu, 8 GB, 12 h at madison", 20, "madison",
         {"cpu": 2, "gpu": 1, "memory": 8 * 10**9, "time": 12 * 3600}),
        ("5 slots 512 MiB 50 GB disk", 5, "a new site", {"memory": 512 * 2**20, "disk": 50 * 10**9}),
    ],
)  # fmt: skip
def test_slots_as_people_say_them(text: str, slots: int, site: str, slot: dict[str, int]) -> None:
    found = slots_of(text)
    usual = slots_of("1 slot").slot
    assert (found.slots, found.site) == (slots, site)
    for name in Shape.__slots__:
        assert getattr(found.slot, name) == slot.get(name, getattr(usual, name))


@pytest.mark.parametrize(
    "text", ["slots", "many slots", "0 slots", "100 slots 4", "100 slots 4 GB 5 GB", "3 slots fast", "3 slots 2.5 cpu"]
)
def test_what_is_no_number_of_slots_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        slots_of(text)
