from xml.etree import ElementTree

import numpy as np
import pytest

from training import metrics, plots
from training.plots import Scored, Whisker


def made(separation: float = 2.5, n: int = 4_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(LLRs that mean what they say, labels): normal scores whose true LLR is separation * (score - separation / 2)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4 == 0
    scores = rng.normal(size=n) + separation * labels
    return separation * (scores - separation / 2), labels


def scored(encoder: str = "new", calibrated: bool = True, separation: float = 2.5) -> Scored:
    llrs, labels = made(separation)
    points = {"eer": 0.1, "fmr_1e-2": 2.0} if calibrated else {}
    return Scored(encoder, "cosine", llrs / 20, llrs if calibrated else None, labels, points)


def titles(svg: str) -> set[str]:
    """Ids of what is drawn. Raises ParseError where it is no XML."""
    return {element.get("id", "") for element in ElementTree.fromstring(svg).iter()}


def test_the_cost_at_every_prior_is_the_plain_one() -> None:
    llrs, labels = made()
    priors = np.array([0.01, 0.05, 0.5, 0.9])
    actual, least = plots.bayes_errors(llrs, labels, np.log(priors / (1 - priors)))
    curve = metrics.error_curve(llrs, labels)
    assert actual == pytest.approx([metrics.act_dcf(llrs, labels, p) for p in priors])
    assert least == pytest.approx([metrics.min_dcf(curve, p) for p in priors])


def test_llrs_that_mean_what_they_say_lie_on_the_diagonal() -> None:
    llrs, labels = made(n=200_000)
    stated, found = plots.reliability_points(llrs, labels)
    assert len(stated) >= 10
    assert np.abs(stated - found).max() < 0.35
    stated, found = plots.reliability_points(2 * llrs, labels)
    assert np.polyfit(stated, found, 1)[0] == pytest.approx(0.5, abs=0.05)


def test_separable_llrs_have_no_reliability_to_draw() -> None:
    labels = np.arange(40) % 2 == 0
    stated, found = plots.reliability_points(np.where(labels, 5.0, -5.0), labels)
    assert len(stated) == len(found) == 0


def test_every_plot_is_an_svg() -> None:
    both = [scored(), scored("old", calibrated=False, separation=1.0)]
    drawn = [
        plots.det(both),
        plots.bayes_error(both),
        plots.reliability(both),
        plots.histogram(both[0].scores, both[0].labels, "cosine", {"eer": 0.1}),
        plots.whiskers(
            [
                Whisker("new", "both clips", "all trials", 0.03, (0.02, 0.04)),
                Whisker("old", "both clips", "all trials", 0.05, (0.04, 0.08)),
                Whisker("new", "probe only", "2 s of net speech", 0.07, (0.05, 0.09)),
            ]
        ),
    ]
    for svg in drawn:
        assert svg is not None
        assert "axes_1" in titles(svg)
        assert len(svg) < 200_000


def test_without_a_calibration_there_is_nothing_to_trust() -> None:
    assert plots.bayes_error([scored(calibrated=False)]) is None
    assert plots.reliability([scored(calibrated=False)]) is None


def test_perfect_and_useless_scores_can_be_drawn() -> None:
    labels = np.arange(40) % 2 == 0
    perfect = Scored("new", "cosine", np.where(labels, 0.9, 0.1), np.where(labels, 9.0, -9.0), labels, {"eer": 0.0})
    useless = Scored("old", "cosine", np.zeros(40), np.zeros(40), labels, {"eer": 0.0})
    for svg in (plots.det([perfect, useless]), plots.bayes_error([perfect, useless]), plots.reliability([perfect])):
        assert svg is not None
        titles(svg)
    titles(plots.histogram(useless.scores, labels, "cosine", {}))


def test_the_same_measurement_draws_the_same_file() -> None:
    assert plots.det([scored()]) == plots.det([scored()])
