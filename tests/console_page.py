"""The console as a person uses it, for tests: pages opened, clips recorded, answers read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Locator, Page, expect

import signals
from shipped import CLIPS

WAIT_MS = 30_000
"""For answers of a service that shares two cores with a browser."""
SPEECH = r"About ([\d.]+) s of speech"
HEARS = """([button, pattern, enough]) => {
    const found = button.closest('article').textContent.match(new RegExp(pattern));
    return found && Number(found[1]) >= enough;
}"""


def speech_of(folder: Path, name: str) -> Path:
    """A WAV for the microphone: one of two persons, from the real voices where they are at hand, or from the example clips."""
    data = signals.data_folder_or_none()
    if data is None:
        clips = sorted(CLIPS.glob(f"speaker-{name}-*.ogg"))
    else:
        speakers = sorted((data / "librispeech-test-other").iterdir())
        clips = sorted(speakers["ab".index(name)].rglob("*.flac"))[:3]
    path = folder / f"{name}.wav"
    path.write_bytes(signals.wav(np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in clips])[:, None]))
    return path


def open_console(page: Page, address: str, name: str = "compare") -> None:
    page.set_default_timeout(WAIT_MS)
    page.goto(f"{address}/#{name}")
    page.wait_for_function("() => performance.getEntriesByName('drawn').length")


def section(page: Page) -> Locator:
    """The page of the console that is shown."""
    return page.locator("main > section:not([hidden])")


def begin_recording(page: Page) -> None:
    """Into the first clip that is empty."""
    section(page).get_by_role("button", name="Record", exact=True).first.click()


def record(page: Page, speech_s: float, stop_by_key: bool = False) -> None:
    """Records until the console has heard so much."""
    begin_recording(page)
    hear(page, SPEECH, speech_s)
    if stop_by_key:
        page.keyboard.press("Space")
    else:
        section(page).get_by_role("button", name="Stop").click()
    expect(section(page).get_by_role("button", name="Stop")).to_be_hidden()


def record_silence(page: Page, duration_s: float) -> None:
    begin_recording(page)
    hear(page, r"([\d.]+) s Space stops", duration_s)
    section(page).get_by_role("button", name="Stop").click()


def hear(page: Page, pattern: str, at_least: float) -> None:
    """Waits until what the running recording says of itself has come so far."""
    stop = section(page).get_by_role("button", name="Stop")
    page.wait_for_function(HEARS, arg=[stop.element_handle(), pattern, at_least], timeout=WAIT_MS)


def result(page: Page) -> Locator:
    return section(page).get_by_role("region", name="Result")


def expect_decision(page: Page, decision: str, headline: str) -> None:
    expect(result(page).locator(".decision")).to_have_text(decision, timeout=WAIT_MS)
    expect(result(page).get_by_role("heading", level=2)).to_have_text(headline)


def enroll(page: Page, address: str, name: str, speaker_id: str) -> None:
    """Makes a speaker and enrolls whoever is at the microphone."""
    open_console(page, address, "enroll")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Speaker ID").fill(speaker_id)
    page.get_by_label("What the person agreed to").fill("Tests")
    page.get_by_role("button", name="Make the speaker").click()
    record(page, speech_s=7.0)
    section(page).get_by_role("button", name="Enroll", exact=True).click()
    expect(result(page).get_by_role("heading", level=2)).to_have_text(f"{name} is enrolled", timeout=WAIT_MS)
