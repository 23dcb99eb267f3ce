"""The recipe of a dataset is edited in a real browser: what would change is seen, then saved, and what failed is done by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.pages.campaign import Campaign
from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of

RECIPE = """\
name: mended
jobs: 3
tasks:
  work:
    run: echo work {job} {output}
    outputs: [out.txt]
    needs: {memory: 1 GB, features: [edited]}
    retry: {tries: 1}
"""


def begin(campaign: Campaign, text: str = RECIPE) -> int:
    """A dataset of which all has failed."""
    number = campaign.submit("alice", text)
    tasks = [task for task in campaign.claim(500, "edited") if task["address"].startswith(f"{number}/")]
    campaign.end(tasks, failed=True)
    return number


def test_an_edit_shows_mistakes_and_changes_is_saved_and_what_failed_is_done_by_it(
    tab: Tab, campaign: Campaign
) -> None:
    number = begin(campaign)
    page = tab.open(f"/datasets/{number}/errors")
    page.get_by_role("link", name="Edit the recipe").first.click()
    expect(page.locator("#check")).to_contain_text("nothing to save")
    page.get_by_label("Recipe").fill(RECIPE.replace("memory: 1 GB", "memroy: 1 GB"))
    expect(page.locator("#check h2")).to_have_text("1\u00a0mistake")
    expect(page.locator("#check .at").first).to_contain_text("memroy")
    page.get_by_label("Recipe").fill(RECIPE.replace("  work:", "  labour:"))
    expect(page.locator("#check h2")).to_have_text("2\u00a0things cannot be changed")
    page.get_by_label("Recipe").fill(RECIPE.replace("memory: 1 GB", "memory: 7 GB"))
    expect(page.locator("#check h2")).to_have_text("1\u00a0change")
    expect(page.locator("#check .reach")).to_contain_text("3\u00a0failed tasks will when tried again")
    expect(page.locator("#check .diff ins")).to_contain_text("memory: 7 GB")
    page.get_by_role("button", name="Save as a new revision").click()
    page.wait_for_url(f"**/datasets/{number}/recipe")
    assert "this is revision 2" in page.locator(".said").inner_text()
    assert "retry the 3\u00a0failed tasks" in page.locator(".said").inner_text()
    expect(page.locator(".source")).to_contain_text("memory: 7 GB")
    expect(page.locator("tr", has_text="alice").first).to_contain_text("3 to do")
    page.get_by_role("button", name="Retry failed").click()
    tasks = [task for task in campaign.claim(500, "edited") if task["address"].startswith(f"{number}/")]
    assert {task["shape"]["memory"] // 10**9 for task in tasks} == {7}
    campaign.end(tasks, failed=False)
    page = tab.open(f"/datasets/{number}/0/work")
    expect(page.locator(".attempt")).to_contain_text("revision 2")
    page = tab.open(f"/datasets/{number}/recipe?revision=2&against=1")
    expect(page.locator(".difference .d-new")).to_contain_text("memory: 7 GB")
    page = tab.open(f"/datasets/{number}/history")
    page.get_by_role("link", name="recipe, revision 2").click()
    page.wait_for_url(f"**/datasets/{number}/recipe?revision=2&against=1")
    assert tab.complaints == []


def test_who_comes_late_keeps_what_was_written_and_sees_the_difference(
    tab: Tab, campaign: Campaign, tmp_path: Path
) -> None:
    text = RECIPE.replace("    needs", "    files: [table.txt]\n    needs")
    (tmp_path / "table.txt").write_text("1\n")
    (tmp_path / "r.yaml").write_text(text)
    with campaign.house.client(campaign.house.make_token("read", "submit")) as client:
        number = client.submit(tmp_path / "r.yaml").dataset
        page = tab.open(f"/datasets/{number}/edit")
        (tmp_path / "r.yaml").write_text(text.replace("echo work", "echo other"))
        client.edit(number, tmp_path / "r.yaml")
        page.get_by_label("Recipe").fill(text.replace("echo work", "echo mine"))
        page.get_by_role("button", name="Save as a new revision").click()
        expect(page.locator("#check")).to_contain_text("revision 2 by now")
        tab.complaints[:] = [said for said in tab.complaints if "412" not in said]  # that is what the browser calls it
        expect(page.get_by_label("Recipe")).to_have_value(text.replace("echo work", "echo mine"))
        page.get_by_role("link", name="Edit the present revision").click()
        expect(page.get_by_label("Recipe")).to_have_value(text.replace("echo work", "echo other"))
        (tmp_path / "table.txt").write_text("2\n")
        page.get_by_label("Files in place of those it has").set_input_files(tmp_path / "table.txt")
        expect(page.locator("#check")).to_contain_text("the file that is chosen here")
        page.get_by_role("button", name="Save as a new revision").click()
        page.wait_for_url(f"**/datasets/{number}/recipe")
        assert client.recipe(number)["revision"] == 3
        page.get_by_label("What revision").select_option("3")
        page.get_by_label("says otherwise than").select_option("1")
        page.get_by_role("button", name="Show").click()
        expect(page.locator(".difference .d-new")).to_contain_text("echo other")


def test_without_javascript_a_form_shows_what_would_change_and_saves(open_tab: Open, campaign: Campaign) -> None:
    number = begin(campaign)
    page = open_tab("alice", java_script_enabled=False).open(f"/datasets/{number}/edit")
    page.get_by_label("Recipe").fill(RECIPE.replace("tries: 1", "tries: 4"))
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator("#check")).to_contain_text("work retry")
    page.get_by_role("button", name="Save as a new revision").click()
    page.wait_for_url(f"**/datasets/{number}/recipe")
    expect(page.locator("h2", has_text="revision 2")).to_be_visible()


@pytest.mark.parametrize("part", ["edit", "recipe"])
def test_it_can_be_used_by_everybody_and_on_a_phone(tab: Tab, campaign: Campaign, part: str) -> None:
    page = tab.open(f"/datasets/{begin(campaign)}/{part}")
    for width, scheme in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert faults_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
