"""A real browser for tests: Debian's Chromium, driven by Playwright, with no network but loopback.

Installed from the distribution's package where it is missing (root on Debian).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.services import apt

PACKAGES = ("chromium", "fonts-dejavu-core")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage",
)  # fmt: skip
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = ("serious", "critical")
PATIENCE = 60_000.0
"""Milliseconds that anything on a page may take on a busy machine before it counts as missing."""


def installed() -> str:
    """Return where Chromium is, installed if it is missing. Raises `RuntimeError` where that fails."""
    apt.install(PACKAGES, lambda: bool(shutil.which("chromium")))
    return str(shutil.which("chromium"))


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser, and end it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=installed(), args=list(FLAGS))
        try:
            yield made
        finally:
            made.close()


def faults_of(page: Page) -> list[str]:
    """Return what axe finds that keeps people out: serious and critical faults, each with where it is."""
    page.evaluate(AXE.read_text())  # as a debugger would: the page's own policy lets no foreign script in
    found = page.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],"
        " resultTypes: ['violations']}).then((found) => found.violations)"  # what is in order is a megabyte
    )
    return [
        f"{fault['id']}: {fault['help']}: {node['target']} {node.get('failureSummary', '')}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"][:3]
    ]
