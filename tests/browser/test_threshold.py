"""The page Threshold: the error curve of the bundle that ships, and the slider along it."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from console_page import open_console, section

pytestmark = pytest.mark.browser


def slider(page: Page) -> Locator:
    return section(page).get_by_role("slider", name="Threshold")


def test_it_begins_at_the_point_that_the_service_decides_at(page: Page, address: str) -> None:
    open_console(page, address, "threshold")
    expect(slider(page)).to_have_attribute(
        "aria-valuetext",
        "Balanced (eer): of 1,000 strangers 44 are let in, of 1,000 true speakers 44 are turned away",
    )
    expect(section(page).get_by_role("button", name="Balanced (eer)")).to_have_attribute("aria-pressed", "true")
    expect(section(page).get_by_text("VOUCH_OPERATING_POINT=eer")).to_be_visible()
    expect(section(page).get_by_text("95 % interval 17 to 81")).to_be_visible()
    expect(section(page).get_by_text("40 validation speakers of speechocean762")).to_be_visible()


def test_the_keyboard_moves_it_and_each_step_says_what_it_costs(page: Page, address: str) -> None:
    curve = page.request.get(f"{address}/v1/model").json()["error_curve"]
    eer = min(range(len(curve["llrs"])), key=lambda i: abs(curve["fmr"][i] - curve["fnmr"][i]))
    open_console(page, address, "threshold")
    slider(page).focus()
    dot = section(page).locator(".det-dot")
    before = float(str(dot.get_attribute("cx")))
    page.keyboard.press("ArrowRight")
    let_in, turned_away = (round(1000 * curve[rate][eer + 1]) for rate in ("fmr", "fnmr"))
    expect(slider(page)).to_have_attribute(
        "aria-valuetext",
        f"of 1,000 strangers {let_in} are let in, of 1,000 true speakers {turned_away} are turned away",
    )
    assert float(str(dot.get_attribute("cx"))) < before, "fewer strangers are further left"
    expect(section(page).get_by_text("The nearest is Balanced (eer), from 0.67")).to_be_visible()
    expect(section(page).get_by_role("button", name="Balanced (eer)")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("End")
    expect(slider(page)).to_have_attribute(
        "aria-valuetext", "of 1,000 strangers fewer than 1 is let in, of 1,000 true speakers nearly all are turned away"
    )


def test_a_named_point_is_one_click_away(page: Page, address: str) -> None:
    open_console(page, address, "threshold")
    section(page).get_by_role("button", name="Strict (fmr_1e-2)").click()
    expect(slider(page)).to_have_attribute(
        "aria-valuetext",
        "Strict (fmr_1e-2): of 1,000 strangers 10 are let in, of 1,000 true speakers 187 are turned away",
    )
    expect(section(page).get_by_text("a log-likelihood ratio of 2.78")).to_be_visible()
    expect(section(page).get_by_text("operating_point=fmr_1e-2", exact=True)).to_be_visible()


def test_the_choice_of_how_strict_leads_to_its_place_on_the_curve(page: Page, address: str) -> None:
    open_console(page, address)
    section(page).get_by_label("How strict").select_option("fmr_1e-2")
    section(page).get_by_role("link", name="What other thresholds cost").click()
    expect(page.get_by_role("heading", name="How strict should it be?")).to_be_focused()
    expect(section(page).get_by_role("button", name="Strict (fmr_1e-2)")).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_title("Threshold · Vouch")


def test_without_a_curve_there_is_nothing_to_move(page: Page, address: str) -> None:
    def without_curve(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps({**answer.json(), "error_curve": None}))

    page.route("**/v1/model", without_curve)
    open_console(page, address, "threshold")
    expect(section(page).get_by_text("has no error curve")).to_be_visible()
    expect(slider(page)).to_be_hidden()
    page.get_by_role("link", name="Compare").click()
    expect(section(page).get_by_label("How strict")).to_be_visible()
    expect(section(page).get_by_role("link", name="What other thresholds cost")).to_be_hidden()
