"""Can it serve? The store, the gallery and the encoder that is loaded, held against each other."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.errors import ModelNotReady, StoreError
from app.ports import Gallery, SpeakerStore
from app.usecases.agreement import Agreement

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Readiness:
    store: SpeakerStore
    gallery: Gallery
    encoder_id: str
    """The encoder that is loaded."""
    agreement: Agreement

    def check(self) -> None:
        """Raises ModelNotReady, which tells what is wrong and nothing of who is enrolled; the log has the rest.

        Costs one short read: whether gallery and store agree was looked at before.
        """
        try:
            self.store.check()
        except StoreError as error:
            _log.error("not ready: the store failed its check", exc_info=error)
            raise ModelNotReady("The store does not answer.") from error
        if self.gallery.encoder_id != self.encoder_id:
            _log.error("not ready: the gallery is of encoder %s, and %s runs", self.gallery.encoder_id, self.encoder_id)
            raise ModelNotReady("The gallery holds the references of another encoder than the one that is loaded.")
        if self.agreement.n_differing:
            _log.error(
                "not ready: speakers who differ between gallery and store: %s", f"{self.agreement.n_differing:,}"
            )
            raise ModelNotReady("The gallery does not hold whom the store says is enrolled; it is being put right.")
