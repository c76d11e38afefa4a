"""Who is it, or nobody?"""

from __future__ import annotations

from dataclasses import dataclass

from app.ports import Gallery, SpeakerStore
from app.records import Clip, Identification, IdentifiedCandidate
from app.stages import stage
from app.usecases.auditing import Auditor
from app.usecases.gallery_sync import GallerySync
from app.usecases.judging import Judge
from app.usecases.listening import Listener
from app.usecases.replays import ReplayRule
from app.usecases.standing import StandingRule
from model.decision import OperatingPoint
from model.scoring import Embedding

N_EXTRA_CANDIDATES = 10
"""Searched beyond `top_k`: a gallery ranks by cosine, the answer by LLR, which weighs how much each speaker enrolled; and
the lead over the second candidate must be known even when only one is asked for."""


@dataclass(frozen=True)
class Identify:
    listener: Listener
    judge: Judge
    store: SpeakerStore
    gallery: Gallery
    sync: GallerySync
    rule: StandingRule
    replays: ReplayRule
    audit: Auditor

    def __call__(self, tenant: str, audio: bytes, top_k: int, operating_point: str | None = None) -> Identification:
        """Ranks at most `top_k` speakers, best first. Raises AudioError, UnknownOperatingPoint."""
        with self.audit.question("identify", tenant) as noted:
            answer = self._answer(tenant, audio, top_k, self.judge.point(operating_point))
            noted.outcome = answer.decision.outcome
            if answer.decision.outcome == "accept":
                noted.speaker_id = answer.candidates[0].speaker_id
        return answer

    def _answer(self, tenant: str, audio: bytes, top_k: int, point: OperatingPoint) -> Identification:
        clip = self.listener.listen(audio, "audio")
        self.sync.catch_up()
        n_searched = self.gallery.size(tenant)
        ranked: list[IdentifiedCandidate] = []
        if clip.embedding is not None:
            ranked = self._ranked(tenant, clip, clip.embedding, point, top_k + N_EXTRA_CANDIDATES)
        # A speaker enrolled between the count and the search was searched too.
        n_searched = max(n_searched, len(ranked))
        decision = self.judge.identification(ranked, n_searched, point, clip)
        threshold_score = ranked[0].threshold_score if ranked else None
        result = Identification(decision, tuple(ranked[:top_k]), point, threshold_score, n_searched, clip)
        return self.replays.identified(result)

    def _ranked(
        self, tenant: str, clip: Clip, embedding: Embedding, point: OperatingPoint, n_candidates: int
    ) -> list[IdentifiedCandidate]:
        """The gallery proposes, the store decides: LLRs are exact, and nobody who was erased is named."""
        with stage("search"):
            proposed = self.gallery.search(tenant, embedding, n_candidates)
        if not proposed:
            return []
        ranked = []
        for reference in self.store.find_references(tenant, [candidate.number for candidate in proposed]):
            if self.rule.of(reference).status != "enrolled":
                continue
            evidence = self.judge.claim(reference, clip)
            if evidence is not None:
                ranked.append(self.judge.candidate(reference, evidence, point, clip.quality))
        return sorted(ranked, key=lambda candidate: (-candidate.llr, candidate.speaker_id))
