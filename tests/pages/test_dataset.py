"""A dataset's page and its parts in a real browser: what they show, every action and its effect, live updates, keys, sizes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from tests.pages.campaign import Campaign, house
from tests.pages.chain import recipe
from tests.pages.conftest import Open, Tab
from tests.services.chromium import faults_of

PARTS = ("", "?as=table", "/tasks", "/tasks?state=failed", "/errors", "/use", "/graph", "/recipe", "/files", "/history")
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m'\"&{{ 7 * 7 }}"
FAILING, RUNNING = 2, 5
"""Datasets of the campaign: one that fails much and is held, and the season that runs."""


def numbers(tab: Tab) -> dict[str, int]:
    """Return the counts by letter that the bar on top shows."""
    items = tab.page.locator("#dshead .parts li:not(.of)").all_inner_texts()
    return {text.strip()[0]: int(re.sub(r"\D", "", text)) for text in items}


def test_the_first_page_says_how_it_is_and_leads_on(tab: Tab) -> None:
    page = tab.open(f"/datasets/{RUNNING}")
    assert re.match(r"\d+.% done · atmospheric muons, season 2026 \(5\)", page.title())
    assert page.locator("#matrix svg.matrix .cell").count() == 60
    title = page.locator(".cell title").first.text_content() or ""
    assert "jobs 0 to 4" in title
    assert re.search(r"generate: \d+ done", title)
    assert page.locator("#progress svg polygon").count() > 4
    assert "NUN-OOM" in page.locator("#errors").inner_text()
    page.locator(".cell").nth(2).click()
    page.wait_for_url("**from=10&to=15*")
    expect(page.locator(".cell")).to_have_count(15)
    cell = page.locator(".cell").first
    assert cell.get_attribute("href") == f"/datasets/{RUNNING}/10/generate"
    page.get_by_role("link", name="zoom out").click()
    page.wait_for_url(re.compile(r"/datasets/5(\?|#|$)"))
    page.locator(".dshead .parts a").first.click()
    page.wait_for_url("**/tasks?state=done")
    expect(page.locator("tbody .state").first).to_have_text("done")
    assert set(page.locator("tbody .state").all_inner_texts()) == {"done"}


def test_what_the_matrix_shows_is_what_there_is(tab: Tab) -> None:
    page = tab.open(f"/datasets/{FAILING}")
    plain = page.request.get(f"{tab.url}/datasets/{FAILING}.json").json()
    for name, of in plain["dataset"]["per_task"].items():
        row = plain["matrix"]["tasks"].index(name)
        for state in ("done", "running", "failed", "held"):
            assert sum(column["cells"][row].get(state, 0) for column in plain["matrix"]["columns"]) == of[state]
    page.get_by_role("link", name="The same as a table").click()
    page.wait_for_url("**as=table*")
    expect(page.locator("#matrix table tbody tr")).to_have_count(60)
    assert page.locator("#matrix table a").first.get_attribute("href") == f"/datasets/{FAILING}/0/generate"


def test_the_matrix_by_keyboard(tab: Tab) -> None:
    page = tab.open(f"/datasets/{FAILING}?from=10&to=20")
    expect(page.locator(".cell[tabindex='0']")).to_have_count(1)
    page.locator(".cell[tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"/datasets/{FAILING}/11/propagate"


def test_the_focus_stays_where_it_is_when_live_parts_come(tab: Tab) -> None:
    page = tab.page
    told = "addEventListener('nunatak:live', () => document.documentElement.setAttribute('data-told', ''), true);"
    page.add_init_script(told)
    page.route("**/*.live*", lambda route: None)  # it waits until the focus is set
    tab.open(f"/datasets/{FAILING}?from=10&to=20")
    page.locator(".cell").nth(4).focus()
    there = page.evaluate("document.activeElement.getAttribute('href')")
    assert there
    page.unroute("**/*.live*")
    page.evaluate("dispatchEvent(new Event('pagehide')); dispatchEvent(new Event('pageshow'))")
    expect(page.locator("html[data-told]")).to_be_visible()
    assert page.evaluate("document.activeElement.getAttribute('href')") == there


def test_parts_have_addresses_and_show_their_thing(tab: Tab) -> None:
    page = tab.open(f"/datasets/{RUNNING}")
    for name, wanted in (
        ("Asked and used", "asks"),
        ("Graph", "Tasks of a job"),
        ("Recipe", "retry: {tries: 2}"),
        ("History", "asks for what was learnt"),
        ("Errors", "ran out of memory"),
        ("Tasks", f"{RUNNING}/0/generate"),
    ):
        page.get_by_role("navigation", name="parts of dataset").get_by_role("link", name=name, exact=True).click()
        expect(page.locator(".tabs a[aria-current]")).to_have_text(name)
        expect(page.locator("main")).to_contain_text(wanted, use_inner_text=True)
    page.locator("#task").select_option("detect")
    page.wait_for_url("**task=detect*")
    expect(page.locator("#rows tbody .addr").first).to_contain_text("/detect")
    page.keyboard.press("f")
    page.wait_for_url("**state=failed*")


def test_what_was_used_stands_against_what_is_asked_for(tab: Tab) -> None:
    page = tab.open(f"/datasets/{RUNNING}/use")
    first = page.locator("article").first
    assert first.locator("svg").count() == 4
    assert re.search(r"memory\s+asks [\d.]+\sGB, half use less than [\d.]+\sGB", first.inner_text().replace("\n", " "))
    assert {"p50", "p95", "asked"} <= set(first.locator("svg text").all_text_contents())
    assert first.locator(".histbar").count() > 8


@pytest.mark.parametrize(("scheme", "number"), [("light", FAILING), ("dark", RUNNING)])
def test_nothing_keeps_people_out_and_nothing_sticks_out(tab: Tab, scheme: str, number: int) -> None:
    page = tab.page
    page.emulate_media(color_scheme=scheme)
    for part in PARTS:
        tab.open(f"/datasets/{number}{part}")
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, part
        assert faults_of(page) == [], part


def test_on_a_phone_the_axis_stays_in_view_while_its_chart_is_moved(open_tab: Open) -> None:
    page = open_tab(viewport={"width": 400, "height": 900}).open("/datasets/5")
    chart = page.get_by_role("region", name="curve of progress")
    left = "chart => chart.querySelector('.ups').getBoundingClientRect().left - chart.getBoundingClientRect().left"
    for way in (-10_000, 10_000):
        moved = chart.evaluate(
            f"chart => {{ chart.scrollBy({way}, 0); return chart.scrollWidth - chart.clientWidth; }}"
        )
        assert (moved > 300, chart.evaluate(left)) == (True, 0)


def test_names_of_tasks_stay_in_view_while_jobs_are_moved(open_tab: Open) -> None:
    page = open_tab(viewport={"width": 400, "height": 900}).open(f"/datasets/{RUNNING}")
    drawn = page.get_by_role("region", name="task matrix")
    moved = "drawn => { drawn.scrollBy(10_000, 10_000); return [drawn.scrollLeft, drawn.scrollTop]; }"
    left = "name => name.getBoundingClientRect().left - name.closest('.wide').getBoundingClientRect().left"
    names = drawn.locator(".rowname")
    assert drawn.evaluate(moved)[0] > 300
    assert [names.nth(row).evaluate(left) for row in range(3)] == [0, 0, 0]
    cell = drawn.locator(".cell").last
    rows = [item.evaluate("item => item.getBoundingClientRect().bottom") for item in (names.last, cell)]
    assert 0 <= rows[1] - rows[0] < 12, "a name stands beside its row"
    page.goto(page.url + "?as=table&from=0&to=60")
    table = page.get_by_role("region", name="tasks by job as a table")
    assert table.evaluate(moved)[1] > 300
    top = "name => name.getBoundingClientRect().top - name.closest('.wide').getBoundingClientRect().top"
    assert table.get_by_role("columnheader", name="propagate").evaluate(top) == 0
    table.evaluate("table => { table.querySelector('table').style.width = '900px'; table.scrollBy(10_000, 0); }")
    assert table.get_by_role("rowheader").last.evaluate(left) == 0


def test_on_a_phone_the_part_that_is_shown_is_seen_among_the_others(open_tab: Open) -> None:
    page = open_tab(viewport={"width": 400, "height": 900}).open(f"/datasets/{RUNNING}/history")
    expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.9)


def test_on_paper_it_is_whole_and_light_and_has_nothing_to_press(tab: Tab) -> None:
    page = tab.page
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 720, "height": 1000})
    tab.open(f"/datasets/{RUNNING}")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(245, 247, 249)"
    assert [item.is_visible() for item in page.locator("button, summary, nav, footer").all()].count(True) == 0
    for name in ("task matrix", "curve of progress"):
        wide = page.get_by_role("region", name=name)
        assert wide.evaluate("wide => wide.scrollWidth - wide.clientWidth") <= 0, name
    exact = "time => getComputedStyle(time, '::after').content"
    assert "UTC" in page.locator(".dshead time").first.evaluate(exact)


def test_what_has_no_row_yet_is_not_said_to_be_missing(tab: Tab) -> None:
    page = tab.open("/datasets/4")
    waiting = page.locator(".dshead .parts .p-waiting a")
    n = int(waiting.inner_text().split()[0])
    waiting.click()
    page.wait_for_url("**state=waiting*")
    expect(page.locator("#rows")).to_contain_text(f"{n}\u00a0tasks: each is listed when its turn comes")


def test_reading_needs_no_javascript(open_tab: Open) -> None:
    tab = open_tab("alice", java_script_enabled=False)
    for part in PARTS:
        tab.open(f"/datasets/{FAILING}{part}")
        assert "neutrinos, new ice model" in tab.page.locator("h1").inner_text()
    tab.open(f"/datasets/{FAILING}")
    assert tab.page.locator("svg.matrix").is_visible()
    assert tab.page.locator("#progress svg.curve").is_visible()


def test_what_is_of_others_can_be_read_but_not_changed(tab: Tab) -> None:
    page = tab.open("/datasets/3")
    assert "belongs to bob" in page.locator("main").inner_text()
    assert page.get_by_role("button", name="Release").count() == 0
    assert page.get_by_text("More actions").count() == 0


def test_every_action_does_what_it_says(open_tab: Open, tmp_path: Path) -> None:
    with house(tmp_path) as server:
        made = Campaign(server)
        number = made.submit("alice", recipe("first light", 6))

        def fail_all() -> None:
            for _ in range(2):
                made.run(6, fail=1.0)
                server.clock.behind -= 60  # the next try comes later

        fail_all()
        tab = open_tab("alice", of=server)
        page = tab.open(f"/datasets/{number}")
        page.keyboard.press("j")
        api = made.person("alice")

        def status() -> dict:
            return api.get(f"/api/v1/status/{number}")

        def said(words: str) -> None:
            expect(page.locator(".said")).to_contain_text(words)

        failed = status()["tasks"]["failed"]
        assert failed
        expect(page.locator("#says-retry")).to_contain_text(f"Tries {failed}")
        page.locator("#errors").get_by_role("button", name="Retry these").first.click()
        said("to be tried again")
        assert status()["tasks"]["failed"] == 0
        fail_all()
        tab.open(f"/datasets/{number}/tasks?state=failed")
        page.locator("tbody").get_by_role("button", name="Retry").first.click()
        said("to be tried again")
        left = status()["tasks"]["failed"]
        assert left == failed - 1
        tab.open(f"/datasets/{number}")
        page.get_by_role("button", name="Retry failed").click()
        said("to be tried again")
        assert status()["tasks"]["failed"] == 0
        page.get_by_role("button", name="Hold").click()
        said("held")
        assert status()["held"]
        page.get_by_role("button", name="Release").click()
        said("released")
        assert not status()["held"]
        page.get_by_text("More actions").click()
        form = page.locator("form[action$='/more']")
        again = {name: form.locator(f"[name={name}]").get_attribute("value") or "" for name in ("csrf", "of")}
        page.get_by_label("More jobs").fill("4")
        page.get_by_role("button", name="Add").click()
        said("10")
        assert status()["jobs"]["total"] == 10
        twice = page.request.post(f"{tab.url}/datasets/{number}/more", form={**again, "jobs": "4"})
        assert (twice.status, status()["jobs"]["total"]) == (409, 10), "the same form again adds nothing"
        tab.open(f"/datasets/{number}")
        page.get_by_text("More actions").click()
        page.get_by_label("Priority").fill("2.5")
        page.get_by_role("button", name="Set").click()
        said("2.5")
        assert status()["priority"] == 2.5
        page.get_by_text("More actions").click()
        page.locator("details.sure summary", has_text="Close").click()
        page.locator("details.sure form").get_by_role("button", name="Close").click()
        said("closed")
        assert status()["closed"]
        page.get_by_text("More actions").click()
        assert page.get_by_label("More jobs").count() == 0
        page.locator("details.sure summary", has_text="Cancel").click()
        page.locator("details.sure form").get_by_role("button", name="Cancel").click()
        said("cancelled")
        assert status()["state"] == "failed"
        verbs = [item["what"] for item in api.get(f"/api/v1/history/{number}")["items"] if item["actor"] == "alice"]
        assert verbs == ["submit", "retry", "retry", "retry", "hold", "release", "more", "edit", "close", "cancel"]
        deeds = tab.open(f"/datasets/{number}/history").locator("#rows strong").all_inner_texts()
        assert {"submitted", "tried again", "more jobs", "changed", "cancelled"} <= set(deeds)
        made.close()


def test_tasks_are_chosen_and_tried_again_together(open_tab: Open, tmp_path: Path) -> None:
    with house(tmp_path) as server:
        made = Campaign(server)
        number = made.submit("alice", recipe("first light", 6))
        for _ in range(2):
            made.run(6, fail=1.0)
            server.clock.behind -= 60  # the next try comes later
        tab = open_tab("alice", of=server)
        page = tab.open(f"/datasets/{number}/tasks?state=failed")
        boxes, bar = page.locator("tbody input[type=checkbox]"), page.locator("#chosen")
        total = boxes.count()
        assert total > 3
        expect(bar).to_be_hidden()
        for key in "jxjxk":
            page.keyboard.press(key)
        expect(page.locator("#chosen-n")).to_have_text("2\u00a0tasks chosen")
        page.keyboard.press("x")
        expect(page.locator("#chosen-n")).to_have_text("1\u00a0task chosen")
        page.get_by_label("choose all that are shown").click()
        expect(page.locator("#chosen-n")).to_have_text(f"{total}\u00a0tasks chosen")
        assert faults_of(page) == []
        boxes.first.uncheck()
        bar.get_by_text("Cancel").first.click()
        page.keyboard.press("Escape")
        expect(bar.locator("details")).not_to_have_attribute("open", "")
        expect(bar.locator("summary")).to_be_focused()
        bar.get_by_role("button", name="Retry").click()
        expect(page.locator(".said")).to_contain_text(f"{total - 1}\u00a0tasks: ")
        assert made.person("alice").get(f"/api/v1/status/{number}")["tasks"]["failed"] == 1
        expect(boxes).to_have_count(1)
        made.close()


def test_a_change_is_seen_by_itself(open_tab: Open, tmp_path: Path) -> None:
    with house(tmp_path) as server:
        made = Campaign(server)
        number = made.submit("alice", recipe("first light", 3))
        tab = open_tab("alice", of=server)
        with tab.page.expect_response(lambda answer: ".live" in answer.url) as stream:
            page = tab.open(f"/datasets/{number}")
        assert stream.value.headers["content-encoding"] == "gzip"
        page.evaluate("document.body.dataset.same = 'yes'")
        expect(page).to_have_title(re.compile("^0.% done"))
        made.run(1, leave=1)
        expect(page.locator("#dshead .p-running").first).to_be_visible()
        expect(page.locator("#kind_running text")).to_have_count(1)
        page.get_by_text("More actions").click()
        made.act("alice", "hold", str(number))
        expect(page.get_by_role("button", name="Release")).to_be_visible()
        expect(page).to_have_title(re.compile("^held"))
        expect(page.get_by_label("More jobs"), "what was open stays open").to_be_visible()
        assert page.evaluate("document.body.dataset.same") == "yes", "it was not loaded anew"
        page.get_by_role("button", name="Release").click()
        expect(page.locator(".said")).to_contain_text("released")
        made.close()


def test_of_the_matrix_only_what_changed_is_sent(open_tab: Open, tmp_path: Path) -> None:
    with house(tmp_path) as server:
        made = Campaign(server)
        number = made.submit("alice", recipe("first light", 60))
        bearer = {"Authorization": f"Bearer {server.make_token('read', who='bob')}"}
        with (
            httpx2.Client(base_url=server.url, timeout=30) as http,
            http.stream("GET", f"/datasets/{number}.live", headers=bearer) as stream,
        ):
            events = (line[6:] for line in stream.iter_lines() if line.startswith("data: "))
            whole = next(events)
            assert "column59" in json.loads(whole)["matrix"]
            tab = open_tab("alice", of=server)
            page = tab.open(f"/datasets/{number}")
            made.run(1, leave=1)
            parts: dict[str, str] = {}
            while "generate: running" not in parts.get("column0", ""):  # it is queued for a moment
                parts |= json.loads(next(events))
            assert "matrix" not in parts
            assert [name for name in parts if name.startswith("column")] == ["column0"]
            sent = sum(len(text) for name, text in parts.items() if name.startswith(("column", "kind")))
            assert sent < len(json.loads(whole)["matrix"]) / 4
        running = f"{number}/0/generate: running"
        expect(page.locator("#column0 .cell title").first).to_have_text(running)
        expect(page.locator("#kind_running text")).to_have_text("R")
        assert page.evaluate("document.querySelector('#column0 path') instanceof SVGPathElement")
        page.locator("#column0 .cell").first.click()
        page.wait_for_url(f"**/datasets/{number}/0/generate")
        made.close()


def test_live_parts_that_all_share_hold_no_token_of_anybody(tmp_path: Path) -> None:
    with house(tmp_path) as server, httpx2.Client(base_url=server.url, timeout=30) as http:
        made = Campaign(server)
        number = made.submit("alice", recipe("first light", 3))
        bearer = {"Authorization": f"Bearer {server.make_token('read', who='bob')}"}
        for part in ("", "/errors", "/use", "/graph"):
            with http.stream("GET", f"/datasets/{number}{part}.live", headers=bearer) as stream:
                text = next(line for line in stream.iter_lines() if line.startswith("data: "))
                parts = json.loads(text[6:])
                assert "dshead" in parts
                assert "csrf" not in text
        made.close()


def test_text_of_people_and_programs_is_only_ever_text(open_tab: Open, tmp_path: Path) -> None:
    with house(tmp_path) as server:
        made = Campaign(server)
        text = recipe("first light", 2).replace("name: ", "name: ", 1)
        number = made.submit(
            "alice",
            text + f"# {HOSTILE.encode('ascii', 'ignore').decode().replace(chr(27), '')}\n",
            name="<img src=x onerror=alert(1)>",
        )
        made.act("alice", "hold", str(number), reason=HOSTILE.replace("\x1b", ""))
        made.act("alice", "release", str(number))
        tasks = made.claim(2)
        bad = {"reason": "exit", "exit": 1, "message": HOSTILE, "stderr": f"ValueError: {HOSTILE}\n"}
        made.tell(ended=[{"address": task["address"], "lease": task["lease"], **bad} for task in tasks])
        tab = open_tab("alice", of=server)
        tab.page.on("dialog", lambda _: pytest.fail("a script ran"))
        for part in PARTS:
            tab.open(f"/datasets/{number}{part}")
            assert tab.page.locator("main script, main img").count() == 0
            assert tab.page.locator("h1").inner_text().startswith("<img src=x")
        tab.open(f"/datasets/{number}/recipe")
        assert "<script>alert(1)</script>" in tab.page.locator("pre.source").inner_text()
        tab.open(f"/datasets/{number}/history")
        assert "<script>alert(1)</script>" in tab.page.locator("#rows").inner_text()
        made.close()


def test_pages_are_light(open_tab: Open) -> None:
    tab = open_tab()
    weights: list[int] = []
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: weights.append(int(event["encodedDataLength"])))
    tab.open(f"/datasets/{FAILING}")
    tab.page.wait_for_load_state()
    weights.clear()
    tab.open(f"/datasets/{RUNNING}")
    tab.page.wait_for_load_state()
    assert 0 < sum(weights) < 40_000
