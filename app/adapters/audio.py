"""The Decoder over `model/decoding.py`. The Assessor needs no adapter: `model.quality.SpeechAssessor` is one."""

from __future__ import annotations

from model.decoding import DecodingLimits, decode
from model.waveform import Waveform


class LimitedDecoder:
    """Decodes on the calling thread, within the limits."""

    def __init__(self, limits: DecodingLimits) -> None:
        self._limits = limits

    def decode(self, data: bytes) -> Waveform:
        return decode(data, self._limits)
