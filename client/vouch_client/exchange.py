"""One call, from its first attempt to its answer: what to send, what to wait for, when to give up.

It does no input or output. It yields each step, and is sent what came of it, so that a blocking and an awaiting client
share every decision.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from vouch_client.address import Address
from vouch_client.answers import read, retry_after_s
from vouch_client.calls import Call, Resend
from vouch_client.errors import Unreachable

T = TypeVar("T")

MAX_WAIT_S = 30.0
"""Where the service asks for a longer wait, the caller is told instead of held."""
FIRST_BACKOFF_S = 0.5

# What fails before a byte of the request has left.
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


@dataclass(frozen=True)
class Wait:
    seconds: float


Step = httpx2.Request | Wait
Outcome = httpx2.Response | httpx2.RequestError | None
"""Of a request, its answer or how it failed; of a wait, None."""


def exchange(call: Call[T], address: Address, retries: int) -> Generator[Step, Outcome, T]:
    """Yields steps and returns what the call is for. Raises VouchError."""
    n_retries = 0 if call.resend is Resend.NEVER else retries
    n_done = 0
    while True:
        outcome = yield _request(call, address)
        if isinstance(outcome, httpx2.Response):
            wait_s = _told_wait(outcome)
            if wait_s is None or n_done >= n_retries:
                return read(call, outcome)
        else:
            assert outcome is not None, "a request has an outcome"
            was_sent = not isinstance(outcome, _UNSENT)
            if n_done >= n_retries or (was_sent and call.resend is not Resend.ALWAYS):
                raise _unreachable(call, address, outcome, was_sent) from outcome
            wait_s = _backoff(n_done)
        yield Wait(wait_s)
        n_done += 1


def _request(call: Call[Any], address: Address) -> httpx2.Request:
    headers = {"Accept": "application/json"}
    if address.key is not None:
        headers["Authorization"] = f"Bearer {address.key}"
    if call.idempotency_key is not None:
        headers["Idempotency-Key"] = call.idempotency_key
    return httpx2.Request(
        call.method,
        address.at(call.path),
        params=call.params or None,
        headers=headers,
        json=call.json,
        data=call.texts or None,
        # No file names: they may name people.
        files=[(field, ("clip", data)) for field, data in call.files] or None,
    )


def _told_wait(response: httpx2.Response) -> float | None:
    """The seconds after which the service wants the same call again; None where it does not, or too late to wait for."""
    told_s = retry_after_s(response)
    is_asked = response.status_code in (429, 503) and told_s is not None and told_s <= MAX_WAIT_S
    return told_s if is_asked else None


def _backoff(n_done: int) -> float:
    # Spread, so that the callers of a service that went down do not all come back at once.
    return FIRST_BACKOFF_S * float(2**n_done) * random.uniform(0.5, 1.0)  # nosec B311 # nobody gains by guessing it


def _unreachable(call: Call[Any], address: Address, error: httpx2.RequestError, was_sent: bool) -> Unreachable:
    why = str(error) or type(error).__name__
    if was_sent:
        return Unreachable(
            f"{address.url} did not answer ({why}); it may have done what {call.method} asked for.", was_sent=True
        )
    return Unreachable(f"{address.url} cannot be reached ({why}). Does the service run there?", was_sent=False)
