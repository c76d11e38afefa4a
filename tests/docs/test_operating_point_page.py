"""docs/operating-point.md gives the rates of the bundle that ships, and does its sums right."""

from __future__ import annotations

import math
import re

import pytest

from model.bundle import load_bundle
from pages import ROOT

PAGE = (ROOT / "docs" / "operating-point.md").read_text(encoding="utf-8")
POINTS = load_bundle(ROOT / "bundles" / "default").operating_points
N_OWNERS, N_IMPOSTORS = 990, 10
POINT_ROW = r"^\| `(\w+(?:-\d)?)` \| ([\d.]+) \| ([\d.]+) % \| ([\d.]+) % \| (\d+) \| ([\d.]+) \|$"
COST_ROW = r"^\| p = ([\d.]+), (both errors cost the same|a wrong accept costs ([\d,]+) times as much) \| (−?[\d.]+) \|"


def test_the_points_are_the_bundle_s_and_the_people_follow() -> None:
    rows = re.findall(POINT_ROW, PAGE, flags=re.MULTILINE)
    assert [name for name, *_ in rows] == list(POINTS)
    for name, llr, fmr, fnmr, n_owners, n_impostors in rows:
        point = POINTS[name]
        assert float(llr) == pytest.approx(point.llr, abs=0.005)
        assert float(fmr) == pytest.approx(100 * point.fmr, abs=0.005)
        assert float(fnmr) == pytest.approx(100 * point.fnmr, rel=0.005)
        assert int(n_owners) == round(N_OWNERS * point.fnmr)
        assert float(n_impostors) == pytest.approx(N_IMPOSTORS * point.fmr, abs=0.005)


def test_the_thresholds_follow_from_the_costs() -> None:
    rows = re.findall(COST_ROW, PAGE, flags=re.MULTILINE)
    assert len(rows) == 4
    for p, _, times, threshold in rows:
        cost = float(times.replace(",", "") or 1)
        expected = math.log(cost * (1 - float(p)) / float(p))
        assert float(threshold.replace("−", "-")) == pytest.approx(expected, abs=0.05)


def test_the_probabilities_follow_from_the_prior() -> None:
    sentence = re.search(r"at an LLR of ([\d.]+) the probability is (.*?)\.\s", PAGE)
    assert sentence
    pairs = re.findall(r"([\d.]+) %[^,]*? (?:with a prior of |with )([\d.]+)", sentence[2])
    assert len(pairs) == 3
    for percent, prior in pairs:
        odds = math.exp(float(sentence[1])) * float(prior) / (1 - float(prior))
        assert float(percent) == pytest.approx(100 * odds / (1 + odds), abs=0.5)
