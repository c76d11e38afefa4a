"""Chromium as the machine has it, driven by Playwright: what the browser tests and `bench/console.py` see the console in."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, Playwright

DEFAULT = Path("/usr/bin/chromium")


def executable() -> Path:
    """`CHROMIUM` of the environment, or where Debian puts it. It need not be there."""
    return Path(os.environ.get("CHROMIUM") or DEFAULT)


def launch(playwright: Playwright, microphone: Path | None = None) -> Browser:
    """A headless browser that gives its microphone to whoever asks; it hears that WAV, over and over."""
    heard = [] if microphone is None else [f"--use-file-for-fake-audio-capture={microphone}"]
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    return playwright.chromium.launch(executable_path=executable(), args=[*fake, *heard])
