"""Writes the pictures of the pages: a small campaign in a server of its own, looked at with a real browser."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.pages.campaign import WHOLE, Campaign, House, fill, house
from tests.services import chromium

from nunatak.tasks import site_use

PICTURES = Path(os.environ.get("NUNATAK_PICTURES") or Path(__file__).parents[1] / "docs" / "pictures")
PAGES = {
    "work": "/datasets",
    "dataset": "/datasets/5",
    "dataset-errors": "/datasets/2/errors",
    "dataset-use": "/datasets/5/use",
    "dataset-graph": "/datasets/5/graph",
    "edit": "/datasets/5/edit",
    "new": "/new?mode=recipe",
    "errors": "/errors",
    "sites": "/sites?all=true",
    "usage": "/usage",
    "why": "/why?address=7/60/generate",
    "what-if": "/what-if?dataset=7&slots=100&priority=2",
    "profile": "/profile",
    "about": "/about",
    "task": "/datasets/4/7/propagate",
    "job": "/datasets/4/7",
}
"""Each picture and the page it is of."""
LOOKS = {"": (1400, "light"), "-dark": (1400, "dark"), "-phone": (400, "light")}
ALL_LOOKS = ("work", "dataset", "errors", "sites")
"""Pages that are shown dark and on a phone, too."""


def main(only: list[str]) -> None:
    """Write the pictures that are named, or all."""
    with tempfile.TemporaryDirectory() as directory, house(Path(directory)) as server, chromium.browser() as browser:
        campaign = fill(server)
        use_sites(server, campaign)
        for suffix, (width, scheme) in LOOKS.items():
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            with server.client(server.make_token("read", "submit", who="alice")) as client:
                page.goto(client.sign_in_url())
            for name, path in PAGES.items():
                if (not only or name in only) and (not suffix or name in ALL_LOOKS):
                    page.goto(server.url + path)
                    page.wait_for_load_state()
                    if name == "what-if":  # its answer comes when it is worked out
                        page.wait_for_selector(".ranges", timeout=120_000)
                    if name == "edit":
                        written = page.get_by_label("Recipe")
                        written.fill(written.input_value().replace("tries: 2", "tries: 4"))
                        page.wait_for_selector("#check .diff ins")
                    page.screenshot(path=PICTURES / f"{name}{suffix}.png", full_page=True)
                    print(f"docs/pictures/{name}{suffix}.png")
            context.close()
        campaign.close()


def use_sites(server: House, campaign: Campaign) -> None:
    """Let half a day of use be kept, and say what is in use now: as much as runs."""
    services, now, total = server.services, server.clock(), {**WHOLE, "cpu": 128}
    for at in range(12 * 6, -1, -1):
        busy = 95 if at < 3 else 40 + at * 7 % 60
        free = {**total, "cpu": 128 - busy, "gpu": 8 - busy // 16, "memory": 10**12 - busy * 4 * 10**9}
        campaign.beat({"total": total, "free": free, "queue": 1000})
        services.database.run(lambda tx, then=now - at * 600: site_use.keep(tx, then))


if __name__ == "__main__":
    main(sys.argv[1:])
