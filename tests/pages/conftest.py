"""A server with a small campaign, and a browser that is signed in, for the tests of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.pages.campaign import Campaign, House, fill, house
from tests.services import chromium


@dataclass
class Tab:
    """A page in the browser, and what its console complained of."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a path."""
        self.page.goto(self.url + path)
        return self.page


Open = Callable[..., Tab]
LOOKS = ((1400, "light"), (400, "dark"))
"""Every width and every colour scheme: where things are is a matter of the one, how they stand out of the other."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium.browser() as made:
        yield made


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """A server with datasets in every state."""
    with house(tmp_path_factory.mktemp("pages")) as found:
        made = fill(found)
        yield made
        made.close()


@pytest.fixture
def open_tab(browser: Browser, campaign: Campaign) -> Iterator[Open]:
    """Open tabs that are signed in; none may have had anything to complain of in the end."""
    contexts: list[BrowserContext] = []
    tabs: list[Tab] = []

    def open_one(who: str = "alice", *scopes: str, of: House | None = None, **more: object) -> Tab:
        server = of or campaign.house
        context = browser.new_context(**more)  # type: ignore[arg-type]
        context.set_default_timeout(20_000)
        contexts.append(context)
        tab = Tab(context.new_page(), server.url)
        tabs.append(tab)
        listen(tab)
        if who:
            token = server.make_token(*(scopes or ("read", "submit")), who=who)
            with server.client(token) as client:
                tab.page.goto(client.sign_in_url())
        return tab

    yield open_one
    complaints = [text for tab in tabs for text in tab.complaints]
    for context in contexts:
        context.close()
    assert complaints == []


def listen(tab: Tab) -> None:
    """Note every error of the console, of scripts, and every answer that is a fault of the server."""
    tab.page.on("console", lambda said: tab.complaints.append(said.text) if said.type in ("error", "warning") else None)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("response", lambda answer: tab.complaints.append(answer.url) if answer.status >= 500 else None)


@pytest.fixture
def tab(open_tab: Open) -> Tab:
    """One tab, signed in as alice."""
    return open_tab()
