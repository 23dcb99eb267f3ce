"""The tour of a new user: `nunatak up`, and from there by pages alone, from a script to its results, through a failure."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.pages.conftest import Tab, listen
from tests.services.chromium import PATIENCE
from tests.story.installation import started_up

pytestmark = pytest.mark.slow

FIT = """\
import json, pathlib, sys, time

source, target = sys.argv[1:]
lab = pathlib.Path({lab!r})
print("reading", source, flush=True)
end = time.monotonic() + 60
while not (lab / "beam-is-on").exists() and time.monotonic() < end:
    time.sleep(0.05)
channel, *values = pathlib.Path(source).read_text().split()
gains = json.loads((lab / "gains.json").read_text())
pathlib.Path(target).write_text(json.dumps({{"channel": channel, "mean": gains[channel] * sum(map(float, values)) / len(values)}}))
"""


@contextmanager
def up(data: Path) -> Iterator[str]:
    """Start `nunatak up` as a user does, and end it; gives the address it prints for a browser."""
    process = started_up(data, "--stop-tasks", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        said = next((line for line in process.stderr if line.startswith("pages, signed in: ")), "")
        yield said.split()[3]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE / 1000)
        process.stderr.close()


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """What the user has: a script, three files of measurements, and a table of gains that lacks a channel."""
    (tmp_path / "fit.py").write_text(FIT.format(lab=str(tmp_path)))
    for channel, values in (("A", "1 3"), ("B", "2 4"), ("C", "3 5")):
        (tmp_path / f"run-{channel}.txt").write_text(f"{channel} {values}\n")
    (tmp_path / "gains.json").write_text(json.dumps({"A": 10, "B": 100}))
    return tmp_path


def test_a_new_user_comes_from_a_script_to_results(browser: Browser, lab: Path) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    try:
        with up(lab / "data") as address:
            tab = Tab(context.new_page(), address.partition("/sign-in/")[0])
            listen(tab)
            tab.page.goto(address)
            submit(tab.page, lab)
            see_it_run(tab.page, lab)
            understand_a_failure(tab.page)
            mend_and_retry(tab.page, lab)
            assert results(tab.page) == {"run-A.json": 20.0, "run-B.json": 300.0, "run-C.json": 4000.0}
            tab.page.goto("about:blank")  # its stream ends before the server does
        assert tab.complaints == []
    finally:
        context.close()


def submit(page: Page, lab: Path) -> None:
    """The empty list leads to the form; its three fields are filled in, and what would be run is shown."""
    expect(page.get_by_role("heading", name="Nothing has been submitted yet")).to_be_visible()
    expect(page.locator("#q")).to_be_hidden()  # there is nothing to choose from
    page.get_by_role("link", name="New work").click()
    page.get_by_label("Script").set_input_files(lab / "fit.py")
    page.get_by_label("Inputs").set_input_files([lab / f"run-{channel}.txt" for channel in "ABC"])
    page.get_by_label("Outputs").fill("{stem}.json")
    expect(page.locator("#check h2")).to_have_text("3\u00a0jobs of fit")
    expect(page.locator("#check .commands code").first).to_have_text("python3 fit.py run-A.txt run-A.json")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/datasets/1")
    expect(page.locator(".said")).to_contain_text("tries one of 3\u00a0jobs first")


def see_it_run(page: Page, lab: Path) -> None:
    """The first job is seen running, its log as it is written, and its end, on pages that are not loaded anew."""
    expect(page.locator("h1 .state")).to_have_text("running")
    page.evaluate("document.body.dataset.same = 'yes'")
    page.locator("svg.matrix .cell").click()
    page.wait_for_url("**/datasets/1/0/fit")
    page.keyboard.press("l")
    expect(page.locator("#log li")).to_have_text([re.compile("reading run-A.txt")])
    page.go_back()
    expect(page.locator("h1 .state")).to_have_text("running")
    page.evaluate("document.body.dataset.same = 'yes'")
    (lab / "beam-is-on").touch()
    expect(page.locator("h1 .state")).to_have_text("done")
    expect(page.get_by_role("heading", name="It went well")).to_be_visible()
    assert page.evaluate("document.body.dataset.same") == "yes"
    page.get_by_role("link", name="fit", exact=True).click()
    page.get_by_role("button", name="Add the other 2\u00a0jobs").click()
    expect(page.locator(".said")).to_contain_text("dataset 1 has 3\u00a0jobs now")
    expect(page.get_by_role("button", name="Add the other")).to_have_count(0)


def understand_a_failure(page: Page) -> None:
    """One input fails: the dataset says so by itself, the task says why in words, its log opens at the error."""
    expect(page).to_have_title(re.compile("^1 failed"))
    assert "icon-failed" in (page.locator("#icon").get_attribute("href") or "")
    fault = page.locator("#errors .fault")
    expect(fault).to_contain_text("KeyError: 'C'")
    expect(fault).to_contain_text("What helps")
    fault.locator("[data-open]").click()
    page.wait_for_url("**/datasets/1/2/fit/2")
    expect(page.locator(".verdict")).to_contain_text("Whose move: Yours.")
    expect(page.locator(".next")).to_contain_text("It failed, and is not tried again by itself")
    page.keyboard.press("l")
    expect(page.locator("#log .told").last).to_contain_text("KeyError: 'C'")
    expect(page.locator("#log .told").last).to_be_in_viewport()
    page.locator(".crumbs").get_by_role("link", name="fit", exact=True).click()


def mend_and_retry(page: Page, lab: Path) -> None:
    """The table gets its channel, and the task its next try."""
    (lab / "gains.json").write_text(json.dumps({"A": 10, "B": 100, "C": 1000}))
    page.get_by_role("button", name="Retry").click()
    page.wait_for_url("**/datasets/1/2/fit")
    expect(page.locator(".said")).to_contain_text("to be tried again")
    expect(page.locator("h1 .state")).to_have_text("done")
    with page.expect_download() as saved:
        page.get_by_role("link", name="run-C.json").click()
    assert json.loads(saved.value.path().read_text()) == {"channel": "C", "mean": 4000.0}
    page.locator(".crumbs a").first.click()
    expect(page).to_have_title(re.compile("^done"))


def results(page: Page) -> dict[str, float]:
    """Download every file of the list; return the mean in each."""
    page.get_by_role("link", name="Get the files").click()
    found = {}
    for link in page.get_by_role("link", name=re.compile("^Download run-")).all():
        with page.expect_download() as saved:
            link.click()
        found[saved.value.suggested_filename] = json.loads(saved.value.path().read_text())["mean"]
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download all as ZIP").click()
    with zipfile.ZipFile(saved.value.path()) as packed:
        assert {name: json.loads(packed.read(name))["mean"] for name in packed.namelist()} == found
    return found
