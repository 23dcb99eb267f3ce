"""What is caught when a recipe is checked: each with its place, what is wrong and the nearest valid spelling."""

from __future__ import annotations

import itertools
import os
import pwd
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nunatak.core.errors import Conflict, Invalid
from nunatak.datasets.gather import gather, read_shipped
from nunatak.datasets.recipe import Manifest, compile_recipe
from nunatak.datasets.yaml_source import LONGEST_KEY, MOST_BYTES

ONE = "name: x\ntasks:\n  a:\n    run: echo\n"
NOTHING = Manifest()


def problems(text: str | bytes, manifest: Manifest = NOTHING, **options: object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        compile_recipe(text, filename="muons.yaml", manifest=manifest, **options)  # type: ignore[arg-type]
    assert caught.value.code == "bad-recipe"
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            ONE + "    needs:\n      memory: 2 GX\n",
            'muons.yaml:6:15 tasks.a.needs.memory: "2 GX" is not an amount of memory (did you mean "2 GB"?)',
            id="bad unit",
        ),
        pytest.param(
            ONE + "    needs: {memory: -2 GB}\n",
            'muons.yaml:5:21 tasks.a.needs.memory: "-2 GB" must be more than zero',
            id="negative amount",
        ),
        pytest.param(
            ONE + "    needs: {time: 5000 d}\n",
            'muons.yaml:5:19 tasks.a.needs.time: "5000 d" is more than a year (check the unit)',
            id="absurd amount",
        ),
        pytest.param(
            ONE + "    needs: {memory: 2}\n",
            'muons.yaml:5:21 tasks.a.needs.memory: "2" is only 2 bytes (did you mean "2 GB"?)',
            id="forgotten unit",
        ),
        pytest.param(
            ONE + "    splittable: events\n    parameters: {seed: 1}\n",
            'muons.yaml:5:17 tasks.a.splittable: there is no parameter "events" (the parameters are seed)',
            id="unknown splittable",
        ),
        pytest.param(
            ONE + "    splittable: seed\n    parameters: {seed: many}\n",
            'muons.yaml:5:17 tasks.a.splittable: "seed" is not a whole number above zero, and cannot be divided',
            id="splittable text",
        ),
        pytest.param(
            ONE + "    once: true\n    splittable: seed\n    parameters: {seed: 7}\n",
            "muons.yaml:6:17 tasks.a.splittable: a task done once a dataset cannot be divided over more jobs",
            id="splittable once",
        ),
        pytest.param(
            ONE + "    engines: {htcondor: {requirements: a) || (b}}\n",
            'muons.yaml:5:40 tasks.a.engines.htcondor.requirements: "a) || (b" is not a ClassAd expression: ) closes what it did '
            "not open (write a text as '\"text\"'; what {...} stands for is not put in here)",
            id="an expression that closes what is around it",
        ),
        pytest.param(
            ONE + "    engines: {htcondor: {attributes: {a b: 1}}}\n",
            'muons.yaml:5:39 tasks.a.engines.htcondor.attributes.a b: "a b" is not the name of an attribute',
            id="no attribute",
        ),
        pytest.param(
            ONE + "    needs: {cpu: 0}\n",
            "muons.yaml:5:18 tasks.a.needs.cpu: 0 is not from 1 to 1024",
            id="no cpu",
        ),
        pytest.param(
            ONE + "    needs: {cpu: 1.5}\n",
            "muons.yaml:5:18 tasks.a.needs.cpu: expected a whole number from 1 to 1024, found a number (1.5)",
            id="half a cpu",
        ),
        pytest.param(
            ONE + "    needs: {platform: linux/x86}\n",
            'muons.yaml:5:23 tasks.a.needs.platform: "linux/x86" is not a platform (did you mean '
            '"linux/x86_64"?)',
            id="platform",
        ),
        pytest.param(
            ONE + "    needs: {memory: \"{job} GB\"}\n",
            'muons.yaml:5:21 tasks.a.needs.memory: "0 GB" must be more than zero',
            id="amount of a job",
        ),
        pytest.param(
            ONE + "    retry: {memory: more}\n",
            'muons.yaml:5:21 tasks.a.retry.memory: "more" is not a raise of memory'
            ' (write it as "x2 up to 16 GB", "x2" or "never")',
            id="raise",
        ),
        pytest.param(
            ONE + "    retry: {memory: x2 up to 1 MB}\n",
            "muons.yaml:5:21 tasks.a.retry.memory: memory is raised up to 1 MB, but the task needs 1 GB at "
            "first (raise the limit)",
            id="raise below need",
        ),
        pytest.param(
            ONE + "    afetr: b\n",
            'muons.yaml:5:5 tasks.a.afetr: unknown key "afetr" (did you mean "after"?)',
            id="unknown key in a task",
        ),
        pytest.param(
            "nmae: y\n" + ONE,
            'muons.yaml:1:1 nmae: unknown key "nmae" (did you mean "name"?)',
            id="unknown key at the top",
        ),
        pytest.param(
            ONE + "    environment: {varaibles: {}}\n",
            'muons.yaml:5:19 tasks.a.environment.varaibles: unknown key "varaibles" (did you mean "variables"?)',
            id="unknown key inside",
        ),
        pytest.param(
            ONE + "    outputs: [{nam: x, name: y}]\n",
            'muons.yaml:5:16 tasks.a.outputs[0].nam: unknown key "nam" (did you mean "name"?)',
            id="unknown key in a list",
        ),
        pytest.param(
            ONE + "    once: yes\n",
            'muons.yaml:5:11 tasks.a.once: expected true or false, found "yes" (write true or false)',
            id="yes is text",
        ),
        pytest.param(
            ONE + "    outputs: 3\n",
            "muons.yaml:5:14 tasks.a.outputs: expected a file name or a table or a list of them, found a "
            "number (3)",
            id="wrong type",
        ),
        pytest.param(
            ONE + "    outputs: [{stem}]\n",
            "muons.yaml:5:15 tasks.a.outputs[0]: expected a table, found names in braces (text that begins "
            "with { needs quotes)",
            id="braces without quotes",
        ),
        pytest.param("jobs: 0\n" + ONE, "muons.yaml:1:7 jobs: 0 is not from 1 to 999999999", id="zero jobs"),
        pytest.param(
            "jobs: many\n" + ONE,
            'muons.yaml:1:7 jobs: expected a whole number from 1 to 999999999, found text "many"',
            id="jobs in words",
        ),
        pytest.param(
            "tasks:\n  a: {run: echo}\n",
            'muons.yaml:1:1: "name" is missing (what people call the dataset, such as "atmospheric muons")',
            id="missing name",
        ),
        pytest.param("name: x\ntasks: {}\n", "muons.yaml:2:8 tasks: the table is empty, and needs an entry", id="no tasks"),
        pytest.param(
            "name: x\ntasks:\n  1a: {run: echo}\n",
            'muons.yaml:3:3 tasks.1a: "1a" is not the name of a task (letters, digits, _ . -, a letter first)',
            id="task name",
        ),
        pytest.param(
            ONE + "  a:\n    run: echo\n",
            'muons.yaml:5:3: "a" is given twice (the first is on line 3)',
            id="duplicate task",
        ),
        pytest.param(
            "name: x\n" + ONE,
            'muons.yaml:2:1: "name" is given twice (the first is on line 1)',
            id="duplicate key",
        ),
        pytest.param(
            ONE + "    outputs: [x, x]\n",
            'muons.yaml:5:18 tasks.a.outputs[1]: "x" is an output twice',
            id="duplicate output",
        ),
        pytest.param(
            ONE + "    after: genrate\n  generate: {run: echo}\n",
            'muons.yaml:5:12 tasks.a.after: there is no task "genrate" (did you mean "generate"?)',
            id="missing task",
        ),
        pytest.param(
            ONE + "    after: a\n",
            'muons.yaml:5:12 tasks.a.after: the task "a" cannot come after itself',
            id="self-dependency",
        ),
        pytest.param(
            ONE + "    after: c\n  b: {run: echo, after: a}\n  c: {run: echo, after: b}\n",
            "muons.yaml:5:12 tasks.a.after: tasks wait for each other in a circle: a > c > b > a (break it somewhere)",
            id="cycle",
        ),
        pytest.param(
            ONE + "    outputs: [x]\n  b: {run: echo}\n  c: {run: echo, after: b, inputs: [a/x]}\n",
            'muons.yaml:7:37 tasks.c.inputs[0]: the task "a" does not come before "c" (write after: [b, a])',
            id="input from a task that is not an ancestor",
        ),
        pytest.param(
            ONE + "    outputs: [muons.npz]\n  b: {run: echo, inputs: [a/moons.npz]}\n",
            'muons.yaml:6:27 tasks.b.inputs[0]: the task "a" has no output "moons.npz" (did you mean "muons.npz"?)',
            id="input nobody makes",
        ),
        pytest.param(
            ONE + "    inputs: [gen/x]\n  b: {run: echo}\n",
            'muons.yaml:5:14 tasks.a.inputs[0]: there is no file "gen/x" beside the recipe (the tasks are b)',
            id="input from no task",
        ),
        pytest.param(
            ONE + "    inputs: [a/x]\n    outputs: [x]\n",
            'muons.yaml:5:14 tasks.a.inputs[0]: the task "a" cannot read its own output',
            id="own output",
        ),
        pytest.param(
            ONE + "    outputs: [x]\n  b: {run: echo, inputs: [a/x], checkpoint: x}\n",
            'muons.yaml:6:45 tasks.b.checkpoint: "x" is both the checkpoint and an input of this task (rename one of them)',
            id="input and checkpoint of one name",
        ),
        pytest.param(
            ONE + "    checkpoint: ../x\n",
            'muons.yaml:5:17 tasks.a.checkpoint: "../x" leads out of its directory (names have no ".." in them)',
            id="checkpoint elsewhere",
        ),
        pytest.param(
            ONE + "    checkpoint: '{jib}'\n",
            'muons.yaml:5:17 tasks.a.checkpoint: "jib" is not a known name (did you mean "job"?)',
            id="checkpoint of an unknown name",
        ),
        pytest.param(
            ONE + "    outputs: [x]\n  b: {run: echo, inputs: [a/x], outputs: [x]}\n",
            'muons.yaml:6:43 tasks.b.outputs[0]: "x" is both an input and an output of this task (call the '
            'input something else: "SOURCE -> in.x")',
            id="input and output of one name",
        ),
        pytest.param(
            ONE + '    outputs: ["x?"]\n  b: {run: echo, inputs: [a/x]}\n',
            'muons.yaml:6:27 tasks.b.inputs[0]: "x" need not appear, so it has to be optional here too (write "a/x?")',
            id="optional output",
        ),
        pytest.param(
            ONE + "    outputs: [{name: x, temporary: true}]\n  b: {run: echo, once: true, inputs: [a/x]}\n",
            'muons.yaml:6:39 tasks.b.inputs[0]: "x" is deleted when its job is done, before all jobs are '
            '(remove temporary: true)',
            id="temporary output read after all jobs",
        ),
        pytest.param(
            ONE + "  b: {run: echo, after: a, once: true}\n  c: {run: echo, after: b}\n",
            'muons.yaml:5:34 tasks.b.once: a task done once comes before all jobs or after them: this is after "a" and before "c" '
            "(put what follows into a dataset of its own that reads these outputs)",
            id="once in the middle",
        ),
        pytest.param(
            "jobs: 2\n" + ONE + '    outputs: ["x -> {store}/{dataset}/x"]\n',
            'muons.yaml:6:15 tasks.a.outputs[0]: the jobs 0 and 1 both keep an output at "{store}/{dataset}/x" '
            '(put {job:06d} into the place)',
            id="output collision between jobs",
        ),
        pytest.param(
            ONE + '    outputs: ["x -> out/{job}"]\n  b: {run: echo, outputs: ["y -> out/{job}"]}\n',
            'muons.yaml:6:28 tasks.b.outputs[0]: the tasks "a" and "b" both keep an output at "out/{job}" '
            '(give one of them another place)',
            id="output collision between tasks",
        ),
        pytest.param(
            "jobs: 2\nforeach: [p, Fe]\n" + ONE + '    outputs: ["x -> out/{item}"]\n',
            'muons.yaml:7:15 tasks.a.outputs[0]: the jobs 0 and 2 both keep an output at "out/{item}" (put '
            '{job:06d} into the place)',
            id="output collision between repetitions",
        ),
        pytest.param(
            ONE.replace("echo", "echo {evnts}"),
            'muons.yaml:4:10 tasks.a.run: "evnts" is not a known name (known: attempt, dataset, input, inputs, '
            'job, jobs, output, outputs, store, task)',
            id="unresolved name",
        ),
        pytest.param(
            "parameters: {events: 1}\n" + ONE.replace("echo", "echo {evnts}"),
            'muons.yaml:5:10 tasks.a.run: "evnts" is not a known name (did you mean "events"?)',
            id="nearest name",
        ),
        pytest.param(
            'parameters: {a: "{b}", b: "{a}"}\n' + ONE,
            "muons.yaml:1:17 parameters.a: parameters refer to each other in a circle: a > b > a",
            id="parameters in a circle",
        ),
        pytest.param(
            "parameters: {job: 1}\n" + ONE,
            'muons.yaml:1:14 parameters.job: "job" has a meaning of its own here (choose another name)',
            id="reserved name",
        ),
        pytest.param(
            'parameters: {seed: "{job+1}"}\n' + ONE.replace("echo", "echo {seed}") + "    once: true\n",
            'muons.yaml:5:10 tasks.a.run: "job" is not known in a task done once a dataset (by way of the '
            'parameter "seed") (remove once: true, or the name)',
            id="job in a task done once",
        ),
        pytest.param(
            ONE.replace("echo", "echo {output}"),
            'muons.yaml:4:10 tasks.a.run: "output" is for a task with one output (name one as {outputs[0]}, '
            'all as {outputs})',
            id="no output",
        ),
        pytest.param(
            ONE.replace("echo", "echo {9**9**9}"),
            'muons.yaml:4:10 tasks.a.run: in "{9**9**9}": a number would be over 1024 bits (use smaller '
            'numbers, or 10.0 ** x)',
            id="expression over its cost",
        ),
        pytest.param(
            ONE.replace("echo", "echo {" + "+".join("1" * 150) + "}"),
            "muons.yaml:4:10 tasks.a.run: an expression is over its cost limit (split it over parameters)",
            id="expression too long",
        ),
        pytest.param(
            ONE.replace("echo", "echo x | wc"),
            'muons.yaml:4:10 tasks.a.run: "|" means something to a shell, but no shell runs this (put it in '
            'quotes if it is meant as it stands, or say shell: true)',
            id="pipe without shell",
        ),
        pytest.param(
            ONE.replace("echo", "echo $HOME"),
            "muons.yaml:4:10 tasks.a.run: a shell variable is not expanded here (put it in quotes if it is "
            "meant as it stands, or say shell: true)",
            id="shell variable",
        ),
        pytest.param(
            ONE.replace("echo", "echo 'x"),
            "muons.yaml:4:10 tasks.a.run: a quote is never closed: 'x",
            id="open quote",
        ),
        pytest.param("foreach: {a: []}\n" + ONE, "muons.yaml:1:14 foreach.a: the list is empty", id="empty matrix"),
        pytest.param("foreach: []\n" + ONE, "muons.yaml:1:10 foreach: the list is empty", id="empty list"),
        pytest.param(
            "foreach: data/*.i3\n" + ONE,
            'muons.yaml:1:10 foreach: no file matches "data/*.i3" (patterns are read beside the recipe)',
            id="no files",
        ),
        pytest.param(
            ONE + "    files: [nope.py]\n",
            'muons.yaml:5:13 tasks.a.files[0]: there is no file "nope.py" beside the recipe',
            id="missing file",
        ),
        pytest.param(
            ONE + "    files: [../x.py]\n",
            'muons.yaml:5:13 tasks.a.files[0]: "../x.py" leads out of its directory (names have no ".." in '
            'them)',
            id="path escape",
        ),
        pytest.param(
            ONE + "    files: [/etc/passwd]\n",
            'muons.yaml:5:13 tasks.a.files[0]: "/etc/passwd" is an absolute path (write file:///etc/passwd if '
            'every machine can reach it there)',
            id="absolute path",
        ),
        pytest.param(
            ONE + "    outputs: [../x]\n",
            'muons.yaml:5:15 tasks.a.outputs[0]: "../x" leads out of its directory (names have no ".." in them)',
            id="output escapes",
        ),
        pytest.param(
            ONE + "    outputs: [x -> ../x]\n",
            'muons.yaml:5:15 tasks.a.outputs[0]: "../x" has ".." in it (write the place out)',
            id="place escapes",
        ),
        pytest.param(
            ONE + "    stdin: x.txt\n",
            'muons.yaml:5:12 tasks.a.stdin: there is no file "x.txt" beside the recipe (name one of the '
            'task\'s files, inputs or outputs, or a file beside the recipe)',
            id="stdin",
        ),
        pytest.param(
            "a: b: c\n",
            'muons.yaml:1:5: this is not YAML: mapping values are not allowed in this context (put text with '
            '": " in it into quotes)',
            id="not yaml",
        ),
        pytest.param(
            ONE + f"    parameters: {{x: 1, '{'k' * LONGEST_KEY}': 2}}\n",
            "muons.yaml:5:1050: a key is over 1,024 characters (keys are names: shorten it)",
            id="long key in braces",
        ),
        pytest.param(
            ONE + f"    {'k' * (LONGEST_KEY + 1)}: 2\n",
            "muons.yaml:5:1030: a key is over 1,024 characters (keys are names: shorten it)",
            id="long key on a line",
        ),
        pytest.param(
            "name: x\n\ttasks: y\n",
            "muons.yaml:2:1: a line is indented with a tab (indent with spaces)",
            id="tab",
        ),
        pytest.param("", "muons.yaml:1:1: the recipe is empty (it needs at least a name and tasks)", id="empty"),
        pytest.param("- a\n", "muons.yaml:1:1: expected a table, found a list", id="a list"),
        pytest.param(
            "name: !!python/name:os.system\n",
            'muons.yaml:1:7: a tag ("tag:yaml.org,2002:python/name:os.system") has no place in a recipe '
            '(remove it)',
            id="tag",
        ),
        pytest.param(
            "a: 1\n---\nb: 1\n",
            "muons.yaml:3:1: a recipe is one YAML document, this is a second (remove the line ---)",
            id="two documents",
        ),
        pytest.param("[" * 1000, "muons.yaml:1:41: lists and tables are over 40 levels deep", id="too deep"),
        pytest.param(
            "name: a\x00b",
            "muons.yaml:1:8: a control character has no place in a recipe",
            id="control character",
        ),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_problem_with_its_place(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_all_mistakes_of_a_file_are_reported_at_once_in_its_order() -> None:
    text = """\
name: muons
jobs: 0
tasks:
  generate:
    run: python generate.py --events {evnts} {1/0}
    needs: {memory: 2 GX, cpus: 1}
    outputs: [muons.npz]
  propagate:
    after: genrate
    run: python propagate.py {[1][2]}
    files: [propagate.py]
    inputs: [generate/moons.npz]
"""
    assert [problem.split(" ")[:2] for problem in problems(text)] == [
        ["muons.yaml:2:7", "jobs:"],
        ["muons.yaml:5:10", "tasks.generate.run:"],
        ["muons.yaml:5:10", "tasks.generate.run:"],
        ["muons.yaml:6:21", "tasks.generate.needs.memory:"],
        ["muons.yaml:6:27", "tasks.generate.needs.cpus:"],
        ["muons.yaml:9:12", "tasks.propagate.after:"],
        ["muons.yaml:10:10", "tasks.propagate.run:"],
        ["muons.yaml:11:13", "tasks.propagate.files[0]:"],
        ["muons.yaml:12:14", "tasks.propagate.inputs[0]:"],
    ]


def test_bytes_that_are_not_utf8_are_refused_at_their_place() -> None:
    assert problems(b"name: x\nb: \xff\n") == ["muons.yaml:2:4: this is not UTF-8 text (save the file in UTF-8)"]


def test_a_recipe_over_the_size_limit_is_refused() -> None:
    expected = ["muons.yaml:1:1: the recipe is over 1,000,000 bytes (put large data into files)"]
    assert problems("#" * (MOST_BYTES + 1)) == expected


def test_alias_bombs_are_refused_quickly() -> None:
    letters = "abcdefghij"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in itertools.pairwise(letters)
    )
    assert problems(bomb) == ["muons.yaml:6:8: the recipe has over 200,000 values once aliases are written out"]


def test_overrides_are_checked_too() -> None:
    text = "parameters: {events: 1}\n" + ONE
    found = problems(text, parameters={"evnts": "2", "events": "[1"}, jobs=0)
    assert [problem.partition(":")[0].split(" ")[0] for problem in found] == ["--jobs", "--set", "--set"]
    assert '--set parameters.evnts: "evnts" is not a parameter (did you mean "events"?)' in found


class TestFiles:
    def gathered(self, text: str, directory: Path) -> list[str]:
        with pytest.raises(Invalid) as caught:
            gather(text, directory, "muons.yaml")
        return [str(problem) for problem in caught.value.problems]

    def test_links_that_lead_out_are_refused(self, tmp_path: Path) -> None:
        here = tmp_path / "here"
        here.mkdir()
        (tmp_path / "secret").write_text("x")
        (here / "link.py").symlink_to(tmp_path / "secret")
        (here / "dir").symlink_to(tmp_path)
        found = self.gathered(ONE + "    files: [link.py, dir/secret]\n", here)
        assert ["leads out of its directory" in problem for problem in found] == [True, True]
        assert found[0].startswith("muons.yaml:5:13 tasks.a.files[0]: ")

    def test_links_inside_are_followed(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("x")
        (tmp_path / "link.py").symlink_to("a.py")
        manifest = gather(ONE + "    files: [link.py]\n", tmp_path, "muons.yaml")
        assert manifest.files["link.py"].size == 1

    def test_unreadable_files_are_reported(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place)
            directory.chmod(0o755)
            (directory / "a.py").touch(mode=0)
            root = os.geteuid() == 0
            if root:
                os.seteuid(pwd.getpwnam("nobody").pw_uid)  # root can read everything
            try:
                found = self.gathered(ONE + "    files: [a.py]\n", directory)
            finally:
                if root:
                    os.seteuid(0)
        assert found == ['muons.yaml:5:13 tasks.a.files[0]: "a.py" cannot be read: Permission denied']

    def test_links_to_nothing_and_to_themselves_are_reported(self, tmp_path: Path) -> None:
        (tmp_path / "gone.py").symlink_to("nothing")
        (tmp_path / "loop.py").symlink_to("loop.py")
        assert self.gathered(ONE + "    files: [gone.py, loop.py]\n", tmp_path) == [
            'muons.yaml:5:13 tasks.a.files[0]: "gone.py" cannot be read: No such file or directory',
            'muons.yaml:5:22 tasks.a.files[1]: "loop.py" is a link to itself',
        ]

    def test_a_directory_or_a_pipe_is_not_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "lib").mkdir()
        os.mkfifo(tmp_path / "pipe")
        found = self.gathered(ONE + "    files: [lib, pipe]\n", tmp_path)
        hint = "(name files one by one, or by a pattern)"
        assert found == [
            f'muons.yaml:5:13 tasks.a.files[0]: "lib" is not a regular file {hint}',
            f'muons.yaml:5:18 tasks.a.files[1]: "pipe" is not a regular file {hint}',
        ]

    def test_a_misspelt_file_gives_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "generate.py").touch()
        found = self.gathered(ONE + "    files: [genrate.py]\n", tmp_path)
        assert found == [
            'muons.yaml:5:13 tasks.a.files[0]: there is no file "genrate.py" beside the recipe (did you mean "generate.py"?)'
        ]

    def test_a_file_that_changed_since_is_noticed(self, tmp_path: Path) -> None:
        (tmp_path / "a.py").write_text("one")
        manifest = gather(ONE + "    files: [a.py]\n", tmp_path, "muons.yaml")
        assert read_shipped(tmp_path, "a.py", manifest.files["a.py"]) == b"one"
        (tmp_path / "a.py").write_text("two")
        with pytest.raises(Conflict) as caught:
            read_shipped(tmp_path, "a.py", manifest.files["a.py"])
        assert caught.value.code == "file-changed"
        (tmp_path / "a.py").unlink()
        with pytest.raises(Conflict):
            read_shipped(tmp_path, "a.py", manifest.files["a.py"])

    def test_a_manifest_cannot_lead_elsewhere(self) -> None:
        from nunatak.datasets.plan import StoredFile

        manifest = Manifest({"a.py": StoredFile("../../x", 1)})
        assert problems(ONE + "    files: [a.py]\n", manifest) == [
            'muons.yaml:5:13 tasks.a.files[0]: "a.py" has no SHA-256 checksum'
        ]


pieces = st.sampled_from(
    ["name: x", "jobs: 3", "tasks:", "  a:", "    run: echo {job}", "    after: b", "  b: {run: 'x {'}",
     "foreach: [1]", "    needs: {cpu: 2}", "    inputs: [b/x]", "    outputs: [x -> {job}]",
     "parameters: {a: '{a}'}", "- x", "{", "&a *a", "    once: true", "? x", "!!x y"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.text(max_size=80) | st.binary(max_size=80) | st.lists(pieces, max_size=14).map("\n".join))
def test_any_text_gives_a_plan_or_placed_problems(text: str | bytes) -> None:
    found: Invalid | None = None
    try:
        assert compile_recipe(text, filename="f", manifest=Manifest()).tasks
    except Invalid as error:
        found = error
    if found is not None:
        assert found.code == "bad-recipe"
        assert found.problems
        assert all(problem.message and problem.line >= 1 for problem in found.problems)


def test_of_a_table_that_is_far_too_large_the_rest_is_not_looked_at() -> None:
    text = "name: x\njobs: 1\ntasks:\n" + "".join(f"  t{n}: {{runs: 'true'}}\n" for n in range(1100))
    with pytest.raises(Invalid) as found:
        compile_recipe(text, filename="r.yaml", manifest=Manifest({}, {}))
    assert "the table has over 1000 entries" in str(found.value.problems[0])
    assert len(found.value.problems) <= 2001


def test_texts_that_cost_much_are_tried_for_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "name: x\njobs: 9\ntasks: {a: {run: 'echo {1 // (job - 5)}'}}\n"
    with pytest.raises(Invalid):
        compile_recipe(text, filename="r.yaml", manifest=Manifest({}, {}))
    monkeypatch.setattr("nunatak.datasets.trial.MOST_SECONDS", -1.0)
    assert compile_recipe(text, filename="r.yaml", manifest=Manifest({}, {})).jobs == 9
    with pytest.raises(Invalid):  # the first is always tried
        compile_recipe(text.replace("job - 5", "job"), filename="r.yaml", manifest=Manifest({}, {}))
