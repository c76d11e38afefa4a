from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

import made_reports
from training.plots import Scored
from training.report_html import render
from training.report_plots import draw_list

VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """Fails where tags do not match; keeps links, pictures and the text of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.pictures: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.links += [values["href"] or ""] if "href" in values else []
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag == "img":
            self.pictures.append((values["alt"] or "", values["src"] or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data.strip()

    def row(self, *starts: str) -> list[str]:
        """The first row whose cells begin like this."""
        return next(row for row in self.rows if row[: len(starts)] == list(starts))


@pytest.fixture(scope="module")
def text() -> str:
    report = made_reports.report()
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 4 == 0
    llrs = rng.normal(size=400) * 2 + np.where(labels, 3.0, -3.0)
    new = Scored("new", "cosine", llrs / 20, llrs, labels, made_reports.POINTS)
    old = Scored("old", "cosine", rng.normal(size=400) + labels, None, labels, {})
    return render(report, {facts.name: draw_list(report, facts.name, [new, old]) for facts in report.lists})


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_needs_nothing_else(text: str, page: Page) -> None:
    assert text.startswith("<!DOCTYPE html>")
    assert not re.search(r"<(script|link|iframe)|@import|url\(", text)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert all(source.startswith("data:image/svg+xml;base64,") for _, source in page.pictures)
    assert len(set(page.ids)) == len(page.ids)


def test_every_picture_is_an_svg_with_a_description(page: Page) -> None:
    assert len(page.pictures) == 1 + 2 * (3 + 3)  # slices of one list; DET, Bayes error, reliability, three histograms
    for description, source in page.pictures:
        assert len(description) > 20
        ElementTree.fromstring(base64.b64decode(source.partition(",")[2]))


def test_it_says_who_was_measured_on_what(text: str) -> None:
    for fact in ("e1", "c1", "fitted on 40 other speakers", "0.10 (<code>eer</code>)", "1,200 target", "200 bootstrap"):
        assert fact in text
    assert "old came without a calibration, so there are no LLRs of it" in text


def test_the_summary_has_every_rate_with_its_interval(page: Page) -> None:
    row = page.row("new", "1 clip")
    assert row[2:] == [
        "3.00[2.00, 4.00]",
        "3.10",
        "0.300 /0.320[0.25, 0.35] / [0.27, 0.40]",
        "0.300 /0.320[0.25, 0.35] / [0.27, 0.40]",
        "0.180 /0.200[0.15, 0.21] / [0.16, 0.24]",
    ]
    bare = page.row("old", "1 clip")
    assert bare[3:] == ["–", "0.300[0.25, 0.35]", "0.300[0.25, 0.35]", "–"]
    assert page.row("new", "3 clips")[2].startswith("1.00")


def test_operating_points_are_those_of_the_calibration(page: Page) -> None:
    assert page.row("encoder", "reference", "eer")[2:] == ["eer", "fmr_1e-2"]
    points = [row for row in page.rows if len(row) == 4 and row[0] == "new"]
    assert points[0][2] == "2.00 / 4.00[1.00, 4.00] / [2.00, 8.00]"


def test_differences_say_which_way(text: str, page: Page) -> None:
    assert page.row("made-test", "old", "+5.00[+3.00, +7.00]")
    assert '<span class="bad">+5.00' in text
    assert '<span class="">+10.00' in text  # the interval holds 0


def test_slices_have_a_line_each_and_what_is_missing_is_named(text: str, page: Page) -> None:
    assert page.row("1 s of net speech, both clips")[1:4] == ["1,200 + 20,000", "12.0[11.0, 13.0]", "0.180 /0.600"]
    assert page.row("1 s of net speech, probe only, against 3 clips")[-1] == "–"
    assert page.row("children")
    assert "5 s of net speech, both clips: 0 target trials &lt;of&gt; 0" in text  # escaped, too
    assert "1 slice with too few trials" in text
