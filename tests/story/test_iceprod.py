"""Every configuration of the corpus runs through the local engine: called as expected, in order, files where they belong."""

from __future__ import annotations

import functools
import http.server
import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nunatak.cli.imports import place
from tests.iceprod.cases import FEATURES, NAMES, Case, build_tree, case, place_sources
from tests.story.installation import Installation, installation, until

pytestmark = pytest.mark.slow


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """A web server of a directory, which takes files too."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_PUT(self) -> None:
            path = Path(self.translate_path(self.path))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(directory))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(30)
    server.server_close()


@pytest.mark.timeout(300)
def test_the_corpus_runs_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    build_tree(tree)
    monkeypatch.setattr("nunatak.iceprod.commands.OS_ARCH", "true")
    with installation(tmp_path / "data", start=False) as house, served(tree / "web") as web:
        house.start_server()
        cases = {name: case(name, str(tree), web) for name in NAMES}
        datasets: dict[str, int] = {}
        for name, found in cases.items():
            datasets[name] = submitted(house, found, tmp_path / name, tree, datasets)
        start_engine(house, tree)
        with house.client() as client:
            for name, number in datasets.items():
                until(lambda number=number: client.dataset(number).state != "open", f"{name} to end")  # type: ignore[misc]
                assert client.dataset(number).state == "done", (name, client.why(number))
        for name, number in datasets.items():
            compare(cases[name], number, tree)
            for other, before, after in cases[name].expected.get("follows", []):
                ended = max(call["at"] for call in calls(tree, datasets[other], 0, before))
                assert ended < min(call["at"] for call in calls(tree, number, 0, after))
        assert len((tree / "images").read_text().splitlines()) == 2 + cases["neutrino_generation"].expected["jobs"] * 3


def submitted(house: Installation, given: Case, directory: Path, tree: Path, numbers: Mapping[str, int]) -> int:
    """Import and submit, as the command does."""
    (directory / "beside").mkdir(parents=True)
    for name, content in given.expected.get("before", {}).items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    made = given.imported(numbers=numbers)
    place_sources(made, directory / "beside")
    place(made, directory / "beside", directory / "recipe.yaml")
    with house.client() as client:
        return client.submit(directory / "recipe.yaml").dataset


def start_engine(house: Installation, tree: Path) -> None:
    """Start an engine on a machine that has everything; something in its environment is nobody's business."""
    with house.client() as client:
        token = client.create_token("node", ["engine"], days=1).token or ""
    variables = {
        "NUNATAK_URL": house.url, "NUNATAK_TOKEN": token, "HOME": str(tree),
        "PATH": f"{tree}/bin:{Path(sys.executable).parent}:/usr/bin:/bin",
        "SECRET_ON_SERVER": "secret", "GPU_DEVICE_ORDINAL": "7", "OPENCL_VENDOR_PATH": "/etc/ocl", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    (house.data / "node").mkdir()
    words = ("serve", "engine", "node", "--cores", "8", "--memory", "64 GB", "--option", "gpu=4", "--option")
    features = f"features={','.join(FEATURES)}"
    house.spawn(*words, features, log="node.log", data=house.data / "node", variables=variables)


def calls(tree: Path, dataset: int, job: int, task: str) -> list[Mapping[str, Any]]:
    """Return what the attempts of a task called, in order."""
    found = sorted((tree / "calls").glob(f"{dataset}_{job}_{task}#*"))
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


def compare(given: Case, dataset: int, tree: Path) -> None:
    """Compare what was called, in which order, and what lies where, with what is expected."""
    words = {"{DATASET06}": f"{dataset:06d}", "{DATASET}": str(dataset)}
    text = json.dumps(given.expected)
    for name, value in words.items():
        text = text.replace(name, value)
    expected = json.loads(text)
    for job, tasks in expected["runs"].items():
        found = {task: calls(tree, dataset, int(job), task) for task in tasks}
        for task, argv in tasks.items():
            assert same([call["argv"] for call in found[task]], argv, loose=expected.get("loose", False)), (
                given.name, job, task, [call["argv"] for call in found[task]], argv,
            )  # fmt: skip
        for first, then in expected.get("order", []):
            assert max(call["at"] for call in found[first]) < min(call["at"] for call in found[then]), given.name
    for number, variables in enumerate(expected.get("environment", [])):
        seen = calls(tree, dataset, 0, next(iter(expected["runs"]["0"])))[number]["variables"]
        assert {name: seen[name] for name in variables} == variables
    for place_, shown in expected.get("shown", {}).items():
        job, task = place_.split("/")
        assert [call["shown"] for call in calls(tree, dataset, int(job), task)] == shown
    for name in expected["files"]:
        assert (tree / name).is_file(), (given.name, name)
    for name, content in expected.get("contents", {}).items():
        assert (tree / name).read_text() == content
    for name in expected.get("absent", []):
        assert not (tree / name).exists()


def same(found: Sequence[Any], expected: Sequence[Any], *, loose: bool) -> bool:
    """Compare calls; with `loose` a word may be one of several, with | between."""
    if not loose:
        return list(found) == list(expected)
    return all(
        len(one) == len(other) and all(word in choice.split("|") for word, choice in zip(one, other, strict=True))
        for one, other in zip(found, expected, strict=True)
    )
