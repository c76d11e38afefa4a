"""How often a key may call, and claim to be one speaker: counted on a clock that stands still."""

from __future__ import annotations

import pytest

from app.access import SCOPES, Caller
from app.errors import RateLimited
from app.usecases.rate_limits import RateLimits


def caller(key_id: str | None = "a") -> Caller:
    return Caller(key_id, "t", frozenset(SCOPES))


def test_a_bucket_holds_a_minute_s_worth_and_refills_evenly() -> None:
    now_s = [1000.0]
    limits = RateLimits(4, 0, lambda: now_s[0])
    for _ in range(4):
        limits.count_call(caller())
    for _ in range(2):  # a refusal takes nothing
        with pytest.raises(RateLimited) as caught:
            limits.count_call(caller())
        assert caught.value.retry_after_s == 15
    limits.count_call(caller("b"))
    now_s[0] += 14.9
    with pytest.raises(RateLimited):
        limits.count_call(caller())
    now_s[0] += 0.1
    limits.count_call(caller())
    with pytest.raises(RateLimited):
        limits.count_call(caller())
    for _ in range(100):
        limits.count_call(caller(None))


def test_a_refusal_says_which_limit_was_reached_and_how_long_to_wait() -> None:
    limits = RateLimits(1, 3, lambda: 1000.0)
    limits.count_call(caller())
    with pytest.raises(RateLimited) as calls:
        limits.count_call(caller())
    assert str(calls.value) == (
        "This key has made its 1 calls a minute (VOUCH_RATE_LIMIT_PER_MINUTE). Try again in 60 s."
    )
    for _ in range(3):
        limits.count_claim(caller(), "alice")
    with pytest.raises(RateLimited) as claims:
        limits.count_claim(caller(), "alice")
    assert str(claims.value) == (
        "This speaker was verified 3 times within a minute with this key (VOUCH_VERIFY_LIMIT_PER_MINUTE). "
        "Try again in 20 s."
    )
    assert (calls.value.retry_after_s, claims.value.retry_after_s) == (60, 20)


def test_less_than_a_second_to_wait_is_a_refusal_too() -> None:
    limits = RateLimits(120, 120, lambda: 1000.0)
    for _ in range(120):
        limits.count_call(caller())
        limits.count_claim(caller(), "alice")
    for count in (lambda: limits.count_call(caller()), lambda: limits.count_claim(caller(), "alice")):
        with pytest.raises(RateLimited, match=r"Try again in 1 s\.$"):
            count()


def test_a_limit_of_zero_is_none_and_nobody_without_a_key_is_limited() -> None:
    limits = RateLimits(0, 0, lambda: 1000.0)
    strict = RateLimits(1, 1, lambda: 1000.0)
    for _ in range(3):
        limits.count_call(caller())
        limits.count_claim(caller(), "alice")
        strict.count_call(caller(None))
        strict.count_claim(caller(None), "alice")


def test_a_bucket_that_was_never_used_is_full_at_any_time() -> None:
    """The clock of a machine that has just started shows less than a minute."""
    limits = RateLimits(2, 2, lambda: 0.0)
    for _ in range(2):
        limits.count_call(caller())
        limits.count_claim(caller(), "alice")
    with pytest.raises(RateLimited):
        limits.count_call(caller())


def test_naming_many_speakers_takes_no_memory_and_frees_nobody() -> None:
    limits = RateLimits(0, 3, lambda: 1000.0)
    for _ in range(3):
        limits.count_claim(caller(), "alice")
    for number in range(20_000):
        try:
            limits.count_claim(caller(), f"speaker {number}")
        except RateLimited:
            continue
    with pytest.raises(RateLimited):
        limits.count_claim(caller(), "alice")
    limits.count_claim(caller("b"), "alice")
    assert sum(len(slots) for slots in limits._claims.values()) == 2 * 4096
