"""What the service does by itself, now and then, until it stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from app.ports import AuditTrail
from app.usecases.catalogue import UseCases

log = logging.getLogger("vouch")

NOTE_USES_EVERY_S = 300
"""A commit for all the keys that were used meanwhile."""
SYNC_TRAIL_EVERY_S = 1
EXPIRE_EVERY_S = 30
CATCH_UP_EVERY_S = 10
"""For whoever identifies nobody for a while."""
PRUNE_EVERY_S = 600


def chores(use_cases: UseCases, trail: AuditTrail) -> list[Coroutine[Any, Any, None]]:
    """Each for a task of its own. Whoever stops the service does the rest of their work."""
    agreement = use_cases.agreement
    return [
        every(lambda: NOTE_USES_EVERY_S, use_cases.keys.write_uses),
        every(lambda: SYNC_TRAIL_EVERY_S, trail.sync),
        every(lambda: EXPIRE_EVERY_S, use_cases.expiry),
        every(lambda: CATCH_UP_EVERY_S, use_cases.sync.catch_up),
        every(lambda: PRUNE_EVERY_S, use_cases.sync.prune),
        every(lambda: agreement.look_again_in_s, agreement.look),
    ]


async def every(interval_s: Callable[[], float], work: Callable[[], object]) -> None:
    """Does it on a thread, until it is cancelled. A failure is logged, and the next time comes."""
    while True:
        await asyncio.sleep(interval_s())
        try:
            await asyncio.to_thread(work)
        except Exception:
            log.exception("a chore of the service failed; it is tried again")
