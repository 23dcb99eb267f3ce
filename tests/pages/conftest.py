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


class Contexts:
    """Contexts of the browser. Those without options are used again: their first page, which stays, keeps alive what draws.

    A test begins in each without a cookie, as in a new one; our pages keep nothing else in a browser.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser, self._free = browser, list[BrowserContext]()

    def take(self, url: str, options: dict[str, object]) -> BrowserContext:
        """Return one that nobody uses."""
        if self._free and not options:
            return self._free.pop()
        made = self._browser.new_context(**options)  # type: ignore[arg-type]
        made.set_default_timeout(chromium.PATIENCE)
        if not options:
            made.new_page().goto(f"{url}/sign-in")
        return made

    def give(self, context: BrowserContext, options: dict[str, object]) -> None:
        """Take one back."""
        if options:
            context.close()
            return
        for page in context.pages[1:]:
            page.close()
        context.clear_cookies()
        self._free.append(context)


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Contexts:
    return Contexts(browser)


@pytest.fixture
def open_tab(contexts: Contexts, campaign: Campaign) -> Iterator[Open]:
    """Open tabs that are signed in; none may have had anything to complain of in the end."""
    taken: list[tuple[BrowserContext, dict[str, object]]] = []
    tabs: list[Tab] = []

    def open_one(who: str = "alice", *scopes: str, of: House | None = None, **more: object) -> Tab:
        server = of or campaign.house
        context = contexts.take(server.url, more)
        taken.append((context, more))
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
    for context, options in taken:
        contexts.give(context, options)
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
