"""My work in a real browser: what it shows, live updates, keys, actions, sizes, light and dark, accessibility."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Route, expect

from nunatak.web.navigation import NAVIGATION
from tests.pages.campaign import Campaign, house
from tests.pages.chain import recipe
from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of

NAMES = [
    "systematics: hole ice",
    "detector noise, a name that is quite a bit longer than names of datasets usually are",
    "atmospheric muons, season 2026",
    "atmospheric muons, old tables",
    "neutrinos, new ice model",
    "atmospheric muons, calibration",
]


def names(tab: Tab) -> list[str]:
    return tab.page.locator(".row .name").all_inner_texts()


def test_datasets_are_rows_with_state_pace_losses_and_the_last_error(tab: Tab) -> None:
    page = tab.open("/datasets")
    assert names(tab) == NAMES
    season = page.locator(".row", has_text="season 2026")
    for wanted in (
        r"of 900\stasks",
        r"pace\s+[\d\u202f]+\stasks/h",
        r"left\s+[\d.\u2013]+\s(min|h)",
        r"lost\s+\d+",
        "icecube",
    ):
        assert re.search(wanted, season.inner_text()), season.inner_text()
    label = season.locator("svg[role=img]").get_attribute("aria-label")
    assert re.fullmatch(r"\d+ done, \d+ running, \d+ ready or queued, \d+ waiting for others.*", label or "")
    assert "NUN-OOM" in season.locator(".err").inner_text()
    assert re.match(r"\d+ needs? you", page.title())
    assert "core-hours" in page.locator("#use").inner_text()


def test_what_needs_a_person_is_on_top_with_the_reason(tab: Tab) -> None:
    page = tab.open("/datasets")
    needs = page.locator("#needs").inner_text()
    assert "neutrinos, new ice model" in needs
    assert "wait for the new ice tables" in needs
    assert "icon-failed" in (page.locator("#icon").get_attribute("href") or "")


def test_filters_are_in_the_address_and_work_as_one_types(tab: Tab) -> None:
    page = tab.open("/datasets")
    page.locator("#q").fill("muons")
    page.locator("#q").press("Enter")
    page.wait_for_url("**/datasets?*q=muons*")
    expect(page.locator(".row")).to_have_count(3)
    page.locator("#sort").select_option("oldest")
    page.wait_for_url("**sort=oldest*")
    expect(page.locator(".row .name").first).to_contain_text("calibration")
    page.get_by_role("link", name="done", exact=True).click()
    page.wait_for_url("**state=done*")
    expect(page.locator(".row .name")).to_have_text(["atmospheric muons, calibration"])
    page.reload()
    assert names(tab) == ["atmospheric muons, calibration"]


def test_a_filter_that_is_set_while_an_answer_is_on_its_way_counts(tab: Tab) -> None:
    page, kept = tab.open("/datasets"), list[Route]()
    page.route("**/datasets?*", lambda route: route.continue_() if kept else kept.append(route))
    with page.expect_request("**/datasets?*q=muons*"):
        page.locator("#q").fill("muons")
        page.locator("#q").press("Enter")
    page.locator("#q").fill("noise")
    page.locator("#q").press("Enter")
    expect(page.locator(".row .name")).to_have_text([NAMES[1]])
    page.wait_for_url("**q=noise*")


def test_everybodys_work_can_be_read_but_not_changed(tab: Tab) -> None:
    page = tab.open("/datasets?owner=*")
    assert "cascades for the energy paper" in names(tab)
    page.get_by_role("listitem").filter(has_text="cascades").get_by_role("button", name="Release").click()
    expect(page.locator(".problem")).to_contain_text("belongs to bob")
    tab.complaints.clear()  # the browser notes the 403


def test_keys(tab: Tab) -> None:
    page = tab.open("/datasets")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator(".row.current")).to_have_count(1)
    assert page.evaluate("document.activeElement.textContent") == NAMES[0]
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("f")
    page.wait_for_url("**state=failed*")
    page.keyboard.type("gd")
    page.wait_for_url("**/datasets")
    page.keyboard.press("/")
    page.keyboard.type("noise")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=noise*")
    expect(page.locator(".row .name")).to_have_text([NAMES[1]])
    for entry in NAVIGATION:
        page.keyboard.type(f"g{entry.key}")
        page.wait_for_url(f"**{entry.path}")
    page.goto(f"{tab.url}/datasets?q=noise")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/6")
    page.keyboard.press("/")
    page.keyboard.type("4/7/propagate#1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/4/7/propagate/1")


def test_reading_needs_no_javascript(open_tab: Open) -> None:
    tab = open_tab("alice", java_script_enabled=False)
    tab.open("/datasets?q=muons")
    assert len(names(tab)) == 3
    assert re.search(r"\d+\sh ago", tab.page.locator(".row").first.inner_text())


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_nothing_keeps_people_out_and_nothing_sticks_out(open_tab: Open, width: int, scheme: str) -> None:
    tab = open_tab(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/datasets", "/datasets?q=nothing"):
        page = tab.open(path)
        assert faults_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_change_is_seen_by_itself_and_an_action_is_done(open_tab: Open, tmp_path: Path) -> None:
    with house(tmp_path) as server:
        made = Campaign(server)
        tab = open_tab("alice", of=server)
        page = tab.open("/datasets")
        assert "Nothing has been submitted yet" in page.locator("main").inner_text()
        page.evaluate("document.body.dataset.same = 'yes'")
        number = made.submit("alice", recipe("first light", 3))
        page.wait_for_selector(f"#d{number}")
        made.run(1, leave=1)
        expect(page).to_have_title(re.compile("1.task running"))
        expect(page.locator("#icon")).to_have_attribute("href", re.compile("icon-busy"))
        made.act("alice", "hold", str(number))
        page.wait_for_selector("#needs:not([hidden])")
        assert page.evaluate("document.body.dataset.same") == "yes", "it was not loaded anew"
        page.locator("#needs").get_by_role("button", name="Release").click()
        expect(page.locator(".said")).to_contain_text("released")
        with server.client() as client:
            assert not client.status(number).plain["held"]
        made.close()


def test_live_parts_come_when_something_changes_and_only_those(tmp_path: Path) -> None:
    with house(tmp_path) as server, httpx2.Client(base_url=server.url, timeout=30) as http:
        made = Campaign(server)
        number = made.submit("alice", recipe("first light", 3))
        bearer = {"Authorization": f"Bearer {server.make_token('read', who='alice')}"}
        with http.stream("GET", "/datasets.live", headers=bearer) as stream:
            events = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            first = next(events)
            assert {"rows", "needs", "use", "title"} == first.keys()
            assert f'id="d{number}"' in first["rows"]
            made.act("alice", "hold", str(number))
            second = next(events)
            assert {"rows", "needs", "title", "alarm"} == second.keys()
            assert second["alarm"] == "failed"
        made.close()


def test_a_look_that_fails_ends_the_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever watches asks again then, and is told: a stream that is open and silent would look as if all were well."""
    told = threading.Event()

    def fails(*_: object) -> None:
        raise RuntimeError("for the test")

    with house(tmp_path) as server, httpx2.Client(base_url=server.url, timeout=30) as http:
        bearer = {"Authorization": f"Bearer {server.make_token('read', who='alice')}"}
        with http.stream("GET", "/datasets.live", headers=bearer) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("data: "))
            monkeypatch.setattr("nunatak.api.watched.log.exception", lambda _, **__: told.set())
            monkeypatch.setattr("nunatak.tasks.looking.overview.rows", fails)
            assert not [line for line in lines if line.startswith("data: ")]
        assert told.is_set(), "the log of the server has it"


def test_pages_are_light(open_tab: Open, campaign: Campaign) -> None:
    tab = open_tab()
    weights: list[int] = []
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: weights.append(int(event["encodedDataLength"])))
    tab.open("/datasets?sort=name")
    tab.page.wait_for_load_state()
    first = sum(weights)
    weights.clear()
    tab.open("/datasets?sort=oldest")
    tab.page.wait_for_load_state()
    assert first < 250_000
    assert sum(weights) < 40_000
