"""Score -> LLR -> probability -> Decision, as the settings and the bundle have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.records import Clip, IdentifiedCandidate, Reference, Verification
from model.calibration import SideInformation, probability
from model.decision import Decision, OperatingPoint, QualityGate, decide, decide_identification
from model.errors import UnknownOperatingPoint
from model.likelihood import LikelihoodModel, Side
from model.quality import Quality
from model.scoring import Embedding, cosine_score


@dataclass(frozen=True, eq=False)
class Evidence:
    """A trial that has a score, with what is known of its two sides."""

    score: float
    """Cosine."""
    a: Side
    b: Side


@dataclass(frozen=True)
class Judge:
    likelihood: LikelihoodModel
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

    def pair(self, a: Clip, b: Clip) -> Evidence | None:
        """Two clips; None where one of them gave no embedding."""
        if a.embedding is None or b.embedding is None:
            return None
        side_a, side_b = self._probe(a.embedding, a.quality), self._probe(b.embedding, b.quality)
        return Evidence(cosine_score(a.embedding, b.embedding), side_a, side_b)

    def claim(self, reference: Reference, probe: Clip) -> Evidence | None:
        """A speaker's reference and a probe; None where the probe gave no embedding."""
        if probe.embedding is None:
            return None
        side = self.likelihood.side(reference.embedding, of_reference(reference))
        score = cosine_score(reference.embedding, probe.embedding)
        return Evidence(score, side, self._probe(probe.embedding, probe.quality))

    def verification(
        self, evidence: Evidence | None, point: OperatingPoint, clips: Sequence[Clip], speaker_id: str | None = None
    ) -> Verification:
        """One trial's answer. `evidence` is None where a clip gave no embedding."""
        llr = None if evidence is None else self._llr(evidence)
        return Verification(
            decision=decide(llr, point, [clip.quality for clip in clips], self.gate),
            score=None if evidence is None else evidence.score,
            llr=llr,
            probability=None if llr is None else probability(llr, self.prior),
            prior=self.prior,
            point=point,
            threshold_score=None if evidence is None else self._threshold_score(evidence, point),
            speaker_id=speaker_id,
            clips=tuple(clips),
        )

    def candidate(
        self, reference: Reference, evidence: Evidence, point: OperatingPoint, quality: Quality
    ) -> IdentifiedCandidate:
        """One candidate, decided as if this speaker alone had been claimed."""
        llr = self._llr(evidence)
        return IdentifiedCandidate(
            number=reference.number,
            speaker_id=reference.speaker_id,
            display_name=reference.display_name,
            score=evidence.score,
            llr=llr,
            probability=probability(llr, self.prior),
            decision=decide(llr, point, [quality], self.gate),
            threshold_score=self._threshold_score(evidence, point),
        )

    def identification(
        self, candidates: Sequence[IdentifiedCandidate], n_searched: int, point: OperatingPoint, clip: Clip
    ) -> Decision:
        """The whole decision over the candidates, best first."""
        if clip.embedding is None:
            return decide(None, point, [clip.quality], self.gate)
        llrs = [candidate.llr for candidate in candidates]
        return decide_identification(llrs, n_searched, point, clip.quality, self.gate, self.identify_margin)

    def _probe(self, embedding: Embedding, quality: Quality) -> Side:
        return self.likelihood.side(embedding, of_clip(quality))

    def _llr(self, evidence: Evidence) -> float:
        return self.likelihood.llr(evidence.score, evidence.a, evidence.b)

    def _threshold_score(self, evidence: Evidence, point: OperatingPoint) -> float | None:
        return self.likelihood.cosine_at(point.llr, evidence.a, evidence.b)


def of_clip(quality: Quality) -> SideInformation:
    return SideInformation(speech_s=quality.speech_s, n_clips=1, snr_db=quality.snr_db)


def of_reference(reference: Reference) -> SideInformation:
    return SideInformation(reference.speech_s, reference.enrollment_count, reference.snr_db)
