"""The list of speakers: read, renamed, taken back, and safe from what people call themselves."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from console_page import open_console, section
from shipped import CLIPS

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def nobody_known(page: Page, address: str) -> None:
    """Erases whom other tests left behind."""
    while speakers := page.request.get(f"{address}/v1/speakers").json()["speakers"]:
        for speaker in speakers:
            assert page.request.delete(f"{address}/v1/speakers/{speaker['speaker_id']}").status == 204


def test_nobody_yet_leads_to_enrolling(page: Page, address: str) -> None:
    open_console(page, address, "speakers")
    page.get_by_role("link", name="Enroll the first speaker").click()
    expect(page.get_by_role("heading", name="Enroll a speaker")).to_be_focused()


def test_names_are_text_and_never_markup(page: Page, address: str) -> None:
    body = {"speaker_id": "markup", "display_name": "<img src=x onerror=window.ran=1>"}
    assert page.request.post(f"{address}/v1/speakers", data=body).status == 201
    open_console(page, address, "speakers")
    expect(page.get_by_role("heading", name=body["display_name"])).to_be_visible()
    assert page.evaluate("() => window.ran") is None


def test_speakers_come_page_by_page_and_are_renamed_in_place(page: Page, address: str) -> None:
    for i in range(25):
        body = {"speaker_id": f"many-{i}", "display_name": f"Many {i}"}
        assert page.request.post(f"{address}/v1/speakers", data=body).status == 201
    open_console(page, address, "speakers")
    items = section(page).locator(".speaker")
    expect(items).to_have_count(20)
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("heading", name="Many 24")).to_be_visible()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()

    page.get_by_role("button", name="Rename: Many 24").click()
    page.get_by_label("Name", exact=True).last.fill("One more")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.get_by_role("heading", name="One more")).to_be_visible()
    assert page.request.get(f"{address}/v1/speakers/many-24").json()["display_name"] == "One more"


def test_an_enrollment_is_taken_back(page: Page, address: str) -> None:
    assert page.request.post(f"{address}/v1/speakers", data={"speaker_id": "zoe"}).status == 201
    clip = {"name": "a.ogg", "mimeType": "audio/ogg", "buffer": (CLIPS / "speaker-a-2.ogg").read_bytes()}
    assert page.request.post(f"{address}/v1/speakers/zoe/enrollments", multipart={"audio": clip}).status == 201
    open_console(page, address, "enroll/zoe")
    expect(section(page).get_by_text("zoe · enrolled")).to_be_visible()
    open_console(page, address, "speakers")
    page.get_by_role("button", name="Clips: zoe").click()
    page.get_by_role("button", name="Take back the clip of").click()
    page.get_by_role("dialog").get_by_role("button", name="Take back").click()
    expect(section(page).get_by_text("No clip yet.")).to_be_visible()
    assert page.request.get(f"{address}/v1/speakers/zoe").json()["status"] == "empty"


def test_one_that_the_service_has_lost_meanwhile_is_told_in_words(page: Page, address: str) -> None:
    assert page.request.post(f"{address}/v1/speakers", data={"speaker_id": "gone"}).status == 201
    open_console(page, address, "speakers")
    expect(page.get_by_role("button", name="Clips: gone")).to_be_visible()
    assert page.request.delete(f"{address}/v1/speakers/gone").status == 204
    page.get_by_role("button", name="Clips: gone").click()
    expect(section(page).get_by_role("alert")).to_contain_text("There is no such speaker; perhaps it was erased.")
