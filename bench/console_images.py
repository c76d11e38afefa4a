"""What does the console look like? Every page in both themes, wide and narrow, with the example clips for people.

    python bench/console_images.py [--images runs/console]

For whoever changes it to look at; the README shows two of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from chromium import launch
from playwright.sync_api import Browser, Page, sync_playwright
from running import HOST, ROOT, service

PAGES = ("compare", "enroll", "verify", "identify", "speakers")
CLIPS = ROOT / "examples" / "clips"
WIDTHS_PX = (1280, 320)
HEIGHT_PX = 860
CONSENT = {"purpose": "Log-in by phone", "given_at": "2026-01-01T00:00:00Z", "expires_at": "2100-01-01T00:00:00Z"}
SPEAKERS = {
    "alice": ("Alice", ("speaker-a-1", "speaker-a-2")),
    "bob": ("Bob", ("speaker-b-1",)),
    "carol": ("Carol", ()),
}
PROBE = "speaker-a-3"


def enroll(browser: Browser, url: str) -> None:
    """Three speakers: two with a voice."""
    context = browser.new_context()
    for speaker_id, (name, clips) in SPEAKERS.items():
        body = {"speaker_id": speaker_id, "display_name": name, "consent": CONSENT}
        context.request.post(f"{url}v1/speakers", data=body, fail_on_status_code=True)
        for clip in clips:
            form = {"audio": CLIPS / f"{clip}.ogg"}
            context.request.post(f"{url}v1/speakers/{speaker_id}/enrollments", multipart=form, fail_on_status_code=True)
    context.close()


def show(page: Page, name: str) -> None:
    """Brings a page to where it has something to show."""
    here = page.locator(f"#page-{name}")
    if name == "compare":
        here.get_by_role("button", name="One voice twice").click()
    if name == "verify":
        here.get_by_label("Speaker", exact=True).select_option("bob")
    if name in ("verify", "identify"):
        here.locator("input[type=file]").set_input_files(CLIPS / f"{PROBE}.ogg")
        here.locator("button[type=submit]").click()
    if name in ("compare", "verify", "identify"):
        here.get_by_role("region", name="Result").wait_for()
    if name == "speakers":
        here.get_by_role("button", name="Clips: Alice").click()
        here.get_by_role("button", name="Take back").first.wait_for()


def draw(browser: Browser, url: str, theme: str, width_px: int, images: Path) -> None:
    context = browser.new_context(
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": width_px, "height": HEIGHT_PX},
        reduced_motion="reduce",
    )
    page = context.new_page()
    for name in PAGES:
        page.goto(f"{url}#{name}")
        show(page, name)
        page.screenshot(path=images / f"{name}-{theme}-{width_px}.png", full_page=True)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("runs/console"))
    images = parser.parse_args().images
    with service() as vouch, sync_playwright() as playwright, launch(playwright) as browser:
        url = f"http://{HOST}:{vouch.port}/"
        enroll(browser, url)
        for theme in ("light", "dark"):
            for width_px in WIDTHS_PX:
                draw(browser, url, theme, width_px, images)
    print(f"{len(list(images.glob('*.png')))} images in {images}")


if __name__ == "__main__":
    main()
