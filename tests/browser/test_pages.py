"""What holds on every page: for a screen reader, a keyboard, a phone, both themes, and a network that ends at the service."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from console_page import expect_decision, open_console, result, section

pytestmark = pytest.mark.browser
PAGES = ("compare", "enroll", "verify", "identify", "speakers", "threshold")
MAX_WEIGHT_BYTES = 300_000
PHONE = {"width": 320, "height": 640}


def violations(page: Page) -> str:
    found = Axe().run(page)
    return str(found.generate_report()) if found.violations_count else ""


@pytest.fixture(scope="module")
def some_speaker(address: str, browser_hearing: Callable[[str], Browser]) -> str:
    """Somebody for the pages to show, with more than fits a line."""
    context = browser_hearing("silence").new_context()
    consent = {"purpose": "To see how a long purpose looks on a narrow page", "given_at": "2026-01-01T00:00:00Z"}
    body = {"speaker_id": "x" * 60, "display_name": "Somebody with a name that is long " * 4, "consent": consent}
    assert context.request.post(f"{address}/v1/speakers", data=body).status == 201
    context.close()
    return str(body["display_name"])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_and_a_phone_shows_it_whole(
    page: Page, address: str, some_speaker: str, name: str, theme: str
) -> None:
    page.emulate_media(color_scheme="light" if theme == "light" else "dark", reduced_motion="reduce")
    page.set_viewport_size(PHONE)
    open_console(page, address, name)
    if name == "speakers":
        page.get_by_role("button", name=f"Clips: {some_speaker.strip()}").click()
        expect(section(page).get_by_text("No clip yet.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert violations(page) == ""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("examples", ["One voice twice", "Two voices"])
def test_axe_finds_nothing_in_a_result(page: Page, address: str, theme: str, examples: str) -> None:
    page.emulate_media(color_scheme="light" if theme == "light" else "dark", reduced_motion="reduce")
    page.set_viewport_size(PHONE)
    open_console(page, address)
    page.get_by_role("button", name=examples).click()
    result(page).get_by_text("The numbers").click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert violations(page) == ""


def test_axe_finds_nothing_in_a_dialog(page: Page, address: str, some_speaker: str) -> None:
    open_console(page, address, "speakers")
    page.get_by_role("button", name=f"Erase: {some_speaker.strip()}").click()
    assert violations(page) == ""
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_keyboard_is_enough(page: Page, address: str) -> None:
    open_console(page, address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Record").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_focused()


def test_the_address_names_the_page_and_its_title_gets_the_focus(page: Page, address: str) -> None:
    open_console(page, address)
    page.get_by_role("navigation").get_by_role("link", name="Speakers").click()
    expect(page.get_by_role("heading", name="Speakers", exact=True)).to_be_focused()
    expect(page.get_by_role("link", name="Speakers")).to_have_attribute("aria-current", "page")
    expect(page).to_have_title("Speakers · Vouch")
    page.go_back()
    expect(page.get_by_role("heading", name="Is this the same voice?")).to_be_visible()


def test_it_asks_nobody_but_the_service_and_is_light(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_console(page, address)
    weight = page.evaluate(
        "() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".reduce((sum, entry) => sum + entry.transferSize, 0)"
    )
    assert 10_000 < weight < MAX_WEIGHT_BYTES
    for name in PAGES:
        page.evaluate("(name) => { location.hash = name; }", name)
        expect(page.locator(f"#page-{name}")).to_be_visible()
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}


def test_a_script_that_is_not_a_file_of_the_service_does_not_run(
    browser_hearing: Callable[[str], Browser], address: str
) -> None:
    page = browser_hearing("silence").new_page()  # the browser's complaint is what is wanted here
    open_console(page, address)
    page.evaluate(
        "() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        " document.body.append(script); }"
    )
    assert page.evaluate("() => window.ran") is None
    page.close()


def test_a_decision_survives_another_page(page: Page, address: str) -> None:
    open_console(page, address)
    page.get_by_role("button", name="Two voices").click()
    expect_decision(page, "Rejected", "Two different voices")
    page.get_by_role("link", name="Identify").click()
    page.get_by_role("link", name="Compare").click()
    expect_decision(page, "Rejected", "Two different voices")
