"""Is this voice that speaker, asked while it speaks: heard anew as the recording grows, until it has said enough."""

from __future__ import annotations

from dataclasses import dataclass

from app.records import Verification
from app.usecases.auditing import Auditor
from app.usecases.verify import Verify
from model.decision import EarlyRule, OperatingPoint, has_said_enough


@dataclass(frozen=True)
class StreamLook:
    result: Verification
    is_final: bool


@dataclass(frozen=True)
class VerifyStream:
    """Each look is what a verification of the recording so far would be, by the same steps."""

    verify: Verify
    rule: EarlyRule
    audit: Auditor

    def begin(self, tenant: str, speaker_id: str, operating_point: str | None) -> OperatingPoint:
        """Raises UnknownOperatingPoint, SpeakerNotFound, NotEnrolled or ModelMismatch before anything is heard."""
        point = self.verify.judge.point(operating_point)
        self.verify.require_enrolled(tenant, speaker_id)
        return point

    def look(self, tenant: str, speaker_id: str, audio: bytes, point: OperatingPoint, *, is_last: bool) -> StreamLook:
        """At the recording so far, a file. The look is final where it `is_last`, or where waiting would hardly change it.

        Only the final one is held against recordings that were heard before, and remembered. Raises as `Verify`.
        """
        heard = self.verify.heard(tenant, speaker_id, audio, point)
        gate, quality = self.verify.judge.gate, heard.clip.quality
        if is_last or has_said_enough(heard.result.llr, point, quality, gate, self.rule):
            return StreamLook(self.verify.concluded(heard), is_final=True)
        return StreamLook(heard.result, is_final=False)

    def ended(self, tenant: str, speaker_id: str, outcome: str) -> None:
        """One entry in the audit trail for a whole stream: the decision, a problem's code, or `left`."""
        self.audit.asked("verify", outcome, tenant, speaker_id)
