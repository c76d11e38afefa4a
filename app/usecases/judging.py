"""Score -> LLR -> probability -> Decision, as the settings and the bundle have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.records import Clip, IdentifiedCandidate, Verification
from model.calibration import Calibration, probability
from model.decision import Decision, OperatingPoint, QualityGate, decide, decide_identification
from model.errors import UnknownOperatingPoint
from model.quality import Quality


@dataclass(frozen=True)
class Judge:
    calibration: Calibration
    points: Mapping[str, OperatingPoint]
    default_point: str
    prior: float
    """Prior probability that a trial is a target, in (0, 1)."""
    gate: QualityGate
    identify_margin: float
    """LLR by which the best candidate must lead the second."""

    def __post_init__(self) -> None:
        self.point(None)

    def point(self, name: str | None) -> OperatingPoint:
        """The named operating point, or the default one. Raises UnknownOperatingPoint."""
        wanted = self.default_point if name is None else name
        if wanted not in self.points:
            available = ", ".join(self.points)
            raise UnknownOperatingPoint(f"operating_point {wanted[:80]!r} is not in this bundle; it has: {available}.")
        return self.points[wanted]

    def verification(
        self, score: float | None, point: OperatingPoint, clips: Sequence[Clip], speaker_id: str | None = None
    ) -> Verification:
        """One trial's answer. `score` is a cosine, or None where a clip gave no embedding."""
        llr = None if score is None else self.calibration.llr(score)
        return Verification(
            decision=decide(llr, point, [clip.quality for clip in clips], self.gate),
            score=score,
            llr=llr,
            probability=None if llr is None else probability(llr, self.prior),
            prior=self.prior,
            point=point,
            threshold_score=self.threshold_score(point),
            speaker_id=speaker_id,
            clips=tuple(clips),
        )

    def candidate(
        self, speaker_id: str, display_name: str | None, score: float, point: OperatingPoint, quality: Quality
    ) -> IdentifiedCandidate:
        """One candidate, decided as if this speaker alone had been claimed."""
        llr = self.calibration.llr(score)
        return IdentifiedCandidate(
            speaker_id=speaker_id,
            display_name=display_name,
            score=score,
            llr=llr,
            probability=probability(llr, self.prior),
            decision=decide(llr, point, [quality], self.gate),
        )

    def identification(
        self, candidates: Sequence[IdentifiedCandidate], n_searched: int, point: OperatingPoint, clip: Clip
    ) -> Decision:
        """The whole decision over the candidates, best first."""
        if clip.embedding is None:
            return decide(None, point, [clip.quality], self.gate)
        llrs = [candidate.llr for candidate in candidates]
        return decide_identification(llrs, n_searched, point, clip.quality, self.gate, self.identify_margin)

    def threshold_score(self, point: OperatingPoint) -> float | None:
        """The cosine at which a trial meets the operating point, or None where no cosine does."""
        return self.calibration.score_at(point.llr)
