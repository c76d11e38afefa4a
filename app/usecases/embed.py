"""A clip's raw embedding, for callers who score by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import Forbidden
from app.records import Clip
from app.usecases.auditing import Auditor
from app.usecases.listening import Listener
from model.errors import NotEnoughSpeech


@dataclass(frozen=True)
class Embed:
    listener: Listener
    is_enabled: bool
    audit: Auditor

    def require_enabled(self) -> None:
        """Raises Forbidden: an embedding is biometric data in the clear, so giving it out is a choice."""
        if not self.is_enabled:
            raise Forbidden("Raw embeddings are switched off. Set VOUCH_EMBEDDINGS_ENABLED=1 to allow this call.")

    def __call__(self, tenant: str, audio: bytes) -> Clip:
        """A clip that has an embedding, however good it is. Raises AudioError or NotEnoughSpeech.

        The quality gate changes decisions, never measurements; the caller decides by the clip's quality.
        """
        self.require_enabled()
        with self.audit.question("embed", tenant):
            clip = self.listener.listen(audio, "audio")
            if clip.embedding is None:
                raise NotEnoughSpeech(
                    f"audio has no embedding: {clip.quality.duration_s:.3f} s long, it is silent or shorter than one "
                    "frame of the encoder (0.025 s). Send a recording of a voice."
                )
        return clip
