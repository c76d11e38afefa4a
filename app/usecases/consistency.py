"""The clips of one speaker must be one voice: a stranger among them would be accepted as that speaker from then on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.records import Reference
from model.calibration import Calibration
from model.decision import coheres
from model.errors import InconsistentVoice
from model.scoring import Embedding, cosine_score


@dataclass(frozen=True)
class ConsistencyRule:
    calibration: Calibration
    min_llr: float
    """Natural-log LLR under which a clip is another voice than the speaker's other clips."""

    def require_one_voice(self, fresh: Mapping[str, Embedding], stored: Reference | None) -> None:
        """Each fresh clip, by its name, against the reference of all the others: those stored and those beside it.

        The speaker's very first clip, sent alone, has nothing to be held against. Raises InconsistentVoice for the
        clip that is least like the rest. Two clips that disagree are equally unlike, and the first is named.
        """
        total = np.sum(list(fresh.values()), axis=0, dtype=np.float64)
        n_others = len(fresh) - 1
        if stored is not None:
            # A reference is the mean scaled to 1; how far its clips lay apart is forgotten, so each counts in full.
            total = total + stored.enrollment_count * stored.embedding.astype(np.float64)
            n_others += stored.enrollment_count
        if n_others == 0:
            return
        llrs = {name: self._llr(embedding, total - embedding) for name, embedding in fresh.items()}
        name = min(llrs, key=lambda name: llrs[name])
        if not coheres(llrs[name], self.min_llr):
            raise InconsistentVoice(self._refusal(name, llrs[name]))

    def _llr(self, embedding: Embedding, others: NDArray[np.float64]) -> float:
        return self.calibration.llr(cosine_score(embedding, others.astype(np.float32)))

    def _refusal(self, name: str, llr: float) -> str:
        has = math.floor(llr * 100) / 100  # never rounded up to the limit it missed
        return (
            f"{name} does not sound like the speaker's other clips: its log-likelihood ratio is {has:.2f}; at least "
            f"{self.min_llr:g} is needed (VOUCH_ENROLL_MIN_LLR). Check who speaks in each clip. If the wrong voice was "
            "enrolled before, erase the speaker and enrol afresh."
        )
