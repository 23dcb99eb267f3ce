"""Sites and nodes in a real browser: engines, capacity and use, nodes that are not fine, and what operators do."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from nunatak.tasks import site_use
from tests.pages.campaign import CAPACITY, Campaign
from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of


def test_a_site_has_its_engines_with_capacity_and_what_they_hold(tab: Tab, campaign: Campaign) -> None:
    campaign.beat(CAPACITY)
    page = tab.open("/sites")
    site = page.locator(".site", has_text="madison")
    for wanted in ("1 of 1", "icecube", "cores", "GPUs", "alive", "heard of"):
        assert wanted in site.inner_text(), wanted
    assert "1\u00a0engine alive" in page.title()
    page.get_by_role("link", name="all", exact=True).click()
    expect(page.locator("#nodes")).to_be_visible()
    expect(page.get_by_role("button", name="Drain")).to_have_count(0)


def test_use_over_the_last_day_is_drawn_and_said(tab: Tab, campaign: Campaign) -> None:
    campaign.beat(CAPACITY)
    services, now = campaign.house.services, campaign.house.clock()
    for hours in (3, 2, 1):
        services.database.run(lambda tx, at=now - hours * 3600: site_use.keep(tx, at))
    page = tab.open("/sites")
    curve = page.locator(".site", has_text="madison").get_by_role("img", name="cores over the last 2 h")
    expect(curve).to_be_visible()
    assert "in the end" in (curve.get_attribute("aria-label") or "")
    twin = page.request.get(f"{tab.url}/sites.json").json()["sites"][0]
    assert [point["cores"] for point in twin["over_time"]] == [64, 64, 64]


def test_an_operator_drains_a_node_and_gives_it_work_again(open_tab: Open, campaign: Campaign) -> None:
    campaign.see_nodes()
    page = open_tab("root", "read", "admin").open("/sites")
    page.locator(".drain [name=node]").fill("madison/node03")
    page.locator(".drain [name=reason]").fill("<b>fan</b> is broken")
    page.locator(".drain [name=for]").fill("2 h")
    page.get_by_role("button", name="Drain").click()
    said = "node03 at madison is drained since"
    expect(page.locator(".said")).to_contain_text(said)
    node = page.locator(".node", has_text="madison/node03")
    expect(node).to_contain_text("<b>fan</b> is broken")
    assert "1\u00a0node not fine" in page.title()
    assert faults_of(page) == []
    node.locator("summary").click()
    node.get_by_role("button", name="Give it work").click()
    expect(page.locator(".said")).to_contain_text("node03 at madison gets work since")


def test_how_fast_nodes_are_is_shown_for_each_and_for_their_site(tab: Tab) -> None:
    page = tab.open("/sites?all=true")
    expect(page.locator(".site", has_text="madison")).to_contain_text("core speed")
    twin = page.request.get(f"{tab.url}/sites.json?all=true").json()
    of = {node["name"]: node["speed"] for node in twin["nodes"]}
    assert 0.9 <= of["madison/node04"] <= 1.34
    expect(page.locator("#nodes tr", has_text="madison/node04")).to_contain_text(f"{of['madison/node04']:.2f}")
    assert min(of.values()) <= twin["sites"][0]["speed"] <= max(of.values())


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_is_fit_for_everybody(open_tab: Open, width: int, scheme: str) -> None:
    tab = open_tab("root", "read", "admin", viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/sites", "/sites?all=true"):
        page = tab.open(path)
        assert faults_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
