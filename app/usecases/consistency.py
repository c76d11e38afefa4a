"""The clips of one speaker must be one voice: a stranger among them would be accepted as that speaker from then on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.records import NewEnrollment, Reference
from app.usecases.judging import of_clip
from model.calibration import SideInformation
from model.decision import coheres
from model.errors import InconsistentVoice
from model.likelihood import LikelihoodModel
from model.quality import mean_snr_db
from model.scoring import cosine_score, unit


@dataclass(frozen=True)
class ConsistencyRule:
    likelihood: LikelihoodModel
    min_llr: float
    """Natural-log LLR under which a clip is another voice than the speaker's other clips."""

    def require_one_voice(self, fresh: Mapping[str, NewEnrollment], stored: Reference | None) -> None:
        """Each fresh clip, by its name, against the reference of all the others: those stored and those beside it.

        The speaker's very first clip, sent alone, has nothing to be held against. Raises InconsistentVoice for the
        clip that is least like the rest. Two clips that disagree are equally unlike, and the first is named.
        """
        if len(fresh) + (0 if stored is None else stored.enrollment_count) < 2:
            return
        llrs = {name: self._llr(name, fresh, stored) for name in fresh}
        name = min(llrs, key=lambda name: llrs[name])
        if not coheres(llrs[name], self.min_llr):
            raise InconsistentVoice(self._refusal(name, llrs[name]))

    def _llr(self, name: str, fresh: Mapping[str, NewEnrollment], stored: Reference | None) -> float:
        """That one clip and all the others are one voice."""
        clip = fresh[name]
        others = [other for other_name, other in fresh.items() if other_name != name]
        total = np.sum([other.embedding for other in others], axis=0, dtype=np.float64)
        speech_s = math.fsum(other.quality.speech_s for other in others)
        snrs_db = [other.quality.snr_db for other in others]
        if stored is not None:
            # A reference is the mean scaled to 1; how far its clips lay apart is forgotten, so each counts in full.
            total = total + stored.enrollment_count * stored.embedding.astype(np.float64)
            speech_s += stored.speech_s
            snrs_db += [stored.snr_db] * stored.enrollment_count
        n_others = len(others) + (0 if stored is None else stored.enrollment_count)
        reference = unit(np.asarray(total, dtype=np.float32))
        return self.likelihood.llr(
            cosine_score(clip.embedding, reference),
            self.likelihood.side(clip.embedding, of_clip(clip.quality)),
            self.likelihood.side(reference, SideInformation(speech_s, n_others, mean_snr_db(snrs_db))),
        )

    def _refusal(self, name: str, llr: float) -> str:
        # Too coarse to be climbed by whoever sees no exact scores.
        under = min(math.ceil(llr), self.min_llr)
        return (
            f"{name} does not sound like the speaker's other clips: its log-likelihood ratio is under {under:g}; at least "
            f"{self.min_llr:g} is needed (VOUCH_ENROLL_MIN_LLR). Check who speaks in each clip. If the wrong voice was "
            "enrolled before, erase the speaker and enrol afresh."
        )
