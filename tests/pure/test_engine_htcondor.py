"""The pure parts of the HTCondor engine: submissions, files that travel, events, ends, the queue, the pool."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import classad2
import htcondor2
import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from nunatak.core.classad import clauses
from nunatak.core.errors import Invalid, NunatakError
from nunatak.core.work import Command, Environment, FileRecord, Input, Outcome, Output, Reason, Series, Shape, TaskSpec
from nunatak.engines.htcondor import ends, expressions, places, reconcile
from nunatak.engines.htcondor.bindings import Condor
from nunatak.engines.htcondor.boxes import Boxes
from nunatak.engines.htcondor.description import Item, describe, names
from nunatak.engines.htcondor.engine import from_settings, room
from nunatak.engines.htcondor.events import Seen, Word, home_in, host_in, moment, read
from nunatak.engines.htcondor.hearing import Hearing
from nunatak.engines.htcondor.ledger import Ledger
from nunatak.engines.htcondor.log import EventLog, News
from nunatak.engines.htcondor.options import HTCondorSettings
from nunatak.engines.htcondor.pieces import Piece, by_kind, home_of, kind_of, pieces
from nunatak.engines.htcondor.recipes import Wishes, refused
from nunatak.engines.htcondor.records import Attempt, Records
from nunatak.engines.htcondor.spool import explained
from nunatak.engines.htcondor.spread import shares
from nunatak.engines.htcondor.travel import home_again, in_one, local, order_text, packed, plan, unfetched, unpacked
from nunatak.tasks.verdicts.judge import judge
from nunatak.tasks.verdicts.kinds import Kind
from nunatak.tasks.verdicts.model import History

MIB = 2**20
SHAPE = Shape(cpu=2, memory=1000 * MIB, disk=500 * MIB, time=600)
KEY = ("1/0/a#1", "a1")


def settings(**given: Any) -> HTCondorSettings:
    fixed = {"directory": Path("/e"), "worker": Path("/e/worker.pyz"), "keep": lambda *_: None}
    return HTCondorSettings(**{**fixed, **given})


def spec(address: str = KEY[0], **fields: Any) -> TaskSpec:
    given = {"inputs": (), "outputs": (), "shape": SHAPE, "environment": Environment(), **fields}
    return TaskSpec(address, "a1", (Command(("true",)),), **given)


HOME = home_of(*KEY)


def piece(task: TaskSpec | Series, *plugins: str, container: bool = False) -> Piece:
    (found,) = pieces([task], ("/cvmfs",), plugins, container=container)
    return found


def described(task: TaskSpec | Series, *plugins: str, **options: Any) -> dict[str, str]:
    given = settings(**options)
    kind = kind_of(piece(task, *plugins, container=given.container), given.container)
    return describe(kind, "e-1", Path("/e/events/1.log"), given)


def evaluated(text: str, job: dict[str, Any], machine: dict[str, Any]) -> Any:
    """Return what an expression in a job is, seen from a machine."""
    ad, target = classad2.ClassAd(), classad2.ClassAd()
    for name, value in job.items():
        ad[name] = value
    for name, value in machine.items():
        target[name] = value
    return classad2.ExprTree(text).eval(ad, target)


# ---- submissions


def test_a_submission_asks_for_the_shape_and_carries_the_accounting_of_the_options() -> None:
    found = described(
        spec(), group="icecube", user="prod", attributes='Project = "x"; N = 3', overhead=32 * MIB, cache="/scratch/n u"
    )
    assert (found["request_cpus"], found["request_memory"], found["request_disk"]) == (
        "2",
        "1032 MB",
        f"{1064 * 1024} KB",
    )
    assert (found["accounting_group"], found["accounting_group_user"]) == ("icecube", "prod")
    assert (found["My.Project"], found["My.N"]) == ('"x"', "3")
    assert found["arguments"] == "\"'--grace=10' '--cache=/scratch/n u' '.'\""
    assert "request_gpus" not in found
    assert found["max_retries"] == "0"


@pytest.mark.parametrize(
    ("owner", "team", "group", "user", "said"),
    [
        ("anna", "icecube", "phys.{group}", "{owner}", ("phys.icecube", "anna")),
        ("anna", "", "phys.{group}", "{owner}", ("phys", "anna")),
        ("ann o'neil$(HOME)", "a.b\nqueue 5", "{group}", "x-{owner}", ("a_b_queue_5", "x-ann_o_neil__HOME_")),
        ("", "", "{group}", "{owner}", (None, None)),
    ],
)
def test_a_submission_is_accounted_to_whose_the_dataset_is(
    owner: str, team: str, group: str, user: str, said: tuple[str | None, str | None]
) -> None:
    found = described(replace(spec(), owner=owner, group=team), group=group, user=user)
    assert (found.get("accounting_group"), found.get("accounting_group_user")) == said
    assert "anna" not in order_text(piece(replace(spec(), owner="anna")).travels[0].order).decode()


def test_a_submission_for_gpus_asks_for_their_memory_and_capability() -> None:
    shape = replace(SHAPE, gpu=2, features=("gpu_capability=8.0", "gpu_memory=16GB"))
    found = described(spec(shape=shape), features="gpu_memory=16GB; gpu_capability=8.0")
    assert (found["request_gpus"], found["gpus_minimum_memory"], found["gpus_minimum_capability"]) == (
        "2",
        "15259",
        "8",
    )
    machine = {"OpSys": "LINUX", "Arch": "X86_64", "Machine": "n1", "TotalSlotGPUs": 2, "GPUs_Capability": 8.6}
    assert evaluated(found["requirements"], {}, {**machine, "GPUs_GlobalMemoryMb": 40000}) is True
    assert evaluated(found["requirements"], {}, {**machine, "GPUs_GlobalMemoryMb": 8000}) is False


@pytest.mark.parametrize(
    ("job", "machine", "fits"),
    [
        ({}, {}, True),
        ({"NumJobStarts": 1}, {}, False),  # begun once: never again by HTCondor
        ({"NunatakAvoid": "n2,n1"}, {}, False),
        ({"NunatakExcluded": "n1"}, {}, False),
        ({"NunatakExcluded": "n11,n2"}, {}, True),
        ({}, {"Arch": "aarch64"}, False),
        ({}, {"OpSys": "WINDOWS"}, False),
        ({}, {"HasAVX": False}, False),
        ({}, {"Department": "chemistry"}, False),
        ({}, {"HasSingularity": False}, False),
    ],
)
def test_requirements_hold_on_the_right_machines_only(job: dict[str, Any], machine: dict[str, Any], fits: bool) -> None:
    shape = replace(SHAPE, platform="linux/x86_64", features=("avx",))
    task = spec(shape=shape, environment=Environment(image="docker://python"))
    text = described(task, features="avx = HasAVX", requirements='Department == "physics"')["requirements"]
    usual = {
        "OpSys": "LINUX",
        "Arch": "X86_64",
        "Machine": "n1",
        "HasAVX": True,
        "Department": "physics",
        "HasSingularity": True,
    }
    found = evaluated(text, {"NunatakAvoid": "", "NunatakExcluded": "", **job}, {**usual, **machine})
    assert found is fits


def test_what_the_recipe_wants_is_added_and_the_operators_word_stands() -> None:
    told = {"requirements": "TARGET.HasAVX2 || TARGET.Old", "attributes": {"is_resumable": "true", "Project": '"mine"'}}
    wishing = spec(engines={"htcondor": told, "other": {"x": 1}})
    found = described(wishing, requirements="TARGET.Good", attributes='Project = "ours"')
    assert (found["My.is_resumable"], found["My.Project"]) == ("true", '"ours"')
    job = {"NunatakAvoid": "", "NunatakExcluded": "", "RequestCpus": 2, "RequestMemory": 1000, "RequestDisk": 1}
    machine = {"OpSys": "LINUX", "Arch": "X86_64", "Machine": "n1", "Good": True, "HasAVX2": True, "Old": False,
               "Cpus": 4, "Memory": 2000, "Disk": 10, "HasFileTransfer": True}  # fmt: skip
    assert evaluated(found["requirements"], job, machine) is True
    for lacking in ({"Good": False}, {"HasAVX2": False}, {"Memory": 500}, {"Cpus": 1}):
        assert evaluated(found["requirements"], job, {**machine, **lacking}) is False
    assert evaluated(found["requirements"], {**job, "NumJobStarts": 1}, machine) is False
    assert plan(wishing, (), ()).order.engines == {}
    assert in_one([kept for kept in [unpacked(packed(wishing, plan(wishing, (), ())))] if kept]) == wishing


def test_jobs_with_other_wishes_are_another_submission() -> None:
    told = [{}, {"htcondor": {"requirements": "A"}}, {"htcondor": {"requirements": "B"}}, {"slurm": {}}]
    alone = [spec(f"1/{number}/a#1", engines=engines) for number, engines in enumerate(told)]
    assert sorted(len(alike) for alike in by_kind(pieces(alone, (), ()), False).values()) == [1, 1, 2]
    apart = pieces([Series(tuple(alone), SHAPE)], (), ())
    assert [len(found.members) for found in apart] == [1, 1, 1, 1]
    (together,) = pieces([Series((alone[0], alone[3]), SHAPE)], (), ())
    assert len(together.members) == 2


LETTERS = st.sampled_from(list("ab1\"'()[]{}&|/*$;\\ \n=?!.")) | st.characters()


@given(st.text(LETTERS, max_size=20))
@bounds(max_examples=300)
def test_no_text_of_a_recipe_reaches_what_stands_around_it(text: str) -> None:
    wishes = Wishes(text)
    options = Path(tempfile.gettempdir())
    if refused(wishes, (), Condor(settings(directory=options)).readable) or not wishes.requirements:
        return
    around = classad2.ExprTree(f"false && ({text}) && false")
    assert around.eval(classad2.ClassAd(), classad2.ClassAd()) is False
    assert len(clauses(f"first && ({text}) && last")) == 3


def test_any_platform_is_any_linux() -> None:
    text = described(spec())["requirements"]
    job = {"NunatakAvoid": "", "NunatakExcluded": ""}
    assert evaluated(text, job, {"OpSys": "LINUX", "Arch": "riscv64", "Machine": "n"}) is True
    assert evaluated(text, job, {"OpSys": "macOS", "Arch": "X86_64", "Machine": "n"}) is False


def test_machines_without_gpus_are_liked_better_for_what_needs_none() -> None:
    assert evaluated(described(spec())["rank"], {}, {"TotalSlotGPUs": 4}) == -4
    assert evaluated(described(spec(), rank="TARGET.Mips")["rank"], {}, {"Mips": 2}) == 2000
    assert evaluated(described(spec(shape=replace(SHAPE, gpu=1)))["rank"], {}, {"TotalSlotGPUs": 4}) == 0


@pytest.mark.parametrize(
    ("used", "code"),
    [
        ({"MemoryUsage": 900}, None),
        ({"MemoryUsage": 2000}, expressions.OVER_MEMORY),
        ({"DiskUsage": 3_000_000}, expressions.OVER_DISK),
        ({"JobCurrentStartExecutingDate": 1000}, expressions.OVER_TIME),
    ],
)
def test_a_job_is_held_for_what_it_exceeds_and_not_before(used: dict[str, Any], code: int | None) -> None:
    found = described(spec())
    job = {"JobStatus": 2, "RequestMemory": 1032, "RequestDisk": 1_000_000, **used}
    assert evaluated(found["periodic_hold"], job, {}) is (code is not None)
    if code:
        assert evaluated(found["periodic_hold_subcode"], job, {}) == code
        why = evaluated(found["periodic_hold_reason"], job, {})
        reason = ends.end(KEY, Seen((1, 0), Word.HELD, 9.0, text=why, code=3, subcode=code), "n1", 1.0, 0, "").reason
        assert reason in (Reason.MEMORY, Reason.DISK, Reason.TIME)


def test_attempts_of_one_dataset_and_shape_make_one_cluster() -> None:
    batch = [spec("1/0/a#1"), spec("2/0/a#1"), spec("1/1/b#3"), spec("1/2/a#1", shape=replace(SHAPE, cpu=1))]
    kinds = by_kind(pieces(batch, (), ()), container=False)
    assert [[item.head[0] for item in alike] for alike in kinds.values()] == [
        ["1/0/a#1", "1/1/b#3"],
        ["2/0/a#1"],
        ["1/2/a#1"],
    ]


@given(st.lists(st.text(max_size=20), max_size=5))
def test_names_of_nodes_never_leave_their_quotes(nodes: list[str]) -> None:
    text = names(nodes)
    assert not set(text) & set("\"'\\$\n\r ")
    assert evaluated(f'size("{text}")', {}, {}) == len(text)


def test_what_differs_is_item_data_that_the_submit_language_takes_as_it_is() -> None:
    row = Item("1/0/a#1", "a1", Path("/e/boxes/1"), ("in", "osdf:///x/y"), ("b", "a"), ("c",), "d").row()
    assert row["files"] == ", in, osdf:///x/y"
    assert (row["avoid"], row["excluded"], row["probe"]) == ("a,b", "c", "d")
    submit = htcondor2.Submit({**described(spec()), **row})
    assert submit.expand("transfer_input_files") == "task.json, in, osdf:///x/y"
    assert submit.expand("submit_event_notes") == "nunatak 1/0/a#1 a1"


# ---- options


@pytest.mark.parametrize(
    "options",
    [
        {"requirements": 'Department == "physics'},
        {"attributes": "Project = = 3"},
        {"features": "avx = (HasAVX"},
    ],
)
def test_an_option_that_is_no_expression_is_refused(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDOR_CONFIG", "ONLY_ENV")
    with pytest.raises(Invalid, match="is not a ClassAd expression"):
        Condor(settings(**options))


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"attributes": "NunatakLease = 3"}, "set by the engine itself"),
        ({"attributes": "no sense"}, "Name = expression"),
        ({"requirements": "a\nqueue 1000"}, "one line"),
        ({"group": "$(HOME)"}, "macros"),
        ({"user": "{name}"}, "alone are known here"),
        ({"group": "phys.{group"}, "alone are known here"),
        ({"plugins": "file"}, "transfer plugin"),
        ({"caps": "DESY = many"}, "whole number"),
        ({"caps": "DE SY = 3"}, "Site = 500"),
        ({"depht": "3"}, "did you mean 'depth'"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], word: str, tmp_path: Path) -> None:
    given = {"directory": tmp_path, "worker": "/w", "keep": print, **options}
    with pytest.raises(Invalid) as caught:
        from_settings(given)
    assert word in str(caught.value) or any(word in str(problem) for problem in caught.value.problems)


def test_without_the_package_of_htcondor_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDOR_CONFIG", "ONLY_ENV")
    monkeypatch.setitem(sys.modules, "htcondor2", None)
    with pytest.raises(Invalid) as caught:
        Condor(settings())
    assert caught.value.code == "no-htcondor"
    assert "nunatak[htcondor]" in caught.value.hint


# ---- files


def test_files_travel_by_relative_names_and_the_order_says_nothing_of_this_machine() -> None:
    task = spec(
        inputs=(
            Input("a/x", "file:///data/x%20y"),
            Input("b", "/plain/b"),
            Input("c", "file:///cvmfs/soft/c"),
            Input("d", "https://example.org/d"),
            Input("e", "osdf:///ospool/e.dat"),
            Input("f", "file://elsewhere/f"),
        ),
        outputs=(Output("y", "file:///store/y"), Output("z", "https://example.org/z"), Output("w", "file:///cvmfs/w")),
        avoid=("n1",),
    )
    found = plan(task, ("/cvmfs",), ("osdf",))
    assert found.take == {"in/0": "/data/x y", "in/1": "/plain/b"}
    assert [item.url for item in found.order.inputs] == [
        "in/0", "in/1", "file:///cvmfs/soft/c", "https://example.org/d", "e.dat", "file://elsewhere/f",
    ]  # fmt: skip
    assert [item.url for item in found.order.outputs] == ["output.0", "https://example.org/z", "file:///cvmfs/w"]
    assert found.urls == ("osdf:///ospool/e.dat",)
    assert found.back == {"output.0": "file:///store/y"}
    text = json.dumps(found.order.to_plain())
    assert "/store" not in text
    assert "/data" not in text
    outcome = Outcome(
        *KEY, Reason.OK, inputs=(FileRecord("a/x", "in/0", 1, ""),), outputs=(FileRecord("y", "output.0", 1, ""),)
    )
    home = home_again(outcome, found)
    assert (home.inputs[0].url, home.outputs[0].url) == ("file:///data/x%20y", "file:///store/y")


@pytest.mark.parametrize("url", ["osdf:///a/task.json", "osdf:///a/output.0", "osdf:///a/", "osdf:///a/.job.ad"])
def test_a_fetched_file_never_hides_one_of_the_workers(url: str) -> None:
    assert plan(spec(inputs=(Input("x", url),)), (), ("osdf",)).urls == ()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/b%25c", "/a/b%c"), ("file://localhost/a", "/a"), ("file:/a", "/a"), ("/a", "/a"),
        ("file://host/a", ""), ("a/b", ""), ("http://h/a", ""), ("file:a", ""),
    ],
)  # fmt: skip
def test_a_file_of_this_machine_is_known_by_its_url(url: str, path: str) -> None:
    assert local(url) == path


class Kept:
    """A store that remembers."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def __call__(self, url: str, source: Path, sha256: str) -> None:
        data = source.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Invalid("the bytes are not those declared", code="bad-checksum")
        self.files[url] = data


ATTEMPT = Attempt(1, KEY, 1, HOME)


def placed(tmp_path: Path, keep: Any) -> tuple[Boxes, Path, bytes]:
    """Return boxes with that of one attempt, its sandbox, and what was asked for."""
    boxes, task = Boxes(tmp_path / "boxes", keep), spec(outputs=(Output("y", "file:///store/y"),))
    boxes.place(piece(task), HOME)
    return boxes, boxes.of(ATTEMPT).path, packed(task, plan(task, (), ()))


def returned(tmp_path: Path, outcome: dict[str, Any] | None, data: bytes = b"made") -> tuple[Outcome, Kept]:
    """Return how an attempt is concluded whose files came back so."""
    kept = Kept()
    boxes, node, order = placed(tmp_path, kept)
    (node / "output.0").write_bytes(data)
    (node / "launch.err").write_text("python3: not found")
    if outcome is not None:
        record = {
            "name": "y",
            "url": "output.0",
            "size": 4,
            "sha256": hashlib.sha256(b"made").hexdigest(),
            "temporary": False,
        }
        said = Outcome(*KEY, Reason.OK).to_plain()
        (node / "outcome.json").write_text(json.dumps({**said, "outputs": [record], **outcome}))
    return boxes.conclude(ATTEMPT, order, "it returned 0"), kept


def test_outputs_that_came_back_whole_are_stored_where_they_belong(tmp_path: Path) -> None:
    outcome, kept = returned(tmp_path, {})
    assert outcome.reason is Reason.OK
    assert kept.files == {"file:///store/y": b"made"}
    assert outcome.outputs[0].url == "file:///store/y"


@pytest.mark.parametrize("data", [b"mad", b"fake"])
def test_outputs_that_came_back_damaged_are_not(tmp_path: Path, data: bytes) -> None:
    outcome, kept = returned(tmp_path, {}, data)
    assert (outcome.reason, kept.files, outcome.outputs) == (Reason.STAGE_OUT, {}, ())
    assert "the output y could not be stored" in outcome.message


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"outputs": []}, Reason.INVALID),
        ({"lease": "b2"}, Reason.INVALID),
        (
            {"outputs": [{"name": "y", "url": "/etc/passwd", "size": 4, "sha256": "0" * 64, "temporary": False}]},
            Reason.INVALID,
        ),
        ({"reason": "exit", "exit": 3}, Reason.EXIT),
        (None, Reason.LOST),
    ],
)
def test_a_worker_is_believed_only_what_was_asked_of_it(
    tmp_path: Path, said: dict[str, Any] | None, reason: Reason
) -> None:
    outcome, kept = returned(tmp_path, said)
    assert (outcome.reason, kept.files) == (reason, {})
    if said is None:
        assert "python3: not found" in outcome.message


def test_a_link_that_came_back_leads_nowhere(tmp_path: Path) -> None:
    boxes, node, order = placed(tmp_path, Kept())
    (tmp_path / "secret").write_bytes(b"made")
    (node / "output.0").symlink_to(tmp_path / "secret")
    record = FileRecord("y", "output.0", 4, hashlib.sha256(b"made").hexdigest())
    (node / "outcome.json").write_text(json.dumps(Outcome(*KEY, Reason.OK, outputs=(record,)).to_plain()))
    assert boxes.conclude(ATTEMPT, order, "").reason is Reason.STAGE_OUT


def test_a_store_that_fails_fails_the_attempt_with_its_words(tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise NunatakError("no space left on device")

    boxes, node, order = placed(tmp_path, full)
    (node / "output.0").write_bytes(b"made")
    record = FileRecord("y", "output.0", 4, "")
    (node / "outcome.json").write_text(json.dumps(Outcome(*KEY, Reason.OK, outputs=(record,)).to_plain()))
    outcome = boxes.conclude(ATTEMPT, order, "")
    assert outcome.reason is Reason.STAGE_OUT
    assert "no space left" in outcome.message


def test_boxes_are_deleted_by_and_by_also_those_that_a_killed_engine_left_and_never_one_made_anew(
    tmp_path: Path,
) -> None:
    root = tmp_path / "boxes"
    boxes, homes = Boxes(root, Kept()), [home_of(f"1/{number}/a#1", "a1") for number in range(3)]
    for number, home in enumerate(homes):
        boxes.place(piece(spec(f"1/{number}/a#1")), home)
    boxes.discard(homes[0])
    boxes.discard(homes[1])
    boxes.place(piece(spec("1/1/a#1")), homes[1])
    boxes.clear(0.0)
    assert len(list(root.glob("*/*"))) == 3
    boxes.clear(60.0)
    assert sorted(path.name for path in root.glob("*/*")) == ["1.a.1.a1", "2.a.1.a1"]
    again = Boxes(root, Kept())
    again.sweep([homes[2]])
    again.clear(60.0)
    assert sorted(path.name for path in root.glob("*/*")) == ["2.a.1.a1"]


def test_what_jobs_take_alike_is_linked_once_and_stays_until_the_last_of_its_group_has_gone(tmp_path: Path) -> None:
    root = tmp_path / "boxes"
    boxes, homes = Boxes(root, Kept()), [home_of(f"1/{number}/a#1", "a1") for number in range(3)]
    given = (Input("x", "/data/x"), Input("y", "/data/y"))
    found = {boxes.place(piece(spec(f"1/{n}/a#1", inputs=given)), home, alike=True) for n, home in enumerate(homes)}
    (place,) = map(Path, found)
    assert {path.name: str(path.readlink()) for path in place.iterdir()} == {"0": "/data/x", "1": "/data/y"}
    assert (place.name, [(root / home / "in").exists() for home in homes]) == ("in", [False] * 3)
    other = boxes.place(piece(spec("1/5/a#1", inputs=given[:1])), home_of("1/5/a#1", "a1"), alike=True)
    assert other != str(place)
    boxes.discard(homes[0])
    boxes.clear(60.0)
    again = Boxes(root, Kept())  # after a kill: it is still needed
    again.sweep(homes[1:2])
    again.clear(60.0)
    assert sorted(path.name for path in place.iterdir()) == ["0", "1"]
    assert again.place(piece(spec("1/7/a#1", inputs=given)), home_of("1/7/a#1", "a1"), alike=True) == str(place)
    for home in (homes[1], home_of("1/7/a#1", "a1")):
        again.discard(home)
    again.clear(60.0)
    assert list(root.iterdir()) == []
    last = Boxes(root, Kept())
    last.place(piece(spec("1/0/a#1", inputs=given)), homes[0], alike=True)
    gone = Boxes(root, Kept())
    gone.sweep([])
    gone.clear(60.0)
    assert list(root.iterdir()) == []


def test_where_htcondor_would_misread_the_path_each_job_has_its_own_links(tmp_path: Path) -> None:
    boxes = Boxes(tmp_path / "with, comma", Kept())
    assert boxes.place(piece(spec(inputs=(Input("x", "/data/x"),))), HOME, alike=True) == "in"
    assert (tmp_path / "with, comma" / HOME / "in" / "0").is_symlink()


# ---- series


MEMBERS = tuple(
    spec(
        f"1/{number}/a#1",
        inputs=(Input("x", "/data/x"), Input("y", f"/data/{number}"), Input("z", f"osdf:///z/{number}")),
        outputs=(Output("o", f"file:///store/{number}"),),
        avoid=(f"n{number}",),
    )
    for number in range(3)
)
WIDE = replace(SHAPE, time=1800)
SERIES = Series(MEMBERS, WIDE)


def test_a_series_is_one_job_of_its_own_shape_and_what_its_attempts_share_travels_once(tmp_path: Path) -> None:
    found = piece(SERIES, "osdf")
    assert sorted(found.take.values()) == ["/data/0", "/data/1", "/data/2", "/data/x"]
    assert (len(found.urls), found.avoid, found.head) == (3, ("n0", "n1", "n2"), ("1/0/a#1", "a1"))
    said = described(SERIES, "osdf")
    assert said["arguments"] == "\"'--grace=10' '--series' 'series/series.json'\""
    assert (said["transfer_input_files"], said["transfer_output_files"]) == ("series$(files)", "series")
    assert "> 1920" in said["periodic_hold"]
    boxes = Boxes(tmp_path, Kept())
    boxes.place(found, found.home)
    for number, task in enumerate(MEMBERS):
        sandbox = boxes.of(Attempt(number, (task.address, "a1"), 1, found.home, number)).path
        order = TaskSpec.from_plain(json.loads((sandbox / "task.json").read_bytes()))
        there = [(sandbox / item.url).resolve() for item in order.inputs]
        assert [str(path) for path in there[:2]] == ["/data/x", f"/data/{number}"]
        assert there[2] == tmp_path / found.home / str(number)
        assert [item.url for item in order.outputs] == ["output.0"]
    assert json.loads((tmp_path / found.home / "series" / "series.json").read_bytes())["members"] == ["0", "1", "2"]


def test_members_whose_files_would_hide_each_other_or_that_want_different_images_go_alone() -> None:
    clashing = [replace(task, inputs=(Input("z", f"osdf:///z{n}/same"),)) for n, task in enumerate(MEMBERS)]
    pictured = [replace(task, environment=Environment(image=f"docker://i{n}")) for n, task in enumerate(MEMBERS)]
    for members in (clashing, pictured):
        found = pieces([Series(tuple(members), WIDE)], (), ("osdf",))
        assert [(item.series, len(item.members), item.shape) for item in found] == [(False, 1, SHAPE)] * 3
    (found,) = pieces([Series(tuple(clashing), WIDE)], (), ())
    assert found.series


def test_members_come_back_each_by_itself_and_one_that_never_began_says_so(tmp_path: Path) -> None:
    found, kept = piece(SERIES), Kept()
    boxes = Boxes(tmp_path, kept)
    boxes.place(found, found.home)
    attempts = [Attempt(n, (task.address, "a1"), 1, found.home, n) for n, task in enumerate(MEMBERS)]
    orders = [packed(task, travel, WIDE) for task, travel in zip(MEMBERS, found.travels, strict=True)]
    sandbox = boxes.of(attempts[0]).path
    (sandbox / "output.0").write_bytes(b"made")
    out = FileRecord("o", "output.0", 4, hashlib.sha256(b"made").hexdigest())
    read_in = FileRecord("x", found.travels[0].order.inputs[0].url, 3, "")
    said = Outcome("1/0/a#1", "a1", Reason.OK, inputs=(read_in,), outputs=(out,))
    (sandbox / "outcome.json").write_text(json.dumps(said.to_plain()))
    (boxes.of(attempts[1]).path / "begun").touch()
    ends_ = [boxes.conclude(item, order, "it ended") for item, order in zip(attempts, orders, strict=True)]
    assert [item.reason for item in ends_] == [Reason.OK, Reason.LOST, Reason.UNBEGUN]
    assert ends_[0].inputs[0].url == "/data/x"
    assert kept.files == {"file:///store/0": b"made"}


def test_what_was_asked_for_is_known_again_also_of_a_series() -> None:
    again = [unpacked(packed(task, travel, WIDE)) for task, travel in zip(MEMBERS, piece(SERIES).travels, strict=True)]
    assert in_one([item for item in again if item]) == SERIES
    alone = unpacked(packed(MEMBERS[0], plan(MEMBERS[0], (), ())))
    assert alone
    assert in_one([alone]) == MEMBERS[0]
    assert unpacked(b"{}") is None


def test_of_a_series_that_was_ended_whole_nobody_is_blamed_and_what_never_began_is_free() -> None:
    evicted = ends.end(KEY, Seen((1, 0), Word.EVICTED, 9.0, text="preempted"), "n1", 4.0, 0, "")
    memory = ends.end(KEY, Seen((1, 0), Word.HELD, 9.0, text="x", code=34), "n1", 4.0, 0, "")
    broken = ends.end(KEY, Seen((1, 0), Word.BROKEN, 9.0, text="x"), "", None, 0, "")
    assert ends.of_a_member(evicted, began=True, job_began=True).reason is Reason.TERMINATED
    assert "not known" in ends.of_a_member(evicted, began=False, job_began=True).message
    assert ends.of_a_member(memory, began=True, job_began=True).reason is Reason.LOST
    assert ends.of_a_member(broken, began=False, job_began=False).reason is Reason.UNBEGUN


# ---- what the pool offers


def test_only_what_the_machines_fetch_and_the_operator_wants_is_left_to_htcondor() -> None:
    slot = {**SLOT, "HasFileTransferPluginMethods": "data,ftp,http,https,OSDF, s3"}
    methods = places.survey([slot, SLOT], {}, "linux/x86_64", 600, 0).methods
    assert places.fetched(methods, None) == ("ftp", "osdf", "s3")
    assert places.fetched(methods, ("osdf", "gs")) == ("osdf",)
    assert places.fetched(methods, ()) == ()
    task = spec(inputs=(Input("z", "osdf:///z/1"),))
    text = described(task, "osdf")["requirements"]
    usual = {"OpSys": "LINUX", "Arch": "X86_64", "Machine": "n1"}
    assert evaluated(text, {}, {**usual, "HasFileTransferPluginMethods": "http,osdf"}) is True
    assert evaluated(text, {}, {**usual, "HasFileTransferPluginMethods": "http"}) is False
    assert unfetched(task, ("osdf",)) == ""
    assert "no machine of the pool fetches osdf" in unfetched(task, ())
    assert unfetched(spec(inputs=(Input("z", "osdf:///z/1", optional=True), Input("w", "http://h/w"))), ()) == ""


def test_an_image_is_entered_by_the_worker_or_by_htcondor_and_never_twice() -> None:
    task = spec(environment=Environment(image="/cvmfs/images/a.sif"))
    assert "container_image" not in described(task)
    found = described(task, container=True)
    assert (found["universe"], found["container_image"]) == ("container", "/cvmfs/images/a.sif")
    assert found["transfer_container"] == "false"
    assert "HasSingularity" not in found["requirements"]
    assert piece(task, container=True).travels[0].order.environment.image == ""
    assert piece(task).travels[0].order.environment.image == "/cvmfs/images/a.sif"
    other = spec(environment=Environment(image="docker://python"))
    assert len(by_kind(pieces([task, other], (), ()), container=True)) == 2
    assert len(by_kind(pieces([task, other], (), ()), container=False)) == 1


@given(
    depth=st.integers(0, 10**5),
    most=st.integers(0, 10**5),
    waiting=st.integers(0, 10**5),
    running=st.integers(0, 10**5),
    duty=st.floats(0, 1),
    busy=st.floats(0.1, 1),
)
def test_a_queue_is_fed_to_its_depth_and_never_deeper(
    depth: int, most: int, waiting: int, running: int, duty: float, busy: float
) -> None:
    found = room(depth, most, waiting, waiting + running, duty, busy)
    assert found >= 0
    assert found + waiting <= max(depth, waiting)
    if most:
        assert found + waiting + running <= max(most, waiting + running)
    if duty >= busy:
        assert found == 0
    elif duty <= busy / 2 and not most:
        assert found == max(0, depth - waiting)


def test_what_is_known_stays_and_what_is_new_goes_where_most_room_is() -> None:
    tasks = [spec(f"1/{number}/a#1") for number in range(6)]
    row = Series((spec("2/0/a#1"), spec("2/1/a#1")), WIDE)
    known = {("1/0/a#1", "a1"): 2, ("2/1/a#1", "a1"): 1}
    parts = shares([*tasks, row], known, [1, 0, 4])
    assert parts is not None
    assert [len(part) for part in parts] == [1, 1, 5]
    assert parts[1] == [row]
    assert tasks[0] in parts[2]
    assert shares(tasks, {}, [1, 0, 4]) is None
    assert shares(tasks[:1], known, [0, 0, 0]) == [[], [], tasks[:1]]


def test_a_site_that_has_what_it_may_is_full_and_its_machines_are_no_match() -> None:
    slots = [{"Machine": f"n{number}", "GLIDEIN_Site": site} for number, site in enumerate(("DESY", "DESY", "UCL"))]
    where = places.sites([*slots, {"Machine": "n9"}], "GLIDEIN_Site")
    assert places.full(["n0", "n1", "n2", "n9"], where, {"DESY": 2, "UCL": 2, "None": 0}) == ("DESY", "None")
    found = described(spec(), site="GLIDEIN_Site", caps="DESY = 2; UCL = 20")
    usual = {"OpSys": "LINUX", "Arch": "X86_64", "Machine": "n1"}
    for site, fits in (("DESY", False), ("UCL", True), (None, True)):
        machine = usual if site is None else {**usual, "GLIDEIN_Site": site}
        assert evaluated(found["requirements"], {"NunatakFull": "DESY"}, machine) is fits


# ---- events


SUBMIT = """\
000 (007.{0:03d}.000) 2026-11-28 06:28:1{0} Job submitted from host: <127.0.0.1:1?addrs=127.0.0.1-1&alias=vm>
    nunatak 1/{0}/a#1 a1
...
"""
EXECUTE = """\
001 (007.000.000) 2026-11-28 06:28:14 Job executing on host: <127.0.0.1:1?addrs=127.0.0.1-1&alias=vm>
\tSlotName: slot1_1@node.example.org
\tCondorScratchDir = "/x"
...
"""
HELD = """\
012 (007.000.000) 2026-11-28 06:28:22 Job was held.
\tError from slot1_1@node: Job has gone over memory limit of 128 megabytes
\tCode 34 Subcode 0
...
"""


@pytest.fixture
def condor(monkeypatch: pytest.MonkeyPatch) -> Condor:
    monkeypatch.setenv("CONDOR_CONFIG", "ONLY_ENV")
    return Condor(settings())


def test_events_are_read_once_and_half_an_event_waits(condor: Condor, tmp_path: Path) -> None:
    path, whole = tmp_path / "log", SUBMIT.format(0) + EXECUTE + HELD
    log = EventLog(condor, path)
    assert log.read(10).seen == ()
    path.write_text(whole[:-20])
    first = log.read(10)
    assert [(item.word, item.job, item.home, item.host) for item in first.seen] == [
        (Word.SUBMITTED, (7, 0), HOME, ""),
        (Word.BEGUN, (7, 0), "", "node.example.org"),
    ]
    path.write_text(whole)
    again = EventLog(condor, path, log.position, log.mark)
    for reader in (log, again):
        (held,) = reader.read(10).seen
        assert (held.word, held.code, held.subcode) == (Word.HELD, 34, 0)
        assert "over memory limit" in held.text
        assert reader.read(10) == EventLog(condor, path, reader.position, reader.mark).read(10)
        assert not reader.read(10).damaged


def test_another_log_is_read_from_its_beginning_and_said_to_be_damaged(condor: Condor, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(SUBMIT.format(number) for number in range(4)))
    log = EventLog(condor, path)
    assert len(log.read(10).seen) == 4
    path.write_text(SUBMIT.format(5))
    news = log.read(10)
    assert news.damaged
    assert [item.job for item in news.seen] == [(7, 5)]
    path.write_text("".join(SUBMIT.format(number) for number in (6, 7, 8)))
    news = log.read(10)
    assert news.damaged
    assert [item.job for item in news.seen] == [(7, 6), (7, 7), (7, 8)]
    path.unlink()
    assert log.read(10).damaged
    assert not log.read(10).damaged


def test_a_log_that_became_shorter_is_damaged_and_what_is_left_of_it_is_not_read_twice(
    condor: Condor, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    path.write_text("".join(SUBMIT.format(number) for number in range(4)))
    log = EventLog(condor, path)
    assert len(log.read(10).seen) == 4
    path.write_text(SUBMIT.format(0) + SUBMIT.format(1)[:-30])
    assert log.read(10) == News((), damaged=True)
    with path.open("a") as stream:
        stream.write(SUBMIT.format(6) + SUBMIT.format(7))
    later = [item.job for _ in range(3) for item in log.read(10).seen]
    assert (7, 7) in later
    assert not {(7, 0), (7, 1)} & set(later)


@bounds(deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=3))
def test_whatever_is_in_a_log_what_follows_is_read(garbage: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setenv("CONDOR_CONFIG", "ONLY_ENV")
        path = Path(place) / "log"
        between = b"".join(data.replace(b"\0", b"") + b"\n...\n" for data in garbage)
        path.write_bytes(SUBMIT.format(0).encode() + between + SUBMIT.format(3).encode())
        log, found = EventLog(Condor(settings()), path), list[Seen]()
        for _ in range(20):
            found += log.read(100).seen
        log.close()
        assert [item.job for item in found if item.word is Word.SUBMITTED] == [(7, 0), (7, 3)]


def test_a_log_whose_beginning_is_unreadable_is_spoilt_and_always_damaged(condor: Condor, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("nonsense\n...\n")
    log = EventLog(condor, path)
    assert log.read(10).damaged
    assert log.spoilt
    with path.open("a") as stream:
        stream.write(SUBMIT.format(3))
    assert log.read(10).damaged
    assert not log.read(10).damaged


def test_at_most_so_many_events_are_read_and_the_rest_next_time(condor: Condor, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(SUBMIT.format(number) for number in range(9)))
    log = EventLog(condor, path)
    assert [len(log.read(4).seen) for _ in range(4)] == [4, 4, 1, 0]


def test_events_that_say_nothing_for_us_are_left_out() -> None:
    assert read(40, (1, 0), 1.0, {"Type": 3}) is None
    assert read(1, (1, 0), 1.0, {"ExecuteHost": "<10.0.0.1:9618?alias=n7.example.org&sock=x>"}) == Seen(
        (1, 0), Word.BEGUN, 1.0, "n7.example.org"
    )
    assert host_in({}) == ""
    assert home_in("some words of another") == ""
    assert home_in("nunatak nonsense a1") == ""


# ---- what is learnt


BEGINS = """\
001 (007.000.000) 2026-01-01 12:00:{:02d} Job executing on host: <10.0.0.1:9618?alias=n1&sock=startd>
	SlotName: slot1_1@n1
...
"""


def opened(place: Path, condor: Condor) -> tuple[Ledger, Hearing]:
    boxes = Boxes(place / "boxes", lambda *_: None)
    ledger = Ledger(place, condor, boxes, "t", 10**6)
    return ledger, Hearing(ledger, boxes, lambda: 0.0)


@pytest.mark.parametrize(
    ("queue", "log", "told"),
    [
        ((), (0,), {"running"}),
        ((), (0, 0), {"running"}),  # a log that is read once more says nothing new
        ((), (0, 1), {"running", "ended"}),
        ((1,), (0,), {"running"}),  # clocks that differ do not make it another beginning
        ((0,), (1,), {"running"}),
        ((0,), (1, 2), {"running", "ended"}),
        ((0,), (3,), {"running", "ended"}),
    ],
)
def test_a_job_that_is_begun_again_at_once_was_taken_and_two_words_of_one_beginning_are_one(
    condor: Condor, tmp_path: Path, queue: tuple[int, ...], log: tuple[int, ...], told: set[str]
) -> None:
    ledger, hearing = opened(tmp_path, condor)
    (attempt,) = ledger.add([piece(spec())])
    ledger.assign(attempt, (7, 0))
    for second in queue:
        hearing.apply(Seen((7, 0), Word.BEGUN, moment(f"2026-01-01T12:00:{second:02d}"), "n1"))
    for second in log:
        with ledger.logs.for_new().open("a") as stream:
            stream.write(BEGINS.format(second))
        hearing.learn(10)
    changes = ledger.since("").changes
    assert {change.what.value for change in changes} == told
    assert [change.outcome.reason for change in changes if change.outcome] == [Reason.TERMINATED] * (len(told) - 1)
    assert ledger.lives.unwanted == ({(7, 0)} if "ended" in told else set())


PARTED = """\
022 (007.000.000) 2026-01-01 12:00:{:02d} Job disconnected, attempting to reconnect
    Local schedd and job shadow died, schedd now running again
    Trying to reconnect to slot1_1@n1 <10.0.0.1:9618?alias=n1&sock=startd>
...
"""
REJOINED = """\
023 (007.000.000) 2026-01-01 12:00:{:02d} Job reconnected to slot1_1@n1
    startd address: <10.0.0.1:9618?alias=n1&sock=startd>
    starter address: <10.0.0.1:9618?alias=n1&sock=slot1_1_70_123c_6>
...
"""
ELSEWHERE = BEGINS.replace("slot1_1@n1", "slot1_2@n1")


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ((BEGINS, PARTED, REJOINED, BEGINS), {"running"}),  # the schedd had not noted that it began
        ((PARTED, REJOINED, BEGINS), {"running"}),  # nor had anybody written it
        ((BEGINS, PARTED, REJOINED), {"running"}),
        ((BEGINS, PARTED, REJOINED, ELSEWHERE), {"running", "ended"}),
        ((BEGINS, PARTED, BEGINS), {"running", "ended"}),
        ((BEGINS, PARTED, REJOINED, BEGINS, BEGINS), {"running", "ended"}),
        ((BEGINS, PARTED, REJOINED, PARTED, BEGINS), {"running", "ended"}),
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_job_whose_beginning_is_told_again_when_its_node_was_found_again_was_not_begun_again(
    condor: Condor, tmp_path: Path, log: tuple[str, ...], told: set[str], restarted: bool
) -> None:
    ledger, hearing = opened(tmp_path, condor)
    (attempt,) = ledger.add([piece(spec())])
    ledger.assign(attempt, (7, 0))
    for number, text in enumerate(log):
        with ledger.logs.for_new().open("a") as stream:
            stream.write(text.format(10 + 5 * number))
        if number != 2:  # what comes when the node is found again is read at once, or not
            hearing.learn(10)
        if restarted and number == 1:
            ledger.save()
            ledger.close()
            ledger, hearing = opened(tmp_path, condor)
    hearing.learn(10)
    assert {change.what.value for change in ledger.since("").changes} == told - (
        {"ended"} if restarted and log[-1] is ELSEWHERE else set()  # where it began is not kept
    )


# ---- ends


@pytest.mark.parametrize(
    ("seen", "stop", "reason", "words"),
    [
        (Seen((1, 0), Word.EVICTED, 9.0, text="preempted"), "", Reason.TERMINATED, "it was evicted from n1: preempted"),
        (
            Seen((1, 0), Word.REMOVED, 9.0, text="via condor_rm (by user root)"),
            "",
            Reason.TERMINATED,
            "by hand: via condor_rm",
        ),
        (Seen((1, 0), Word.REMOVED, 9.0, text="SYSTEM_PERIODIC_REMOVE"), "", Reason.TERMINATED, "HTCondor removed it"),
        (Seen((1, 0), Word.REMOVED, 9.0, text="x"), "it was cancelled", Reason.TERMINATED, "it was cancelled"),
        (
            Seen((1, 0), Word.HELD, 9.0, text="via condor_hold", code=1),
            "",
            Reason.TERMINATED,
            "held in the queue by hand",
        ),
        (Seen((1, 0), Word.HELD, 9.0, text="x", code=34), "", Reason.MEMORY, "HTCondor held it: x"),
        (Seen((1, 0), Word.HELD, 9.0, text="x", code=34, subcode=104), "", Reason.DISK, "HTCondor held it"),
        (Seen((1, 0), Word.HELD, 9.0, text="x", code=13), "", Reason.STAGE_IN, "HTCondor held it"),
        (Seen((1, 0), Word.HELD, 9.0, text="x", code=12), "", Reason.STAGE_OUT, "HTCondor held it"),
        (Seen((1, 0), Word.HELD, 9.0, text="x", code=47), "", Reason.TIME, "HTCondor held it"),
        (Seen((1, 0), Word.HELD, 9.0, text="x", code=6), "", Reason.LOST, "HTCondor held it"),
        (Seen((1, 0), Word.CUT_OFF, 9.0, text="x"), "", Reason.LOST, "lost connection to n1"),
        (Seen((1, 0), Word.REPEATED, 9.0, text="again"), "", Reason.TERMINATED, "it was taken from n1: again"),
        (Seen((1, 0), Word.BROKEN, 9.0, text="x"), "", Reason.LOST, "could not carry it on: x"),
    ],
)
def test_ends_are_told_apart(seen: Seen, stop: str, reason: Reason, words: str) -> None:
    outcome = ends.end(KEY, seen, "n1", 4.0, 7 * MIB, stop)
    assert outcome.reason is reason
    assert words in outcome.message
    assert (outcome.host, outcome.usage.wall, outcome.usage.memory) == ("n1", 5.0, 7 * MIB)
    assert Outcome.from_plain(json.loads(json.dumps(outcome.to_plain()))) == outcome


def test_what_the_queue_says_explains_an_eviction_also_of_a_job_that_was_let_go_again() -> None:
    seen = Seen((1, 0), Word.EVICTED, 9.0)
    hold = {"HoldReason": "via condor_hold", "HoldReasonCode": 1}
    again = {f"Last{name}": value for name, value in hold.items()}
    for said in (hold, again):
        found = explained(seen, said)
        assert (found.word, found.text, found.code, found.at) == (Word.HELD, "via condor_hold", 1, 9.0)
    assert explained(seen, {"JobStatus": 3, "RemoveReason": "x", **again}).word is Word.REMOVED
    assert explained(seen, {"JobStatus": 1}) == seen


# ---- the queue


def ad(proc: int = 0, status: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "ClusterId": 7,
        "ProcId": proc,
        "NunatakAddress": KEY[0],
        "NunatakLease": KEY[1],
        "JobStatus": status,
        **fields,
    }


def attempt(**fields: Any) -> dict[str, Attempt]:
    return {HOME: Attempt(1, KEY, 1, HOME, **fields)}


def test_a_job_whose_number_was_not_noted_is_found_and_its_double_is_not_wanted() -> None:
    told = reconcile.compare([ad(1), ad(0)], attempt(), 100.0)
    assert (told.found, told.unwanted, told.missing) == ({HOME: (7, 0)}, [(7, 1)], [])


def test_jobs_of_nobody_and_of_what_has_ended_are_not_wanted() -> None:
    assert reconcile.compare([ad()], {}, 100.0).unwanted == [(7, 0)]
    assert reconcile.compare([ad()], attempt(job=(7, 0), ended=5.0), 100.0).unwanted == [(7, 0)]
    assert reconcile.compare([ad(status=3)], {}, 100.0).unwanted == []


def test_what_is_neither_in_the_queue_nor_ended_is_missing() -> None:
    assert reconcile.compare([], attempt(job=(7, 0)), 100.0).missing == [HOME]
    assert reconcile.compare([], attempt(job=(7, 0), ended=5.0), 100.0).missing == []


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"status": 5, "HoldReason": "x", "HoldReasonCode": 34}, Word.HELD),
        ({"status": 1, "NumJobStarts": 1}, Word.EVICTED),
        ({"status": 3, "EnteredCurrentStatus": 99}, Word.REMOVED),
        ({"status": 3, "EnteredCurrentStatus": 1, "RemoteHost": "slot1@a@n1"}, Word.REMOVED),
        ({"status": 2, "JobCurrentStartExecutingDate": 50, "RemoteHost": "slot1@a@n1"}, Word.BEGUN),
    ],
)
def test_events_that_were_missed_are_seen_in_the_queue(fields: dict[str, Any], word: Word) -> None:
    began = None if word is Word.BEGUN else 40.0
    (seen,) = reconcile.compare([ad(**fields)], attempt(job=(7, 0), begun=began), 100.0).seen
    assert seen.word is word
    assert reconcile.compare([ad()], attempt(job=(7, 0)), 100.0).seen == []


@pytest.mark.parametrize("status", [3, 5])
def test_a_removed_or_held_job_that_is_on_its_node_yet_is_waited_for_as_its_files_come_back_then(status: int) -> None:
    going = ad(status=status, EnteredCurrentStatus=50, RemoteHost="slot1@a@n1")
    mine = attempt(job=(7, 0), begun=40.0)
    assert reconcile.compare([going], mine, 50.0 + reconcile.GOING).seen == []
    assert reconcile.compare([going], mine, 50.0 + reconcile.GOING + 1).seen


def test_a_job_that_does_not_go_is_removed_by_force_after_a_while() -> None:
    going = ad(status=3, EnteredCurrentStatus=50, RemoteHost="slot1@a@n1")
    assert reconcile.compare([going], {}, 100.0).stuck == []
    assert reconcile.compare([going], {}, 50.0 + reconcile.STUCK + 1).stuck == [(7, 0)]
    assert reconcile.compare([ad(status=3, EnteredCurrentStatus=99)], {}, 100.0).stuck == [(7, 0)]


# ---- the pool and the records


SLOT = {"OpSys": "LINUX", "Arch": "X86_64", "PartitionableSlot": True, "Name": "slot1@n1", "State": "Unclaimed",
        "TotalSlotCpus": 8, "Cpus": 3, "TotalSlotMemory": 8000, "Memory": 500, "TotalSlotDisk": 10**6, "Disk": 10**5}  # fmt: skip


def test_a_pool_is_its_largest_slot_and_only_what_one_slot_has_together_fits() -> None:
    gpu = {**SLOT, "Name": "slot1@n2", "TotalSlotCpus": 2, "TotalSlotGPUs": 1, "GPUs": 1}
    arm = {**SLOT, "Name": "slot1@n3", "Arch": "aarch64", "TotalSlotCpus": 64}
    found = places.survey([SLOT, gpu, arm], {"avx": ["slot1@n1"]}, "linux/x86_64", 600, 32 * MIB)
    assert (found.total.cpu, found.total.gpu, found.total.memory, found.total.features) == (8, 1, 7968 * MIB, ("avx",))
    assert (found.free.cpu, found.free.memory) == (3, 468 * MIB)
    small = Shape(memory=MIB, disk=MIB, time=60)
    assert found.room(small) == ""
    assert found.room(replace(small, cpu=2, gpu=1)) == ""
    assert found.room(replace(small, cpu=4, gpu=1)) == "no slot has all of it together"
    assert found.room(replace(small, gpu=1, features=("avx",))) == "no slot has all of it together"
    assert "cpu 9" in found.room(replace(small, cpu=9))
    assert "aarch64" in found.room(replace(small, platform="linux/aarch64"))
    assert places.survey([arm], {}, "linux/x86_64", 600, 0).room(small) == "the pool has no slot of this platform"


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    records = Records(tmp_path / "db", "first")
    one = Attempt(1, KEY, 1, HOME, -1, (7, 0), 5.0, "n1", 3, "why", "n2", 9.5, "{}")
    two = Attempt(2, ("1/1/a#1", "b2"), 2, "h", 1)
    records.keep([two, one], [], {1: (10, b"x"), 2: (0, b"")}, {1: b"order"})
    records.close()
    again = Records(tmp_path / "db", "second")
    assert again.name == "first"
    assert again.attempts() == [one, two]
    assert again.segments() == {1: (10, b"x"), 2: (0, b"")}
    assert (again.order(1), again.order(2)) == (b"order", b"")
    again.keep([], [1], {2: (5, b"y")})
    assert (again.attempts(), again.segments(), again.order(1)) == ([two], {2: (5, b"y")}, b"")
    again.close()


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (Seen((1, 0), Word.EVICTED, 9.0), Kind.EVICTED),
        (Seen((1, 0), Word.CUT_OFF, 9.0, text="x"), Kind.NODE_LOST),
        (
            Seen((1, 0), Word.HELD, 9.0, text="it exceeded its memory: 1 MiB", code=3, subcode=expressions.OVER_MEMORY),
            Kind.OUT_OF_MEMORY,
        ),
        (
            Seen((1, 0), Word.HELD, 9.0, text="it exceeded its disk: 1 KiB", code=3, subcode=expressions.OVER_DISK),
            Kind.OVER_DISK,
        ),
        (
            Seen((1, 0), Word.HELD, 9.0, text="it exceeded time limit", code=3, subcode=expressions.OVER_TIME),
            Kind.OVER_TIME,
        ),
        (
            Seen((1, 0), Word.HELD, 9.0, text="Error from slot1: Job has gone over memory limit", code=34),
            Kind.OUT_OF_MEMORY,
        ),
        (Seen((1, 0), Word.HELD, 9.0, text="Transfer input files failure", code=13), Kind.STAGE_IN),
    ],
)
def test_verdicts_understand_what_pools_say(seen: Seen, kind: Kind) -> None:
    outcome = ends.end(KEY, seen, "n1", 4.0, 7 * MIB, "")
    assert judge(outcome, History(shape=SHAPE)).kind is kind
