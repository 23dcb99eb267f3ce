"""New work, profile and health in a real browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.pages.campaign import CAPACITY, Campaign
from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of

CONFIG = json.dumps(
    {
        "version": 3.2, "description": "muons", "tasks": [{
            "name": "filter", "task_files": True, "depends": ["z2kq9vxw:0"], "token_scopes": {"file:///data/": "storage.read:/"},
            "data": [{"remote": "out_$(job).i3", "movement": "output"}],
            "trays": [{"modules": [{"src": "/sw/filter.py", "args": "$(input)"}]}]}],
    }, indent=1)  # fmt: skip
FILES = [{"filename": f"file:///data/in_{job}.i3", "task_name": "filter", "job_index": job} for job in range(2)]


def test_a_script_over_files_shows_its_first_command_and_is_submitted(
    tab: Tab, campaign: Campaign, tmp_path: Path
) -> None:
    (tmp_path / "fit.py").write_text("print('fit')\n")
    for name in ("a", "b", "c"):
        (tmp_path / f"run {name}.csv").write_text(name)
    page = tab.open("/new")
    page.get_by_label("Script").set_input_files(tmp_path / "fit.py")
    expect(page.locator("#check")).to_contain_text("Next: choose the files it is to be run on")
    expect(page.locator("#check")).not_to_contain_text("mistake")
    page.get_by_label("Inputs").set_input_files([tmp_path / f"run {name}.csv" for name in ("a", "b", "c")])
    expect(page.locator("#check")).to_contain_text("names no outputs")
    page.get_by_label("Outputs").fill("out/{stem}.json")
    expect(page.locator("#check .commands code").first).to_have_text("python3 fit.py 'run a.csv' 'run a.json'")
    expect(page.locator("#check h2")).to_have_text("3\u00a0jobs of fit")
    expect(page.locator("#check")).not_to_contain_text("names no outputs")
    page.set_viewport_size({"width": 400, "height": 900})
    tops = [page.locator(of).evaluate("item => item.getBoundingClientRect().top") for of in ("#check", ".send")]
    assert tops[0] < tops[1], "what it would do is seen before it is sent"
    page.set_viewport_size({"width": 1400, "height": 900})
    assert page.get_by_label("Try one job first").is_checked()
    page.get_by_role("button", name="Submit").click()
    said = page.locator(".said").inner_text()
    number = int(re.findall(r"dataset (\d+)", said)[0])
    assert "one of 3\u00a0jobs first" in said
    with campaign.house.client() as client:
        found = client.status(number).plain
        assert (found["name"], found["owner"], found["jobs"]["total"]) == ("fit", "alice", 1)
        page.wait_for_url(f"**/datasets/{number}")
        page.get_by_role("link", name="why?").click()
        page.wait_for_url(f"**/why?address={number}")
        page.get_by_role("link", name=f"to {number}").click()
        page.get_by_role("button", name="Add the other 2\u00a0jobs").click()
        expect(page.locator(".said")).to_contain_text(f"dataset {number} has 3\u00a0jobs now")
        assert client.status(number).plain["jobs"]["total"] == 3
        assert page.get_by_role("button", name="Add the other").count() == 0
        page.get_by_role("link", name="Recipe", exact=True).click()
        page.get_by_role("link", name="New work like this").click()
        expect(page.locator("#check h2")).to_have_text("3\u00a0jobs of fit")  # its inputs are kept, and found again


def test_mistakes_show_at_their_place_as_one_types(tab: Tab) -> None:
    page = tab.open("/new?mode=recipe")
    expect(page.locator("#check h2")).to_have_text("10\u00a0jobs of first try")
    page.get_by_label("Recipe").fill("name: x\njobs: 2\ntasks:\n  a:\n    run: echo {jb}\n    neds: {memory: 1 GB}\n")
    expect(page.locator("#check h2")).to_have_text("2\u00a0mistakes")
    expect(page.locator("#check .faults")).to_contain_text("line 5")
    expect(page.locator("#check .faults")).to_contain_text("did you mean")
    expect(page.locator("#check .at").first).to_contain_text("run: echo {jb}")


def test_what_is_typed_while_an_answer_is_on_its_way_is_checked(tab: Tab) -> None:
    page, kept = tab.page, list[Route]()
    page.route("**/new/check", lambda route: route.continue_() if kept else kept.append(route))
    with page.expect_request("**/new/check"):
        tab.open("/new?mode=recipe")
    page.get_by_label("Recipe").fill("name: x\njobs: 2\ntasks: {a: {run: echo}}\n")
    expect(page.locator("#check h2")).to_have_text("2\u00a0jobs of x")


def test_a_pattern_of_a_recipe_finds_the_files_that_are_sent_along(tab: Tab, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "note.txt"):
        (tmp_path / name).write_text(name)
    page = tab.open("/new?mode=recipe")
    page.get_by_label("Recipe").fill("name: lines\nforeach: '*.csv'\ntasks:\n  fit:\n    run: wc {input}\n")
    expect(page.locator("#check")).to_contain_text('no file matches "*.csv"')
    page.get_by_label("Files it names").set_input_files([tmp_path / name for name in ("a.csv", "b.csv", "note.txt")])
    expect(page.locator("#check h2")).to_have_text("2\u00a0jobs of lines")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".said")).to_contain_text("one of 2\u00a0jobs first")


def test_what_only_a_configuration_of_iceprod_takes_shows_for_one(tab: Tab, campaign: Campaign, tmp_path: Path) -> None:
    page = tab.open("/new?mode=recipe")
    expect(page.locator("#check h2")).to_have_text("10\u00a0jobs of first try")
    expect(page.locator("#iceprod")).to_be_hidden()
    page.get_by_label("Recipe").fill(CONFIG)
    expect(page.locator("#check .faults")).to_contain_text("no files are given for this task")
    expect(page.locator("#check .at").first).to_contain_text('"task_files": true')
    page.get_by_label("Options").fill("data_url")
    expect(page.locator("#check .faults")).to_contain_text("line 1 of options")
    page.get_by_label("Options").fill("data_url=file:///made/")
    expect(page.locator("#check .faults")).to_contain_text("z2kq9vxw:0 is a task of another dataset")
    page.get_by_label("Other datasets").fill("z2kq9vxw")
    expect(page.locator("#check .faults")).to_contain_text("line 1 of other datasets")
    page.get_by_label("Other datasets").fill("z2kq9vxw=")
    expect(page.locator("#check .faults")).not_to_contain_text("another dataset")
    expect(page.locator("#check .faults")).to_contain_text("no files are given for this task")
    (tmp_path / "files.json").write_text(json.dumps(FILES))
    page.get_by_label("Files of tasks").set_input_files(tmp_path / "files.json")
    expect(page.locator("#check h2")).to_have_text("2\u00a0jobs of muons")
    for width, scheme in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert faults_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_label("exactly as IceProd expands it").check()
    expect(page.locator("#check details pre")).to_contain_text("read in exact mode")
    page.get_by_role("button", name="Submit").click()
    number = int(re.findall(r"dataset (\d+)", page.locator(".said").inner_text())[0])
    with campaign.house.client() as client:
        assert "file:///made/out_{job}.i3" in client.recipe(number)["source"]


def test_without_scripts_what_iceprod_takes_is_there_too(open_tab: Open) -> None:
    tab = open_tab("alice", java_script_enabled=False)
    page = tab.open("/new?mode=recipe")
    page.get_by_text("If it is a configuration of IceProd").click()
    page.get_by_label("Recipe").fill(CONFIG)
    page.get_by_label("Options").fill("data_url")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("main")).to_contain_text("the option 'data_url' has no value")
    tab.complaints.clear()  # of an answer that is no page


def test_a_recipe_like_an_old_one_shows_what_is_different(tab: Tab) -> None:
    page = tab.open("/new?like=1")
    text = page.get_by_label("Recipe").input_value()
    assert "atmospheric muons, calibration" in text
    page.get_by_label("Recipe").fill(text.replace("jobs: 40", "jobs: 41"))
    expect(page.locator("#check .diff")).to_contain_text("-jobs: 40")
    expect(page.locator("#check .diff")).to_contain_text("+jobs: 41")


def test_hostile_recipes_are_shown_as_text(tab: Tab) -> None:
    page = tab.open("/new?mode=recipe")
    page.get_by_label("Recipe").fill(
        'name: "<img src=x onerror=alert(1)>"\ntasks:\n  a:\n    run: echo "<script>alert(1)</script>"\n'
    )
    expect(page.locator("#check h2")).to_contain_text("<img src=x")
    assert page.locator("#check img, #check script").count() == 0


def test_one_ends_ones_own_tokens_and_sessions_only(open_tab: Open, campaign: Campaign) -> None:
    tab = open_tab("carol")
    laptop = campaign.house.make_token("read", who="carol")
    page = tab.open("/profile")
    assert "(this one)" in page.locator("main").inner_text()
    row = page.locator("tbody tr").last
    row.get_by_text("Revoke").first.click()
    row.get_by_role("button", name="Revoke").click()
    expect(page.locator(".said")).to_contain_text("opens nothing any more")
    assert page.locator("tbody tr").last.inner_text().count("revoked") == 1
    answer = page.request.get(f"{tab.url}/api/v1/whoami", headers={"Authorization": f"Bearer {laptop}"})
    assert answer.status == 401


def test_health(tab: Tab, campaign: Campaign) -> None:
    campaign.beat(CAPACITY)
    page = tab.open("/about")
    assert page.title().startswith("All is well")
    assert "icecube" in page.locator("#health").inner_text()


@pytest.mark.parametrize("path", ["/new", "/new?mode=recipe", "/profile", "/about"])
def test_nothing_keeps_people_out_and_nothing_sticks_out(tab: Tab, path: str) -> None:
    for width, scheme in LOOKS:
        tab.page.emulate_media(color_scheme=scheme)
        tab.page.set_viewport_size({"width": width, "height": 900})
        tab.open(path)
        assert faults_of(tab.page) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
