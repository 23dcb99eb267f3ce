"""Jobs, tasks, attempts and their logs in a real browser, over the campaign and hostile logs."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from nunatak.core.address import parse
from tests.pages.campaign import TRACE, Campaign
from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror=alert(1)>\n"
    "\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b[2Jplain \x1b[1;44mbold on blue\x1b[0m\n"
    "user\u202egnp.exe \u200bzero\n"
    "10%\r50%\r100%\n"
)


COURSE = json.dumps(
    {"step": 8.0, "memory": [10**8 * min(n, 11) for n in range(1, 33)], "cpu": [0.2, *[0.97] * 30, 0.6]}
)


def send(campaign: Campaign, address: str, stream: str, text: str, *, ended: bool) -> None:
    """Keep a log, as the route of engines does."""
    logs = campaign.house.services.logs
    logs.append([(parse(address), stream, 0, text.encode())])
    if ended:
        logs.finish([parse(address)])


def attempts(campaign: Campaign, dataset: int, job: int, task: str) -> list[dict[str, object]]:
    with campaign.house.client() as client:
        return list(client.status(f"{dataset}/{job}/{task}").plain["attempts"])


@pytest.fixture(scope="module")
def failed(campaign: Campaign) -> str:
    """The address of a failed attempt with a log in which the error is far from the end."""
    address = "4/7/propagate"
    number = len(attempts(campaign, 4, 7, "propagate"))
    text = "".join(f"photon bunch {n} propagated\n" for n in range(3000)) + TRACE + "cleaning up\n" * 20 + HOSTILE
    send(campaign, "1/3/generate#1", "course", COURSE, ended=True)
    send(campaign, f"{address}#{number}", "stdout", "hello\n", ended=False)
    send(campaign, f"{address}#{number}", "stderr", text, ended=True)
    return f"{address}/{number}"


def test_a_failed_task_says_how_it_ended_and_what_to_do(tab: Tab, failed: str) -> None:
    page = tab.open("/datasets/4/7/propagate")
    text = page.locator("main").inner_text()
    assert page.title().startswith("failed: ")
    assert "icon-failed" in (page.locator("#icon").get_attribute("href") or "")
    for wanted in ("NUN-USER", "What to do", "madison", "Used of what was asked for"):
        assert wanted in text
    assert "python propagate.py muons.parquet light.parquet" in text
    expect(page.locator(".tabs a[aria-current]")).to_have_count(1)
    first = page.locator(".tabs a").first
    first.click()
    page.wait_for_url("**/4/7/propagate/1")
    expect(page.locator(".tabs a[aria-current]")).to_contain_text("Attempt 1")


def test_retry_is_done_and_a_task_that_waits_says_for_what(open_tab: Open, campaign: Campaign) -> None:
    tab = open_tab()
    page = tab.open("/datasets/4/19/propagate")
    page.keyboard.press("r")
    expect(page.get_by_role("button", name="Retry")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".said")).to_contain_text("to be tried again")
    with campaign.house.client() as client:
        assert client.status("4/19/propagate").plain["state"] == "ready"
    page = tab.open("/datasets/4/19/detect")
    assert "propagate is done: it is" in page.locator("#conditions").inner_text()
    page.get_by_role("link", name=re.compile("propagate is done")).click()
    page.wait_for_url("**/4/19/propagate")
    expect(page.locator("#sentence")).to_contain_text("Next: attempt")
    page.get_by_role("link", name="each condition, and who is ahead").click()
    page.wait_for_url("**/why?address=4/19/propagate")
    expect(page.locator(".checks li")).to_have_count(10)
    page.get_by_role("link", name="what if there were more slots").click()
    page.wait_for_url("**/what-if?dataset=4")
    expect(page.locator("h1")).to_contain_text("atmospheric muons, old tables")


def test_a_task_is_held_released_cancelled_and_brought_back(tab: Tab, campaign: Campaign) -> None:
    address = "7/90/generate"
    page = tab.open(f"/datasets/{address}")
    with campaign.house.client() as client:

        def state() -> str:
            return str(client.status(address).plain["state"])

        page.get_by_role("button", name="Hold").click()
        expect(page.locator(".said")).to_contain_text("held")
        assert state() == "held"
        page.get_by_role("button", name="Release").click()
        expect(page.locator(".said")).to_contain_text("released")
        assert state() == "ready"
        page.locator("summary", has_text="Cancel").click()
        page.locator("details.sure").get_by_role("button", name="Cancel").click()
        expect(page.locator(".said")).to_contain_text("cancelled")
        assert state() == "failed"
        page.get_by_role("button", name="Retry").click()
        expect(page.locator(".said")).to_contain_text("to be tried again")
        assert state() == "ready"


def test_the_tasks_of_a_job_and_twins(tab: Tab) -> None:
    page = tab.open("/datasets/4/7")
    line = page.locator(".tasks .row", has_text="propagate")
    expect(line).to_contain_text("attempt 2 on node")
    expect(line).to_contain_text("exit code 1")
    page = tab.open("/datasets/1/3")
    assert page.title().startswith("done")
    assert page.locator(".tasks .name").all_inner_texts() == ["generate", "propagate", "detect"]
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/1/3/generate")
    found = page.request.get(f"{tab.url}/datasets/1/3/generate.json").json()
    assert (found["state"], found["attempts"][0]["against"][0]["name"]) == ("done", "memory")
    assert page.request.get(f"{tab.url}/datasets/1/3/generate/9").status == 404


def test_what_was_used_over_time_is_drawn_and_said(tab: Tab, failed: str) -> None:
    page = tab.open("/datasets/1/3/generate")
    curve = page.get_by_role("img", name=re.compile("^memory over 4 min"))
    expect(curve).to_be_visible()
    assert "1.1\u00a0GB at most" in (curve.get_attribute("aria-label") or "")
    expect(page.get_by_role("img", name=re.compile("^processors over"))).to_be_visible()
    tab.open(f"/datasets/{failed}")
    expect(page.locator(".course")).to_have_count(0)


def test_a_log_opens_at_the_first_real_error(tab: Tab, failed: str) -> None:
    page = tab.open(f"/datasets/{failed.rpartition('/')[0]}")
    page.keyboard.press("l")
    page.wait_for_url(f"**/{failed}/log")
    expect(page.locator(".top nav [aria-current]")).to_have_text("My work")
    assert page.locator(".crumbs").inner_text().endswith(" / attempt 2 \u00b7 log of attempt 1")
    told = page.locator("#log .told")
    expect(told.last).to_have_text(re.compile("KeyError: 'spice_ftp_v3'"))
    expect(told.last).to_be_in_viewport()
    assert 2900 < int(told.first.get_attribute("data-line") or 0) < 3010
    expect(page).to_have_title(re.compile("stderr"))


def test_hostile_text_is_shown_as_text(tab: Tab, failed: str) -> None:
    page = tab.open(f"/datasets/{failed}/log?stream=stderr&line=999999")
    log = page.locator("#log")
    expect(log).to_contain_text("<script>window.hacked = 1</script><img src=x onerror=alert(1)>")
    assert page.locator("#log script, #log img").count() == 0
    assert page.evaluate("window.hacked") is None
    assert log.locator(".i1", has_text="red").count() == 1
    assert log.locator(".g4.bold", has_text="bold on blue").count() == 1
    assert log.locator(".esc").all_inner_texts() == ["\\u202e", "\\u200b"]
    expect(log.locator("li").last).to_contain_text("[written over 2\u00d7] 100%")
    assert "title" not in log.inner_text()


def test_the_whole_log_is_searched_and_found_lines_have_addresses(tab: Tab, failed: str) -> None:
    page = tab.open(f"/datasets/{failed}/log?stream=stderr")
    page.keyboard.press("/")
    page.keyboard.type("BUNCH 123")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=BUNCH+123*")
    expect(page.locator(".hits li")).to_have_count(11)
    expect(page.locator("#log .hit").first).to_contain_text("photon bunch 123 ")
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.wait_for_url("**line=1231*#L1231")
    expect(page.locator("#L1231")).to_contain_text("photon bunch 1230 ")
    page.keyboard.press("N")
    page.wait_for_url("**#L124")
    page.locator("#L125 .n").click()
    page.locator("#L128 .n").click(modifiers=["Shift"])
    page.wait_for_url("**line=125#L125-L128")
    tab.open("/about")
    page.goto(f"{tab.url}/datasets/{failed}/log?stream=stderr&line=125#L125-L128")
    expect(page.locator("#log .marked")).to_have_count(4)


def test_a_log_is_read_and_saved_without_javascript(open_tab: Open, failed: str) -> None:
    tab = open_tab("alice", java_script_enabled=False)
    page = tab.open(f"/datasets/{failed}/log?stream=stderr&at=0")
    assert page.locator("#log li").first.inner_text().split()[:2] == ["1", "photon"]
    lines = page.locator("#log li").count()
    page.get_by_role("link", name="lines after").click()
    expect(page.locator("#log li").first).to_have_attribute("data-line", str(lines + 1))
    with page.expect_download() as saved:
        page.get_by_role("link", name="download").click()
    text = saved.value.path().read_bytes().decode()
    assert text.startswith("photon bunch 0 ")
    assert text.endswith(HOSTILE)
    assert saved.value.suggested_filename == failed.replace("/", "-") + ".stderr.txt"


def test_a_log_that_grows_is_followed(tab: Tab, campaign: Campaign) -> None:
    with campaign.house.client() as client:
        address = next(item.plain["address"] for item in client.tasks(6, state="running"))
    send(campaign, f"{address}#1", "stdout", "begun\n", ended=False)
    page = tab.open(f"/datasets/{address}/1/log")
    expect(page.locator("#log li")).to_have_text([re.compile("begun")])
    send(campaign, f"{address}#1", "stdout", "begun\nhalf", ended=False)
    expect(page.locator("#log li")).to_have_text([re.compile("begun"), re.compile("half")])
    send(campaign, f"{address}#1", "stdout", "begun\nhalf a line\n<b>x</b>\n", ended=False)
    expect(page.locator("#log li").nth(1)).to_contain_text("half a line")
    expect(page.locator("#log li").nth(2)).to_contain_text("<b>x</b>")
    expect(page.locator("#size_stdout")).to_have_text("27 B")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_nothing_keeps_people_out_and_nothing_sticks_out(open_tab: Open, failed: str, width: int, scheme: str) -> None:
    tab = open_tab(viewport={"width": width, "height": 900}, color_scheme=scheme)
    paths = ("/datasets/4/7", f"/datasets/{failed}", "/datasets/4/7/detect", "/datasets/1/3/generate",
             f"/datasets/{failed}/log", f"/datasets/{failed}/log?stream=stderr&q=clean&line=9999")  # fmt: skip
    for path in paths:
        page = tab.open(path)
        assert faults_of(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
