"""Verifying while somebody speaks: the running answer, the decision that ends the recording, and what is done without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIRequestContext, Page, Playwright, Request, WebSocketRoute, expect
from running import HOST, service

from console_page import (
    WAIT_MS,
    begin_recording,
    expect_decision,
    hear,
    open_console,
    record_silence,
    result,
    section,
    speech_of,
)
from shipped import CLIPS

pytestmark = pytest.mark.browser
Opened = Callable[[str], Page]
STREAM = "**/verify/stream"
PHONE = {"width": 320, "height": 640}
RECORDED = r"([\d.]+) s Space stops"


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What person `a` says to the microphone."""
    return speech_of(tmp_path_factory.mktemp("voice"), "a")


@pytest.fixture(scope="module")
def claimed(playwright: Playwright, address: str, voice: Path) -> str:
    """The ID of a speaker who is person `a`."""
    request = playwright.request.new_context()
    enrolled(request, address, "liv", voice)
    request.dispose()
    return "liv"


def enrolled(request: APIRequestContext, address: str, speaker_id: str, clip: Path, **headers: str) -> None:
    body = {"speaker_id": speaker_id}
    assert request.post(f"{address}/v1/speakers", data=body, headers=headers).status == 201
    path = f"{address}/v1/speakers/{speaker_id}/enrollments"
    assert request.post(path, multipart={"audio": clip}, headers=headers).status == 201


def uploads(page: Page) -> list[str]:
    """Grows with each clip that is sent whole."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/verify"):
            sent.append(request.url)

    page.on("request", note)
    return sent


def so_far(page: Page) -> Any:
    return section(page).get_by_role("region", name="So far")


def stop(page: Page) -> None:
    section(page).get_by_role("button", name="Stop").click()


@pytest.mark.parametrize(
    ("whom", "decision", "headline"),
    [("a", "Accepted", "It sounds like liv"), ("b", "Rejected", "It does not sound like liv")],
)
def test_the_decision_ends_the_recording(
    page_hearing: Opened, address: str, claimed: str, whom: str, decision: str, headline: str
) -> None:
    page = page_hearing(whom)
    sent = uploads(page)
    open_console(page, address, f"verify/{claimed}")
    expect(page.get_by_label("Speaker", exact=True)).to_have_value(claimed)
    begin_recording(page)
    expect_decision(page, decision, headline)
    expect(section(page).get_by_role("button", name="Stop")).to_be_hidden()
    expect(section(page).get_by_role("button", name="Play")).to_be_visible()
    expect(so_far(page)).to_be_hidden()
    expect(page.locator("#announcer")).to_contain_text(f"{decision}: {headline}.")
    assert sent == []


def test_silence_is_inconclusive_when_it_ends(page: Page, address: str, claimed: str) -> None:
    sent = uploads(page)
    open_console(page, address, f"verify/{claimed}")
    expect(page.get_by_label("Speaker", exact=True)).to_have_value(claimed)
    record_silence(page, 2.0)
    expect_decision(page, "Inconclusive", "It cannot be told yet")
    expect(result(page)).to_contain_text("speak 1 s more. No speech was heard")
    assert sent == []


@dataclass
class FakeStream:
    """The service's side of a stream, which says what the test has it say."""

    page: Page

    def __post_init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.sockets: list[WebSocketRoute] = []
        self.page.route_web_socket(STREAM, self._accept)

    def _accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(self._hear)

    def _hear(self, message: str | bytes) -> None:
        self.heard.append(message)

    def say(self, **message: object) -> None:
        self.sockets[-1].send(json.dumps(message))

    def run(self, probability: float, llr: float, speech_s: float) -> None:
        self.say(type="running", probability=probability, llr=llr, score=0.5, audio={"speech_s": speech_s})


def test_the_gauge_follows_what_the_service_says(page_hearing: Opened, address: str, claimed: str) -> None:
    page = page_hearing("b")
    stream = FakeStream(page)
    page.set_viewport_size(PHONE)
    page.emulate_media(reduced_motion="reduce")
    open_console(page, address, f"verify/{claimed}")
    form = {"audio": CLIPS / "speaker-b-1.ogg"}
    final = page.request.post(f"{address}/v1/speakers/{claimed}/verify", multipart=form).json()
    page.get_by_label("How strict", exact=True).select_option("fmr_1e-2")
    begin_recording(page)
    clip = section(page).get_by_role("article", name="The clip")
    expect(clip).to_contain_text("estimated here")
    gauge = so_far(page).get_by_role("meter")
    expect(gauge).to_have_count(0)  # nothing is known yet
    expect(so_far(page)).to_be_in_viewport()
    expect(section(page).get_by_role("button", name="Stop")).to_be_in_viewport()
    hear(page, RECORDED, 0.5)
    for probability, llr, speech_s, words in (
        (0.2, -1.39, 0.4, "the number can still become any other"),
        (0.88, 1.99, 1.3, "The recording stops by itself"),
    ):
        stream.run(probability, llr, speech_s)
        expect(gauge).to_have_attribute("aria-valuenow", str(round(100 * probability)))
        expect(so_far(page)).to_contain_text(words)
        expect(so_far(page)).to_contain_text(f"Log-likelihood ratio {llr:.2f}; accepted from 2.78.")
        expect(clip).to_contain_text(f"{speech_s} s of speech so far")
        expect(clip).to_contain_text("counted by the service")
        expect(page.locator("#announcer")).to_be_empty()  # read aloud, it would never end
    assert Axe().run(page).violations_count == 0
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    stream.say(type="final", verification=final)
    expect_decision(page, "Rejected", f"It does not sound like {claimed}")

    start, *pieces, end = stream.heard
    started = json.loads(start)
    rate_hz = started.pop("sample_rate_hz")
    assert started == {"format": "pcm_s16le", "operating_point": "fmr_1e-2"}
    assert json.loads(end) == {"end": True}
    duration_s = sum(len(piece) for piece in pieces) / 2 / rate_hz
    with page.expect_response("**/verify") as whole:
        page.get_by_role("button", name="Verify").click()
    assert whole.value.json()["audio"][0]["duration_s"] == pytest.approx(duration_s, abs=1e-3), "nothing was left out"


def test_another_question_lets_the_running_answer_go(page: Page, address: str, claimed: str) -> None:
    sent = uploads(page)
    open_console(page, address, f"verify/{claimed}")
    expect(page.get_by_label("Speaker", exact=True)).to_have_value(claimed)
    begin_recording(page)
    expect(so_far(page)).to_be_visible()
    page.get_by_label("How strict", exact=True).select_option("fmr_1e-2")
    expect(so_far(page)).to_be_hidden()
    stop(page)
    expect(section(page).get_by_role("button", name="Play")).to_be_visible()
    assert sent == []
    page.get_by_role("button", name="Verify").click()
    expect_decision(page, "Inconclusive", "It cannot be told yet")
    assert len(sent) == 1


def test_who_is_claimed_may_be_chosen_after_the_recording(page: Page, address: str, claimed: str) -> None:
    open_console(page, address, "verify")
    record_silence(page, 1.0)
    page.get_by_label("Speaker", exact=True).select_option(claimed)
    page.get_by_role("button", name="Verify").click()
    expect_decision(page, "Inconclusive", "It cannot be told yet")


def test_what_the_service_will_not_hear_ends_the_recording_with_its_words(
    page: Page, address: str, voice: Path
) -> None:
    enrolled(page.request, address, "erased", voice)
    open_console(page, address, "verify/erased")
    expect(page.get_by_label("Speaker", exact=True)).to_have_value("erased")
    assert page.request.delete(f"{address}/v1/speakers/erased").status == 204
    begin_recording(page)
    expect(section(page).get_by_role("alert")).to_contain_text("There is no such speaker; perhaps it was erased.")
    expect(section(page).get_by_role("button", name="Play")).to_be_visible()


def test_a_stream_that_is_lost_is_made_up_for_by_sending_the_clip(
    page_hearing: Opened, address: str, claimed: str
) -> None:
    page = page_hearing("a")
    sent = uploads(page)
    stream = FakeStream(page)
    open_console(page, address, f"verify/{claimed}")
    expect(page.get_by_label("Speaker", exact=True)).to_have_value(claimed)
    begin_recording(page)
    hear(page, RECORDED, 0.5)
    stream.run(0.5, 0.0, 0.3)
    expect(so_far(page).get_by_role("meter")).to_be_visible()
    stream.sockets[0].close()
    expect(so_far(page)).to_contain_text("There is no running answer at the moment.")
    expect(so_far(page).get_by_role("meter")).to_have_count(0)
    hear(page, r"About ([\d.]+) s of speech", 3.0)
    stop(page)
    expect_decision(page, "Accepted", f"It sounds like {claimed}")
    assert len(sent) == 1


def test_where_the_browser_makes_no_socket_the_clip_is_sent_whole(page: Page, address: str, claimed: str) -> None:
    sent = uploads(page)
    open_console(page, address, f"verify/{claimed}")
    expect(page.get_by_label("Speaker", exact=True)).to_have_value(claimed)
    page.evaluate(
        "() => { window.WebSocket = class extends WebSocket {"
        " constructor() { throw new DOMException('no', 'SecurityError'); } }; }"
    )
    begin_recording(page)
    expect(so_far(page)).to_contain_text("There is no running answer at the moment.")
    stop(page)
    expect_decision(page, "Inconclusive", "It cannot be told yet")
    assert len(sent) == 1


def test_a_key_goes_with_the_socket_and_a_refusal_is_told_in_words(
    playwright: Playwright, page_hearing: Opened, voice: Path
) -> None:
    with service({"VOUCH_VERIFY_LIMIT_PER_MINUTE": "1"}) as running:
        address = f"http://{HOST}:{running.port}"
        request = playwright.request.new_context()
        enrolled(request, address, "kim", voice)

        def key(scope: str, **headers: str) -> str:
            body = {"name": scope, "scopes": [scope]}
            return str(request.post(f"{address}/v1/keys", data=body, headers=headers).json()["key"])

        admin = key("admin")
        may_verify, may_compare = (key(scope, **{"X-API-Key": admin}) for scope in ("verify", "compare"))
        request.dispose()

        def opened(key: str) -> Page:
            page = page_hearing("a")
            page.goto(f"{address}/#verify/kim")
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Use the key").click()
            expect(page.get_by_label("Speaker", exact=True)).to_have_value("kim")
            return page

        page = opened(may_verify)
        begin_recording(page)
        expect_decision(page, "Accepted", "It sounds like kim")

        page.get_by_role("button", name="Record again").click()
        expect(so_far(page)).to_contain_text("There is no running answer at the moment.")
        stop(page)
        expect(page.get_by_text("That was a lot within a minute. Trying again in")).to_be_visible(timeout=WAIT_MS)

        page = opened(may_compare)
        begin_recording(page)
        expect(so_far(page)).to_contain_text("There is no running answer at the moment.")
        stop(page)
        expect(section(page).get_by_role("alert")).to_contain_text("Your key lacks the scope “verify”.")
