"""A service with the bundle that ships, and Chromium with somebody, or nobody, at its microphone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from chromium import executable, launch
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from running import HOST, service

import signals
from console_page import speech_of

SILENCE = "silence"


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if not executable().is_file():
        pytest.skip(f"needs Chromium: there is none at {executable()} (apt-get install chromium, or set CHROMIUM)")
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def address(playwright: Playwright) -> Iterator[str]:
    """Of a service without keys, which all tests share: each names its speakers otherwise."""
    with service() as running:
        yield f"http://{HOST}:{running.port}"


@pytest.fixture(scope="session")
def browser_hearing(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Browser]]:
    """A browser whose microphone hears person `a`, person `b`, or silence; one for all tests."""
    folder = tmp_path_factory.mktemp("microphone")
    browsers: dict[str, Browser] = {}
    with ExitStack() as stack:

        def hearing(whom: str) -> Browser:
            if whom not in browsers:
                browsers[whom] = stack.enter_context(launch(playwright, _heard(folder, whom)))
            return browsers[whom]

        yield hearing


def _heard(folder: Path, whom: str) -> Path:
    if whom != SILENCE:
        return speech_of(folder, whom)
    path = folder / "silence.wav"
    path.write_bytes(signals.wav(signals.silence(5.0)))
    return path


@pytest.fixture
def page_hearing(browser_hearing: Callable[[str], Browser]) -> Iterator[Callable[[str], Page]]:
    """A page in a context of its own. A mistake of its scripts, or a word of the browser against them, fails the test."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def opened(whom: str = SILENCE) -> Page:
            context = browser_hearing(whom).new_context()
            stack.callback(context.close)
            page = context.new_page()
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message.text) else None)
            return page

        yield opened
    assert complaints == []


def _is_complaint(text: str) -> bool:
    # That an answer was no 200, and a socket was refused, is what some tests are about.
    return not text.startswith(("Failed to load resource", "WebSocket connection to"))


@pytest.fixture
def page(page_hearing: Callable[[str], Page]) -> Page:
    return page_hearing(SILENCE)
