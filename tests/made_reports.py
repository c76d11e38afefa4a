"""Reports that are written down, not measured: for tests of what reads one."""

from __future__ import annotations

from typing import Any

from training.reports import (
    ALL,
    CalibratedRates,
    DetectionCost,
    Difference,
    EncoderFacts,
    Evaluation,
    ListFacts,
    NotMeasured,
    Report,
    Slice,
)

POINTS = {"eer": 0.1, "fmr_1e-2": 2.0}


def rates(cllr_bits: float = 0.2, fmr: float = 0.02, fnmr: float = 0.04, calibration_id: str = "c1") -> CalibratedRates:
    return CalibratedRates(
        calibration_id=calibration_id,
        cllr_bits=cllr_bits,
        cllr_bits_interval=(0.8 * cllr_bits, 1.2 * cllr_bits),
        min_cllr_bits=0.18,
        min_cllr_bits_interval=(0.15, 0.21),
        fmr={"eer": fmr, "fmr_1e-2": fmr / 4},
        fmr_interval={"eer": (0.5 * fmr, 2 * fmr), "fmr_1e-2": (0.0, fmr)},
        fnmr={"eer": fnmr, "fmr_1e-2": 2 * fnmr},
        fnmr_interval={"eer": (0.5 * fnmr, 2 * fnmr), "fmr_1e-2": (fnmr, 3 * fnmr)},
    )


def evaluation(eer: float = 0.03, spread: float = 0.01, **changes: Any) -> Evaluation:
    """By LLR, on all trials of the list `lists`, unless changed; the EER's interval is `spread` to either side."""
    is_llr = changes.get("score", "llr") == "llr"
    fields: dict[str, Any] = {
        "encoder": "new",
        "encoder_id": "e1",
        "trials": "made-test",
        "score": "llr",
        "slice": ALL,
        "n_enrollment_clips": 1,
        "n_target": 1_200,
        "n_non_target": 20_000,
        "n_speakers": 24,
        "eer": eer,
        "eer_interval": (eer - spread, eer + spread),
        "eer_threshold": 0.2,
        "detection_costs": tuple(
            DetectionCost(p, 0.3, (0.25, 0.35), *((0.32, (0.27, 0.4)) if is_llr else (None, None)))
            for p in (0.01, 0.05)
        ),
        "accuracy": 0.97,
        "accuracy_threshold": 0.0,
        "accuracy_threshold_from": "an LLR of 0 favours nobody",
        "calibrated": rates() if is_llr else None,
    }
    return Evaluation(**{**fields, **changes})


def report() -> Report:
    """A calibrated encoder and one without a calibration, on two lists, with a few slices of the first."""
    bare: dict[str, Any] = {"encoder": "old", "encoder_id": "e2", "score": "cosine"}
    return Report(
        created_at="2026-11-24T12:00:00+00:00",
        n_draws=200,
        encoders=(
            EncoderFacts("new", "e1", "c1", "40 other speakers", POINTS),
            EncoderFacts("old", "e2", None, None, {}),
        ),
        lists=(ListFacts("made-test", 100, 1_200, 20_000, 24), ListFacts("words-test", 90, 900, 9_000, 30)),
        evaluations=(
            evaluation(),
            evaluation(0.031, score="cosine"),
            evaluation(0.01, n_enrollment_clips=3),
            evaluation(0.12, slice=Slice("net_speech", "1 s", "both"), calibrated=rates(0.6)),
            evaluation(0.06, slice=Slice("net_speech", "1 s", "probe"), n_enrollment_clips=3),
            evaluation(0.02, 0.005, slice=Slice("age", "adults"), calibrated=rates(0.1, 0.01, 0.02)),
            evaluation(0.05, 0.01, slice=Slice("age", "children"), calibrated=rates(0.3, 0.05, 0.08), n_speakers=16),
            evaluation(0.08, **bare),
            evaluation(0.2, slice=Slice("net_speech", "1 s", "both"), **bare),
            evaluation(0.15, trials="words-test"),
            evaluation(0.25, trials="words-test", **bare),
        ),
        differences=(
            Difference("made-test", "old", "new", 0.05, (0.03, 0.07)),
            Difference("words-test", "old", "new", 0.1, (-0.01, 0.2)),
        ),
        not_measured=(NotMeasured("words-test", Slice("net_speech", "5 s", "both"), 1, "0 target trials <of> 0"),),
    )
