"""Each configuration of the corpus becomes a recipe that is sound, with what there is to say about it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nunatak.datasets.expand import dry_run
from tests.iceprod.cases import NAMES, case, compiled


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_becomes_a_sound_recipe(name: str) -> None:
    given = case(name)
    made = given.imported()
    plan = compiled(made)
    tasks = {task["task"]: task for task in dry_run(plan, given.jobs[-1])}
    assert set(tasks) == set(given.expected["runs"][str(given.jobs[-1])])
    for task, image in given.expected.get("images", {}).items():
        assert tasks[task]["environment"]["image"] == image
    for task, platform in given.expected.get("platforms", {}).items():
        assert tasks[task]["shape"]["platform"] == platform
    for task, features in given.expected.get("features", {}).items():
        assert tasks[task]["shape"]["features"] == features
    assert {name: task["engines"] for name, task in tasks.items() if "engines" in task} == given.expected.get(
        "engines", {}
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_about_it_is_what_should_be(name: str) -> None:
    given = case(name)
    made = given.imported()
    said = [(item.kind, item.path) for item in made.findings]
    expected = given.expected["findings"]
    assert Counter(said) == Counter((kind, path) for kind, path, _ in expected), "\n".join(map(str, made.findings))
    for kind, path, words in expected:
        texts = [str(item) for item in made.findings if (item.kind, item.path) == (kind, path)]
        assert any(words in text for text in texts), (words, texts)
    lines = given.config.splitlines()
    for item in made.findings:
        assert 1 <= item.line <= len(lines)
        assert 1 <= item.column <= len(lines[item.line - 1])


@pytest.mark.parametrize("name", [name for name in NAMES if "needs" in case(name).expected])
def test_what_it_asks_for_is_what_it_says(name: str) -> None:
    given = case(name)
    plan = compiled(given.imported())
    for place, wanted in given.expected["needs"].items():
        job, task = place.split("/")
        found: dict[str, Any] = next(item for item in dry_run(plan, int(job)) if item["task"] == task)["shape"]
        for key, least in wanted.items():
            assert least <= found[key] < least + 64_000_001, key  # memory and disk are rounded up
