"""People at the microphone: compared, enrolled, verified, identified and erased, by what can be seen and pressed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import signals
from console_page import (
    WAIT_MS,
    begin_recording,
    enroll,
    expect_decision,
    open_console,
    record,
    result,
    section,
)
from shipped import CLIPS

pytestmark = pytest.mark.browser
Opened = Callable[[str], Page]
COUNT_CLICKS = """
window.nClicks = 0;
addEventListener("click", (event) => { if (event.isTrusted) window.nClicks += 1; }, true);
"""


def n_clicks(page: Page) -> int:
    """Of a person, since the page was loaded with COUNT_CLICKS."""
    return int(page.evaluate("() => window.nClicks"))


def test_four_clicks_from_the_address_to_a_decision(page_hearing: Opened, address: str) -> None:
    page = page_hearing("a")
    page.add_init_script(COUNT_CLICKS)
    open_console(page, address, "")
    record(page, speech_s=3.0)
    record(page, speech_s=3.0)
    expect_decision(page, "Accepted", "The same voice")
    assert n_clicks(page) == 4
    gauge = result(page).get_by_role("meter", name="Probability that it is one voice")
    at = int(gauge.get_attribute("aria-valuenow") or "")
    assert at >= 66, "accepted, so at the threshold of `eer` or above"
    assert "the threshold is 66 %" in (gauge.get_attribute("aria-valuetext") or "")
    for label in ("Clip A", "Clip B"):
        clip = page.get_by_role("article", name=label)
        expect(clip.get_by_role("img", name=f"Waveform of {label}")).to_be_visible()
        expect(clip.get_by_role("img", name=f"Mel spectrogram of {label}")).to_be_visible()
        expect(clip.get_by_role("definition")).to_have_count(3)
    expect(page.locator("#announcer")).to_contain_text("Accepted: The same voice.")


def test_the_examples_need_no_microphone_and_one_click(page: Page, address: str) -> None:
    page.add_init_script(COUNT_CLICKS)
    open_console(page, address, "")
    page.get_by_role("button", name="Two voices").click()
    expect_decision(page, "Rejected", "Two different voices")
    assert n_clicks(page) == 1
    page.get_by_role("button", name="One voice twice").click()
    expect_decision(page, "Accepted", "The same voice")


def test_another_threshold_decides_anew(page: Page, address: str) -> None:
    open_console(page, address)
    page.get_by_role("button", name="One voice twice").click()
    expect_decision(page, "Accepted", "The same voice")
    page.get_by_label("How strict", exact=True).select_option("fmr_1e-2")
    expect(section(page).get_by_text("1 in 100 strangers gets in", exact=False).first).to_be_visible()
    expect(result(page).locator(".gauge-threshold")).to_have_text("threshold 94 %", timeout=WAIT_MS)


def test_enroll_verify_identify_and_erase(page_hearing: Opened, address: str) -> None:
    owner, stranger = page_hearing("a"), page_hearing("b")
    enroll(owner, address, "Ada", "ada")

    result(owner).get_by_role("link", name="Verify now").click()
    expect(owner.get_by_label("Speaker", exact=True)).to_have_value("ada")
    begin_recording(owner)
    expect_decision(owner, "Accepted", "It sounds like Ada")

    for page, decision, headline in (
        (owner, "Accepted", "It sounds like Ada"),
        (stranger, "Rejected", "Nobody who is enrolled"),
    ):
        open_console(page, address, "identify")
        record(page, speech_s=3.0)
        page.get_by_role("button", name="Identify").click()
        expect_decision(page, decision, headline)
        expect(result(page).get_by_role("listitem").first).to_contain_text("Ada")

    open_console(owner, address, "speakers")
    owner.get_by_role("button", name="Erase: Ada").click()
    erase = owner.get_by_role("button", name="Erase for good")
    expect(erase).to_be_disabled()
    owner.get_by_label("Type ada to confirm").fill("ad")
    expect(erase).to_be_disabled()
    owner.get_by_label("Type ada to confirm").fill("ada")
    erase.click()
    expect(section(owner).get_by_text("Ada")).to_have_count(0)
    assert owner.request.get(f"{address}/v1/speakers/ada").status == 404


def test_another_voice_is_not_enrolled_beside_the_first(page_hearing: Opened, address: str) -> None:
    page = page_hearing("a")
    enroll(page, address, "Bea", "bea")
    page.get_by_role("article").locator("input[type=file]").set_input_files(CLIPS / "speaker-b-1.ogg")
    section(page).get_by_role("button", name="Enroll", exact=True).click()
    expect(section(page).get_by_role("alert")).to_contain_text(
        "does not sound like the speaker's others", timeout=WAIT_MS
    )
    assert page.request.get(f"{address}/v1/speakers/bea").json()["enrollment_count"] == 1


def test_an_answer_goes_with_what_it_was_about(page: Page, address: str) -> None:
    for speaker_id in ("ann", "bob"):
        assert page.request.post(f"{address}/v1/speakers", data={"speaker_id": speaker_id}).status == 201
        form = {"audio": CLIPS / "speaker-a-2.ogg"}
        assert page.request.post(f"{address}/v1/speakers/{speaker_id}/enrollments", multipart=form).status == 201
    open_console(page, address, "verify/ann")
    section(page).locator("input[type=file]").set_input_files(CLIPS / "speaker-a-3.ogg")
    page.get_by_role("button", name="Verify").click()
    expect_decision(page, "Accepted", "It sounds like ann")
    page.get_by_label("Speaker", exact=True).select_option("bob")
    expect(result(page)).to_have_count(0)

    open_console(page, address, "compare")
    page.get_by_role("button", name="One voice twice").click()
    expect_decision(page, "Accepted", "The same voice")
    page.get_by_role("article", name="Clip A").get_by_role("button", name="Remove").click()
    expect(result(page)).to_have_count(0)
    expect(section(page).locator(".busy")).to_have_count(0)


def test_files_are_taken_and_a_bad_one_is_told_in_words(page: Page, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "letter.txt"
    broken.write_text("Dear service,")
    flac = tmp_path / "clip.flac"
    flac.write_bytes(signals.flac(signals.white_noise(2.0)))
    open_console(page, address)
    files = section(page).locator("input[type=file]")
    files.nth(0).set_input_files(flac)
    expect(page.get_by_role("img", name="Waveform of Clip A")).to_be_visible()
    files.nth(1).set_input_files(broken)
    expect(page.get_by_role("article", name="Clip B")).to_contain_text("No preview")
    expect(page.get_by_role("article", name="Clip B").get_by_role("button", name="Play")).to_be_hidden()
    expect(section(page).get_by_role("alert")).to_contain_text("a format that the service does not read")


def test_a_clip_plays_before_it_is_sent(page_hearing: Opened, address: str) -> None:
    page = page_hearing("a")
    open_console(page, address, "identify")
    record(page, speech_s=2.0, stop_by_key=True)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_role("button", name="Play")).to_be_visible(timeout=WAIT_MS)


def test_without_the_microphone_it_says_what_to_do(page: Page, address: str) -> None:
    open_console(page, address)
    page.evaluate(
        "() => navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.get_by_role("button", name="Record").first.click()
    expect(page.get_by_role("article", name="Clip A").get_by_role("alert")).to_contain_text(
        "Allow it in the address bar"
    )
    expect(page.get_by_role("button", name="Record").first).to_be_visible()
