"""A service that asks for keys, is busy, or is gone, as the console meets it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Playwright, Route, expect
from running import HOST, service

from console_page import WAIT_MS, expect_decision, open_console, section

pytestmark = pytest.mark.browser
Opened = Callable[[str], Page]


@dataclass(frozen=True)
class Keyed:
    address: str
    admin: str
    may_compare: str
    """A key that may compare, and nothing else."""


@pytest.fixture(scope="module")
def keyed(playwright: Playwright) -> Iterator[Keyed]:
    with service() as running:
        address = f"http://{HOST}:{running.port}"
        request = playwright.request.new_context()

        def key(scope: str, **headers: str) -> str:
            answer = request.post(f"{address}/v1/keys", data={"name": scope, "scopes": [scope]}, headers=headers)
            assert answer.status == 201, answer.text()
            return str(answer.json()["key"])

        admin = key("admin")
        yield Keyed(address, admin, key("compare", **{"X-API-Key": admin}))
        request.dispose()


def give(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Use the key").click()


def test_a_key_is_asked_for_and_kept_for_the_tab_only(page_hearing: Opened, keyed: Keyed) -> None:
    page = page_hearing("silence")
    page.goto(keyed.address)
    expect(page.get_by_role("dialog", name="This service asks for a key")).to_be_visible()
    give(page, "vouch_wrong_key")
    expect(page.get_by_role("dialog")).to_contain_text("It did not take the last one")
    give(page, keyed.may_compare)
    page.get_by_role("button", name="Two voices").click()
    expect_decision(page, "Rejected", "Two different voices")

    page.reload()
    page.get_by_role("button", name="Two voices").click()
    expect_decision(page, "Rejected", "Two different voices")
    assert page.evaluate("() => localStorage.length + document.cookie.length") == 0

    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("dialog", name="This service asks for a key")).to_be_visible()
    other = page.context.new_page()
    other.goto(keyed.address)
    expect(other.get_by_role("dialog", name="This service asks for a key")).to_be_visible()


def test_a_missing_scope_is_named(page_hearing: Opened, keyed: Keyed) -> None:
    page = page_hearing("silence")
    page.goto(f"{keyed.address}/#speakers")
    give(page, keyed.may_compare)
    expect(section(page).get_by_role("alert")).to_contain_text("Your key lacks the scope “enroll”.")
    page.get_by_role("link", name="Verify").click()
    expect(page.get_by_placeholder("Speaker ID")).to_be_visible()


def test_without_a_key_it_says_so(page_hearing: Opened, keyed: Keyed) -> None:
    page = page_hearing("silence")
    page.goto(keyed.address)
    page.get_by_role("button", name="Not now").click()
    expect(page.get_by_role("alert")).to_contain_text("Without a valid key the service does not answer.")


@pytest.mark.parametrize(
    ("status", "why"), [(503, "The service is busy or starting."), (429, "That was a lot within a minute.")]
)
def test_a_busy_service_is_waited_for(page: Page, address: str, status: int, why: str) -> None:
    n_asked = 0

    def busy_once(route: Route) -> None:
        nonlocal n_asked
        n_asked += 1
        if n_asked > 1:
            route.continue_()
        else:
            route.fulfill(status=status, headers={"Retry-After": "2"}, json={"code": "overloaded", "detail": "Full."})

    page.route("**/v1/compare", busy_once)
    open_console(page, address)
    page.get_by_role("button", name="Two voices").click()
    expect(page.get_by_text(f"{why} Trying again in 2 s.")).to_be_visible(timeout=WAIT_MS)
    expect_decision(page, "Rejected", "Two different voices")
    expect(page.locator("#waiting")).to_be_hidden()
    assert n_asked == 2


def test_a_service_that_is_gone_is_told_in_words(page: Page, address: str) -> None:
    page.route("**/v1/compare", lambda route: route.abort())
    open_console(page, address)
    page.get_by_role("button", name="Two voices").click()
    expect(section(page).get_by_role("alert")).to_contain_text("The service cannot be reached.")
    page.unroute("**/v1/compare")
    page.get_by_role("button", name="Try again").click()
    expect_decision(page, "Rejected", "Two different voices")


def test_a_flag_is_a_warning_in_words_and_an_unknown_one_is_shown(page: Page, address: str) -> None:
    def flagged(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"flags": ["replay_suspected", "new_kind"]})

    page.route("**/v1/compare", flagged)
    open_console(page, address)
    page.get_by_role("button", name="One voice twice").click()
    expect_decision(page, "Accepted", "The same voice")
    expect(section(page).get_by_text("This may be a recording played back")).to_be_visible()
    expect(section(page).get_by_text("The service warns: new kind.")).to_be_visible()
