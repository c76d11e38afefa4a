"""A transaction that another one broke off is run again, a few times."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import SystemRandom
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from app.adapters.database_errors import InTheWay, was_written_meanwhile
from app.errors import StoreError

_T = TypeVar("_T")

N_TRIES = 6
FIRST_WAIT_S = 0.01
"""At most, before the second try; each wait may be twice as long as the one before. By chance, so that two do not meet again."""

_random = SystemRandom()


def carried_through(transaction: Callable[[], _T]) -> _T:
    """What a transaction gives. It is run again where it was undone for another one's sake, or found a key taken, or gone,
    that another one wrote since it looked: it must have no effect but the transaction's.

    Raises StoreError where the database refuses it for what it is.
    """
    n_tries = 0
    while True:
        n_tries += 1
        try:
            return transaction()
        except InTheWay:
            if n_tries == N_TRIES:
                raise
        except IntegrityError as error:
            if n_tries == N_TRIES or not was_written_meanwhile(error):
                raise StoreError(
                    f"The database refuses what it was given: {error.orig}. Report this as a bug."
                ) from error
        # Else the two that were in each other's way would meet again.
        time.sleep(_random.uniform(0, FIRST_WAIT_S * 2 ** (n_tries - 1)))
