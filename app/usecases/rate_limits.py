"""How often a key may call, and how often it may claim to be one speaker: token buckets, in memory.

A bucket holds what a minute brings, so that many calls may come at once and then one at a time. Of each only one number
is kept: when it will be full again.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable

from app.access import Caller
from app.errors import RateLimited

MINUTE_S = 60.0
N_SLOTS = 4096


class RateLimits:
    """Used on the event loop only, so it needs no lock. A limit of 0 is none.

    Speakers share a fixed number of buckets in each key, chosen by a hash that nobody outside can know: memory stays the
    same however many are named, and naming many frees nobody's bucket. Two speakers in one bucket, 1 in 4,096 pairs,
    share its limit.
    """

    def __init__(
        self, calls_per_minute: int, claims_per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._calls_per_minute = calls_per_minute
        self._claims_per_minute = claims_per_minute
        self._clock = clock
        self._calls: dict[str, float] = {}
        self._claims: dict[str, array[float]] = {}

    def count_call(self, caller: Caller) -> None:
        """Raises RateLimited. Callers without a key are not limited: they are on this machine."""
        if caller.key_id is not None and self._calls_per_minute:
            full_s, wait_s = self._taken(self._calls.get(caller.key_id, 0.0), self._calls_per_minute)
            if wait_s > 0:
                raise _refusal(
                    f"This key has made its {self._calls_per_minute} calls a minute (VOUCH_RATE_LIMIT_PER_MINUTE).",
                    wait_s,
                )
            self._calls[caller.key_id] = full_s

    def count_claim(self, caller: Caller, speaker_id: str) -> None:
        """A verification of this speaker. Raises RateLimited."""
        if caller.key_id is not None and self._claims_per_minute:
            slots = self._claims.get(caller.key_id)
            if slots is None:
                slots = self._claims[caller.key_id] = array("d", bytes(8 * N_SLOTS))
            slot = hash(speaker_id) % N_SLOTS  # of text it is seeded anew in each process
            full_s, wait_s = self._taken(slots[slot], self._claims_per_minute)
            if wait_s > 0:
                raise _refusal(
                    f"This speaker was verified {self._claims_per_minute} times within a minute with this key "
                    "(VOUCH_VERIFY_LIMIT_PER_MINUTE).",
                    wait_s,
                )
            slots[slot] = full_s

    def _taken(self, full_s: float, per_minute: int) -> tuple[float, float]:
        """When the bucket will be full after taking one, and how long to wait until one is there to be taken."""
        now_s = self._clock()
        full_s = max(full_s, now_s) + MINUTE_S / per_minute
        # A nanosecond for what adding up rounds away.
        return full_s, full_s - now_s - MINUTE_S - 1e-9


def _refusal(what: str, wait_s: float) -> RateLimited:
    retry_after_s = math.ceil(wait_s)
    return RateLimited(f"{what} Try again in {retry_after_s} s.", retry_after_s=retry_after_s)
