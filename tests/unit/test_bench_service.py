"""bench/service.py's figures from hand-made rounds."""

from dataclasses import replace

import pytest
from bare_pipeline import Rate
from load import Exchange, Load
from queueing import p99_over_unloaded
from service import figures, require_measurable, told_overload, told_peak, told_steps
from service_rounds import HEADLINE_STEP, STEPS, Overload, Peak, Round


def load(n: int, latency_s: float, n_refused: int = 0) -> Load:
    """`n` answers within one second, due 10 ms before they were sent; refusals take 2 ms, the last one 9 ms."""
    answers = [Exchange(-0.01, 0.0, latency_s - 0.01, 200, "decode;dur=1.00, total;dur=2.00") for _ in range(n)]
    refused = [Exchange(-0.5, 0.0, 0.002, 503, retry_after="3") for _ in range(n_refused)]
    if refused:
        refused[-1] = Exchange(-0.5, 0.0, 0.009, 503)
    return Load([*answers, *refused], 0.0, 1.0, 0.01)


def made_round(bare_per_s: float, peak_per_s: int, p50_s: float, p99_s: float) -> Round:
    stages = {"decode": 1.0, "quality": 2.0, "encode": 3.0}
    return Round(
        bare=Rate(bare_per_s, 20.0, stages),
        peak=Peak(load(peak_per_s, 0.1), 25.0, 2.0),
        peers={"1 process": load(5, 0.5), "2 processes": load(10, 0.5)},
        alone=load(20, p50_s),
        steps={step: load(30, p99_s) for step in STEPS},
        overload=Overload(load(peak_per_s // 2, 0.9, n_refused=100), 100 << 20, 110 << 20),
    )


ROUNDS = [
    made_round(100.0, 80, 0.02, 0.1),
    made_round(50.0, 45, 0.04, 0.16),  # a neighbour had half of the machine: its ratios still count
    made_round(100.0, 70, 0.02, 0.2),
]


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    found = figures(ROUNDS)
    assert found["of_bare_pipeline"] == pytest.approx(0.8)
    assert found["p99_over_p50"] == pytest.approx(5.0)
    assert found["overload_goodput"] == pytest.approx(0.5, abs=0.02)
    assert found["over_resemblyzer_peer"] == pytest.approx(7.0)  # over the better of the two
    assert found["perfect_p99_over_p50"] == p99_over_unloaded(1, HEADLINE_STEP)


def test_a_refusal_counts_from_when_it_was_sent() -> None:
    found = figures(ROUNDS)
    assert found["refusal_ms"] == pytest.approx(2.0)
    assert found["refusal_max_ms"] == pytest.approx(9.0)
    assert (found["n_overload_refusals"], found["n_overload_errors"]) == (300, 0)
    assert (found["resident_before_mib"], found["resident_most_mib"]) == (100.0, 110.0)


def test_a_refusal_without_retry_after_is_told() -> None:
    assert "without Retry-After: 3." in told_overload(ROUNDS)[0]


def test_what_is_said_has_a_row_for_each_step() -> None:
    assert sum(line.startswith(("| 30", "| 50", "| 70", "| 90")) for line in told_steps(ROUNDS, 2)) == len(STEPS)
    assert "bare pipeline 100.0 (100.0 50.0 100.0)" in told_peak(ROUNDS, "onnxruntime", 2)[0]


def test_a_refusal_below_the_peak_is_counted_and_a_waiting_client_s_is_no_measurement() -> None:
    refused = replace(ROUNDS[0], steps={**ROUNDS[0].steps, 0.9: load(30, 0.1, n_refused=4)})
    require_measurable([refused])
    assert figures([refused])["step_refusals"] == {"0.3": 0, "0.5": 0, "0.7": 0, "0.9": 4}
    assert any(line.startswith("| 90 % | 30 | 4 |") for line in told_steps([refused], 2))
    with pytest.raises(SystemExit, match="every client that waits"):
        require_measurable([replace(ROUNDS[0], alone=load(30, 0.1, n_refused=1))])
