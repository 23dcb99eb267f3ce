"""A real browser for tests: Debian's Chromium, driven by Playwright, with no network but loopback.

Installed from the distribution's package where it is missing (root on Debian).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PACKAGES = ("chromium", "fonts-dejavu-core")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage",
)  # fmt: skip
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SERIOUS = ("serious", "critical")


def installed() -> str:
    """Return where Chromium is, installed if it is missing; one process at a time. Raises `RuntimeError` where that fails."""
    found = shutil.which("chromium")
    if found:
        return found
    with Path(tempfile.gettempdir(), "nunatak-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shutil.which("chromium"):
            environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            wait = ("-o", "DPkg::Lock::Timeout=600")
            for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES)):
                done = subprocess.run(
                    ("apt-get", *wait, *words), env=environ, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise RuntimeError(f"Chromium cannot be installed: {done.stdout}{done.stderr}")
    return str(shutil.which("chromium"))


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser, and end it."""
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
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{fault['id']}: {fault['help']}: {node['target']} {node.get('failureSummary', '')}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"][:3]
    ]
