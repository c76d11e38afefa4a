"""How heavy is the console, and how soon is it drawn?

    python bench/console.py [--loads 10] [--json]

Each load has an empty cache. `kb` is everything that the first page fetches, as the browser's performance entries have it;
`painted_ms` when the first content was there, and `drawn_ms` when the page could be used, medians over the loads.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from chromium import launch
from playwright.sync_api import Browser, sync_playwright
from record import add_arguments, finish
from running import HOST, service

N_BYTES_PER_KB = 1000
ENTRIES = """() => ({
    bytes: [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .reduce((sum, entry) => sum + entry.transferSize, 0),
    painted_ms: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    drawn_ms: performance.getEntriesByName('drawn')[0].startTime,
})"""
IS_DRAWN = "() => performance.getEntriesByName('drawn').length && performance.getEntriesByName('first-contentful-paint').length"


def load(browser: Browser, url: str) -> dict[str, Any]:
    """The figures of one load, its cache empty."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url)
        page.wait_for_function(IS_DRAWN)
        figures: dict[str, Any] = page.evaluate(ENTRIES)
        return figures
    finally:
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", type=int, default=10)
    add_arguments(parser)
    arguments = parser.parse_args()
    with service() as vouch, sync_playwright() as playwright, launch(playwright) as browser:
        loads = [load(browser, f"http://{HOST}:{vouch.port}/") for _ in range(arguments.loads)]
    figures = {
        "kb": loads[0]["bytes"] / N_BYTES_PER_KB,
        **{name: statistics.median(one[name] for one in loads) for name in ("painted_ms", "drawn_ms")},
    }
    notes = (
        f"The page weighs {figures['kb']:.0f} kB. It is painted after {figures['painted_ms']:.0f} ms and can be used after "
        f"{figures['drawn_ms']:.0f} ms, medians of {len(loads)} loads without a cache."
    )
    print(notes)
    finish(arguments, figures, notes)


if __name__ == "__main__":
    main()
