"""Whether the gallery holds whom the store says can be identified: looked at now and then, and put right.

Every commit is followed by a refresh, so they differ only where something went wrong: a refresh that could not read its
row, a process that writes to the same database, a mistake of ours. Looking passes over every row of the store, which no
probe could wait for; so it is done in the background, and the probe asks what was last found.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from app.errors import StoreError
from app.ports import Gallery, SpeakerStore
from app.records import SpeakerKey
from app.usecases.gallery_sync import GallerySync
from app.usecases.standing import StandingRule

_log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
LOOK_AGAIN_S = 2.0
"""A commit and its refresh are milliseconds apart: who still differs then was no change in flight."""
MAX_SHARE_OF_TIME = 0.01
"""Spent on looking; a store that takes long to pass over is looked at less often."""


class Agreement:
    """Of one store and one gallery. `look` is for one thread; whatever it found may be read from any."""

    def __init__(
        self,
        store: SpeakerStore,
        gallery: Gallery,
        rule: StandingRule,
        sync: GallerySync,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds since any moment."""
        self._store = store
        self._gallery = gallery
        self._rule = rule
        self._sync = sync
        self._clock = clock
        self._suspects: frozenset[SpeakerKey] = frozenset()
        self._accepted: frozenset[SpeakerKey] = frozenset()
        self._look_again_in_s = LOOK_EVERY_S
        self.n_differing = 0
        """Speakers of whom gallery and store disagreed twice, until they are put right."""
        self.n_stale = 0
        """Speakers enrolled with another encoder than the one that is loaded."""

    @property
    def look_again_in_s(self) -> float:
        """How long to wait before the next look."""
        return self._look_again_in_s

    def look(self) -> None:
        """Compares them. Whoever differed at the last look too is set anew, and the log told. A store that cannot be read
        leaves everything as it was found last.
        """
        began_s = self._clock()
        try:
            found = self._differing()
            self._accepted &= found
            confirmed = (found - self._accepted) & self._suspects
            self._suspects = found - self._accepted - confirmed
            if confirmed and self._gallery.is_kept:
                self._mend(confirmed)
            elif confirmed:
                self.n_differing = len(confirmed)
                self._put_right(confirmed)
        except StoreError as error:
            _log.warning("gallery: it could not be compared with the store: %s", error)
        took_s = self._clock() - began_s
        self._look_again_in_s = LOOK_AGAIN_S if self._suspects else max(LOOK_EVERY_S, took_s / MAX_SHARE_OF_TIME)

    def _mend(self, confirmed: frozenset[SpeakerKey]) -> None:
        """Store and gallery are read one after the other, and other processes change both at once: whoever they change all
        the time differs at every look. Only under a speaker's lock does it show who differs in truth.
        """
        n_wrong = self._sync.settle(confirmed)
        self._accepted |= confirmed
        if n_wrong:
            _log.error("gallery: speakers who were not as the store has them: %s; they are set anew", f"{n_wrong:,}")

    def _put_right(self, confirmed: frozenset[SpeakerKey]) -> None:
        _log.error("gallery: speakers who are not as the store has them: %s; they are set anew", f"{len(confirmed):,}")
        self._suspects |= confirmed  # until it is done: a store that fails meanwhile is tried again
        self._sync.settle(confirmed)
        rest = self._differing() & confirmed
        # They are what could be read: a row that is damaged, or a sum of seconds that rounds to the other side.
        self._accepted |= rest
        self._suspects -= confirmed
        self.n_differing = 0
        if rest:
            _log.error(
                "gallery: speakers who cannot be read, and are not found until they enrol again: %s", f"{len(rest):,}"
            )
        else:
            _log.info("gallery: it is as the store has it again")

    def _differing(self) -> frozenset[SpeakerKey]:
        """Who is in one of them and not in the other."""
        columns: list[tuple[tuple[str, ...], NDArray[np.int64]]] = []
        n_stale = 0
        for batch in self._store.standings():
            is_enrolled = self._rule.is_enrolled(batch)
            n_stale += int(np.sum(~batch.is_of(self._rule.encoder_id)))
            columns.append((tuple(compress(batch.tenants, is_enrolled)), batch.numbers[is_enrolled]))
        self.n_stale = n_stale
        held = self._gallery.numbers()
        # A number is one tenant's, so numbers are compared alone: a million pairs would be as many objects.
        odd = np.setxor1d(_joined(numbers for _, numbers in columns), _joined(held.values()))
        found = {
            SpeakerKey(tenant, number)
            for tenant, numbers in held.items()
            for number in np.intersect1d(numbers, odd).tolist()
        }
        for tenants, numbers in columns if len(odd) else ():
            is_odd = np.isin(numbers, odd)
            found |= set(map(SpeakerKey, compress(tenants, is_odd), numbers[is_odd].tolist()))
        return frozenset(found)


def _joined(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *parts])
