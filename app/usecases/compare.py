"""Are these two clips one voice?"""

from __future__ import annotations

from dataclasses import dataclass

from app.records import Verification
from app.usecases.judging import Judge
from app.usecases.listening import Listener
from app.usecases.replays import ReplayRule


@dataclass(frozen=True)
class Compare:
    listener: Listener
    judge: Judge
    replays: ReplayRule

    def __call__(self, audio_a: bytes, audio_b: bytes, operating_point: str | None = None) -> Verification:
        """Raises AudioError for a clip that cannot be read, UnknownOperatingPoint before anything is read."""
        point = self.judge.point(operating_point)
        a, b = self.listener.listen_to_all({"audio_a": audio_a, "audio_b": audio_b}).values()
        return self.replays.compared(self.judge.verification(self.judge.pair(a, b), point, (a, b)))
