"""Usage, why and what-if in a real browser: bars with numbers, files, checklists, simulated changes, sizes, light and dark."""

from __future__ import annotations

import csv
import io
import re

import pytest
from playwright.sync_api import expect

from nunatak.simulation import aside
from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of

RUNNING = "/what-if?dataset=7"


def test_hours_are_told_apart_with_bars_and_numbers(tab: Tab) -> None:
    page = tab.open("/usage")
    row = page.locator("#spent tbody tr", has_text="alice")
    assert re.search(r"[\d.]+\sh", row.inner_text())
    assert "core-hours" in (row.get_by_role("img").get_attribute("aria-label") or "")
    page.get_by_role("link", name="causes").click()
    expect(page.locator("#spent")).to_contain_text("errors of the tasks themselves")
    expect(page).to_have_title(re.compile(r"^[\d.\u202f]+ core-hours by cause"))


def test_a_file_has_the_same_lines(tab: Tab) -> None:
    page = tab.open("/usage?by=user")
    with page.expect_download() as started:
        page.get_by_role("link", name="download as CSV").click()
    assert started.value.suggested_filename == "usage-by-user.csv"
    rows = list(csv.DictReader(io.StringIO(started.value.path().read_text())))
    assert {row["user"] for row in rows} == {"alice", "bob"}
    assert all(float(row["core_hours"]) > 0 for row in rows)


def test_days_are_asked_for_in_a_form(tab: Tab) -> None:
    page = tab.open("/usage?by=day")
    expect(page.locator("#spent tbody tr").first).to_contain_text(re.compile(r"20\d\d-\d\d-\d\d"))
    assert page.locator("[name=since]").input_value() < page.locator("[name=until]").input_value()
    page = tab.open("/usage?by=group")
    page.locator("[name=since]").fill("2001-01-01")
    page.locator("[name=until]").fill("2001-01-31")
    page.get_by_role("button", name="Show these days").click()
    expect(page.locator("#spent")).to_contain_text("No attempt ended in these days")
    page.get_by_role("link", name="users").click()
    expect(page).to_have_url(re.compile("by=user&since=2001-01-01&until=2001-01-31"))
    page.locator("[name=since]").fill("")
    page.locator("[name=until]").fill("")
    page.get_by_role("button", name="Show these days").click()
    expect(page.locator("#spent")).to_contain_text("alice")


def test_who_gets_the_next_places_is_said_with_the_reason(tab: Tab) -> None:
    page = tab.open("/usage")
    first = page.locator("#places li").first
    expect(first).to_contain_text("slots that could take it")
    assert "user" in page.locator("#shares").inner_text()


def test_a_ready_task_has_its_conditions_as_a_checklist(tab: Tab) -> None:
    page = tab.open("/why?address=7/60/generate")
    checks = page.locator(".checks li")
    assert checks.count() == 10
    expect(checks.filter(has_text="its dataset is not held")).to_have_class("c-holds")
    expect(checks.filter(has_text="it has begun")).to_have_class("c-later")
    assert page.title().startswith("7/60/generate is ready")


def test_a_waiting_task_says_for_what(tab: Tab) -> None:
    page = tab.open("/why?address=7/60/detect")
    expect(page.locator(".c-not")).to_contain_text(["it waits for 7/60/propagate"])
    page = tab.open("/why?address=2/59/detect")
    expect(page.locator(".c-not").first).to_contain_text("wait for the new ice tables")


def test_a_change_is_simulated_against_now(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MOST_SECONDS", 240.0)
    page = tab.open(RUNNING)
    page.set_default_timeout(250_000)  # it is worked out: some seconds of a core, which may have other work
    page.set_default_navigation_timeout(250_000)
    page.goto(f"{page.url}&slots=200&each=1+cpu+4+GB&priority=")  # as the button does without JavaScript
    expect(page.locator(".check")).to_contain_text("Working it out")  # the page is there before the answer
    page.evaluate("document.body.dataset.same = 'yes'")
    expect(page.locator(".check")).to_contain_text("200 slots more", timeout=250_000)
    assert page.evaluate("document.body.dataset.same") == "yes", "it was not loaded anew"
    expect(page).to_have_title(re.compile(r"^7: .*(sooner|later|same).* What if"))
    expect(page.locator(".ranges strong")).to_contain_text(["done in", "done in"])
    assert faults_of(page) == []


def test_the_answer_follows_the_sliders_without_the_button(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MOST_SECONDS", 240.0)
    page = tab.open(RUNNING)
    page.evaluate("document.body.dataset.same = 'yes'")
    expect(page.get_by_role("button", name="Work it out")).to_be_hidden()
    page.get_by_role("slider", name="Slots more").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".sentence")).to_contain_text("With 20 slots more", timeout=250_000)
    page.wait_for_url("**slots=20*")
    expect(page.locator("footer code")).to_contain_text('--add "20 slots')
    page.locator("[name=each]").fill("<script>")
    expect(page.locator("#answer .problem")).to_contain_text("<script>")
    page.get_by_role("slider", name="Slots more").fill("0")
    expect(page.locator("#answer")).to_contain_text("Choose what would be otherwise")
    assert page.evaluate("document.body.dataset.same") == "yes", "it was not loaded anew"
    assert faults_of(page) == []


def test_nonsense_is_said_beside_the_form(tab: Tab) -> None:
    page = tab.open(f"{RUNNING}&slots=5&each=%3Cscript%3E")
    expect(page.locator(".problem")).to_contain_text("says nothing of a slot")
    expect(page.locator(".problem")).to_contain_text("<script>")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_they_are_fit_for_everybody(open_tab: Open, width: int, scheme: str) -> None:
    tab = open_tab(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/usage", "/why?address=7/60/generate", "/why", RUNNING, "/what-if"):
        page = tab.open(path)
        assert faults_of(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
