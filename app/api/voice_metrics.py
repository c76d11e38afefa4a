"""What `/metrics` tells of the trials: decisions, likelihood ratios, how good the probes were, whether ratios drift.

Nobody is named, and nothing finer is told of ratios than a key without the scope `scores` sees. A histogram's sum would give
a single trial's exact one to whoever reads it twice; where bounds are negative, as here, there is none.
"""

from __future__ import annotations

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.records import Clip, Identification, Verification
from app.usecases.score_drift import LLR_BOUNDS, ScoreDrift
from model.decision import Outcome

PairCall = Literal["compare", "verify"]
IDENTIFY = "identify"

SPEECH_BUCKETS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
SNR_BUCKETS_DB = (0.0, 3.0, 6.0, 10.0, 15.0, 20.0, 30.0)


class VoiceMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        calls = (*get_args(PairCall), IDENTIFY)
        decisions = Counter(
            "vouch_decisions", "Decisions, by the call that asked.", ["call", "decision"], registry=registry
        )
        llrs = Histogram(
            "vouch_llr",
            "Natural-log likelihood ratios of trials that were decided on.",
            ["call", "decision"],
            buckets=LLR_BOUNDS,
            registry=registry,
        )
        speech = Histogram(
            "vouch_probe_speech_seconds", "Net speech of clips.", ["call"], buckets=SPEECH_BUCKETS_S, registry=registry
        )
        snrs = Histogram(
            "vouch_probe_snr_db",
            "Signal-to-noise ratio of clips that have one.",
            ["call"],
            buckets=SNR_BUCKETS_DB,
            registry=registry,
        )
        drift = Gauge(
            "vouch_score_drift",
            "Population stability index of recent likelihood ratios against the first since the start.",
            ["call"],
            registry=registry,
        )
        # There from the start, at 0.
        outcomes = get_args(Outcome)
        self._decisions = {(call, outcome): decisions.labels(call, outcome) for call in calls for outcome in outcomes}
        self._llrs = {
            (call, outcome): llrs.labels(call, outcome)
            for call in get_args(PairCall)
            for outcome in ("accept", "reject")
        }
        self._speech = {call: speech.labels(call) for call in calls}
        self._snrs = {call: snrs.labels(call) for call in calls}
        self._drifts = {call: ScoreDrift() for call in get_args(PairCall)}
        for call, of_call in self._drifts.items():
            drift.labels(call).set_function(of_call.index)

    def count_verification(self, call: PairCall, result: Verification) -> None:
        outcome = result.decision.outcome
        self._decisions[call, outcome].inc()
        for clip in result.clips:
            self._count_clip(call, clip)
        # A trial that was not decided on says more of its clips than of the voices.
        if result.llr is not None and outcome != "inconclusive":
            self._llrs[call, outcome].observe(result.llr)
            self._drifts[call].add(result.llr)

    def count_identification(self, result: Identification) -> None:
        """Without ratios: the best of many moves with the size of the gallery."""
        self._decisions[IDENTIFY, result.decision.outcome].inc()
        self._count_clip(IDENTIFY, result.clip)

    def _count_clip(self, call: str, clip: Clip) -> None:
        self._speech[call].observe(clip.quality.speech_s)
        if clip.quality.snr_db is not None:
            self._snrs[call].observe(clip.quality.snr_db)
