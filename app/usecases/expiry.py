"""Whoever's consent has ended is erased, without being asked to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.audit import EXPIRY, Actor, acting
from app.ports import SpeakerStore
from app.records import utc_now
from app.usecases.auditing import Auditor
from app.usecases.gallery_sync import GallerySync
from model.errors import VouchError

log = logging.getLogger("vouch")

N_AT_ONCE = 100
"""In one transaction, after which others get their turn."""


@dataclass(frozen=True)
class Expiry:
    store: SpeakerStore
    sync: GallerySync
    audit: Auditor
    clock: Callable[[], datetime] = utc_now

    def __call__(self) -> int:
        """How many were erased. A store that cannot be written is tried again the next time, and the log says so."""
        n_erased = 0
        with acting(Actor(EXPIRY)):
            try:
                while erased := self.store.erase_expired(self.clock(), N_AT_ONCE):
                    n_erased += len(erased)
                    for one in erased:
                        self.sync.forget(one.tenant, one.number)
                    for one in erased:
                        self.audit.done("expire_speaker", "erased", one.tenant, one.speaker_id)
            except VouchError as error:
                log.error("speakers whose consent has ended could not be erased; this is tried again: %s", error)
        if n_erased:
            log.info("erased %d speakers whose consent has ended", n_erased)
        return n_erased
