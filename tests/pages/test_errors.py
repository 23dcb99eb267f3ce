"""Errors across datasets in a real browser: the matrix, its filters, what the catalogue says, sizes, light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import LOOKS, Open, Tab
from tests.services.chromium import faults_of


def test_equal_failures_of_all_datasets_are_one_line_with_counts_by_site(tab: Tab) -> None:
    page = tab.open("/errors")
    trace = page.locator("tbody[data-row]", has_text="NUN-USER")
    expect(trace).to_have_count(1)
    assert re.search(r"wherever it runs\s+exit 1: exit code <n>\s+\d+\s+\d+\sattempts", trace.inner_text())
    expect(page.get_by_role("columnheader", name="madison")).to_be_visible()
    expect(page.locator("tbody[data-row]", has_text="NUN-OOM")).to_have_count(1)
    assert re.match(r"\d+\skinds of errors in \d+\stasks", page.title())


def test_a_line_says_what_it_means_and_leads_to_datasets_and_examples(tab: Tab) -> None:
    page = tab.open("/errors")
    row = page.locator("tbody[data-row]", has_text="NUN-USER")
    row.get_by_text("what it means").click()
    for wanted in ("What Nunatak does", "What to do", "Whose move: Yours.", "neutrinos, new ice model", "old tables"):
        expect(row).to_contain_text(wanted, use_inner_text=True)
    example = row.locator("li .meta .addr").first
    assert re.fullmatch(r"/datasets/\d+/\d+/\w+/\d", example.get_attribute("href") or "")


def test_filters_are_in_the_address(tab: Tab) -> None:
    page = tab.open("/errors")
    page.locator("#kind").select_option("out-of-memory")
    page.wait_for_url("**kind=out-of-memory*")
    expect(page.locator("tbody[data-row]")).to_have_count(1)
    page.locator("#site").fill("nowhere")
    page.locator("#site").press("Enter")
    page.wait_for_url("**site=nowhere*")
    expect(page.locator("#matrix")).to_contain_text("No error is like that")
    page.goto(tab.url + "/errors?owner=bob")
    expect(page.locator("#matrix")).to_contain_text("No error is like that")


def test_a_number_leads_to_its_signature_at_the_site(tab: Tab) -> None:
    page = tab.open("/errors")
    page.locator("tbody[data-row]", has_text="NUN-OOM").get_by_role("link", name=re.compile("at madison")).click()
    page.wait_for_url("**signature=*")
    assert "site=madison" in page.url
    expect(page.locator("details[open] .explained")).to_be_visible()
    expect(page).to_have_title(re.compile("^NUN-OOM"))


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_is_fit_for_everybody(open_tab: Open, width: int, scheme: str) -> None:
    page = open_tab(viewport={"width": width, "height": 900}, color_scheme=scheme).open("/errors")
    page.locator("summary", has_text="what it means").first.click()
    assert faults_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
