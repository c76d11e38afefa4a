"""When a call is sent again, and after how long: a scripted network, and waits that are noted."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from vouch_client import TryLater, Unreachable
from vouch_client.errors import Overloaded, RateLimited
from vouch_client.exchange import FIRST_BACKOFF_S, MAX_WAIT_S
from vouch_clients import Kind, Script

CLIP = b"a clip"
UNSENT = [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("slow"), httpx2.PoolTimeout("full")]
SENT = [
    httpx2.ReadError("reset"),
    httpx2.ReadTimeout("slow"),
    httpx2.WriteError("broken pipe"),
    httpx2.RemoteProtocolError("left"),
]

Make = Callable[[Any], Any]
READS: dict[str, Make] = {
    "speaker": lambda vouch: vouch.speaker("alice"),
    "speakers": lambda vouch: list(vouch.speakers()),
    "enrollments": lambda vouch: vouch.enrollments("alice"),
    "model": lambda vouch: vouch.model(),
    "api_keys": lambda vouch: vouch.api_keys(),
}
KEYED_WRITES: dict[str, Make] = {
    "create_speaker": lambda vouch: vouch.create_speaker(),
    "enroll": lambda vouch: vouch.enroll("alice", [CLIP]),
}
ONCE: dict[str, Make] = {
    "compare": lambda vouch: vouch.compare(CLIP, CLIP),
    "verify": lambda vouch: vouch.verify("alice", CLIP),
    "identify": lambda vouch: vouch.identify(CLIP),
    "embed": lambda vouch: vouch.embed(CLIP),
    "change_speaker": lambda vouch: vouch.change_speaker("alice", display_name="A"),
    "erase_speaker": lambda vouch: vouch.erase_speaker("alice"),
    "take_back": lambda vouch: vouch.take_back("alice", "enr_1"),
    "revoke_key": lambda vouch: vouch.revoke_key("0f3c"),
}
NEVER: dict[str, Make] = {
    "create_key": lambda vouch: vouch.create_key(name="k", scopes=["verify"]),
    "rotate_key": lambda vouch: vouch.rotate_key("0f3c"),
}


def done() -> httpx2.Response:
    return httpx2.Response(200, json={"speakers": [], "next_cursor": None, "enrollments": [], "keys": []})


def refused(status: int = 503, code: str = "overloaded", retry_after: str | None = "2") -> httpx2.Response:
    return httpx2.Response(
        status,
        headers={} if retry_after is None else {"Retry-After": retry_after},
        json={"code": code, "detail": "All places are taken.", "request_id": "req_1", "status": status},
    )


def each(*groups: dict[str, Make]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("make", [pytest.param(make, id=name) for g in groups for name, make in g.items()])


@each(READS, KEYED_WRITES)
@pytest.mark.parametrize("failure", [*UNSENT, *SENT], ids=lambda failure: type(failure).__name__)
def test_what_may_be_done_twice_is_sent_again_after_any_failure(make: Make, failure: Exception, kind: Kind) -> None:
    script = Script(failure, done())
    make(script.client(kind))
    assert len(script.requests) == 2


@each(ONCE)
@pytest.mark.parametrize("failure", UNSENT, ids=lambda failure: type(failure).__name__)
def test_what_counts_once_is_sent_again_where_nothing_went_out(make: Make, failure: Exception, kind: Kind) -> None:
    script = Script(failure, done())
    make(script.client(kind))
    assert len(script.requests) == 2


@each(ONCE)
@pytest.mark.parametrize("failure", SENT, ids=lambda failure: type(failure).__name__)
def test_what_counts_once_is_not_sent_twice(make: Make, failure: Exception, kind: Kind) -> None:
    script = Script(failure)
    with pytest.raises(Unreachable, match="may have done") as caught:
        make(script.client(kind))
    assert caught.value.was_sent
    assert caught.value.__cause__ is failure
    assert script.waits == []


@each(NEVER)
def test_a_key_is_asked_for_once_whatever_comes(make: Make, kind: Kind) -> None:
    for step, error in [(UNSENT[0], Unreachable), (SENT[0], Unreachable), (refused(), Overloaded)]:
        script = Script(step)
        with pytest.raises(error):
            make(script.client(kind))
        assert len(script.requests) == 1


@each(READS, KEYED_WRITES, ONCE)
@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "overloaded")])
def test_a_refusal_is_waited_out_as_long_as_it_says(make: Make, status: int, code: str, kind: Kind) -> None:
    script = Script(refused(status, code, "7"), refused(status, code, "1"), done())
    make(script.client(kind))
    assert script.waits == [7.0, 1.0]


@pytest.mark.parametrize("retry_after", [None, "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_refusal_that_names_no_seconds_is_final(retry_after: str | None, kind: Kind) -> None:
    script = Script(refused(retry_after=retry_after))
    with pytest.raises(Overloaded) as caught:
        script.client(kind).model()
    assert caught.value.retry_after_s is None
    assert script.waits == []


def test_a_long_wait_is_told_and_not_waited_for(kind: Kind) -> None:
    longest = int(MAX_WAIT_S)
    script = Script(refused(429, "rate_limited", str(longest)), refused(429, "rate_limited", str(longest + 1)))
    with pytest.raises(RateLimited) as caught:
        script.client(kind).model()
    assert caught.value.retry_after_s == longest + 1
    assert script.waits == [longest]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_there_are_as_many_retries_as_were_asked_for(retries: int, kind: Kind) -> None:
    script = Script(*(refused() for _ in range(retries + 1)))
    with pytest.raises(TryLater):
        script.client(kind, retries=retries).model()
    assert len(script.requests) == retries + 1
    script = Script(*[UNSENT[0]] * (retries + 1))
    with pytest.raises(Unreachable, match=r"cannot be reached \(refused\)") as caught:
        script.client(kind, retries=retries).model()
    assert not caught.value.was_sent
    assert len(script.requests) == retries + 1


def test_after_failures_the_waits_grow(kind: Kind) -> None:
    script = Script(*[UNSENT[0]] * 4, done())
    script.client(kind, retries=4).model()
    for n, wait_s in enumerate(script.waits):
        assert FIRST_BACKOFF_S * 2**n / 2 <= wait_s <= FIRST_BACKOFF_S * 2**n
    assert len(script.waits) == 4


@each(KEYED_WRITES)
def test_a_retry_has_the_idempotency_key_of_the_first_and_the_next_call_another(make: Make, kind: Kind) -> None:
    script = Script(SENT[0], refused(), done(), done())
    vouch = script.client(kind)
    make(vouch)
    make(vouch)
    first, second, third, other = (request.headers["Idempotency-Key"] for request in script.requests)
    assert first == second == third != other


@each(READS, ONCE, NEVER)
def test_what_the_service_takes_no_idempotency_key_for_has_none(make: Make, kind: Kind) -> None:
    script = Script(done())
    make(script.client(kind))
    assert "Idempotency-Key" not in script.requests[0].headers


@pytest.mark.parametrize("key", ["", "two words", "ключ", "x" * 256, "a\n"])
def test_an_idempotency_key_that_no_service_takes_is_refused(key: str, kind: Kind) -> None:
    script = Script()
    with pytest.raises(ValueError, match="visible ASCII"):
        script.client(kind).create_speaker(idempotency_key=key)


def test_a_retry_sends_an_open_file_whole_again(kind: Kind) -> None:
    script = Script(SENT[0], done())
    script.client(kind).enroll("alice", [io.BytesIO(CLIP)])
    for request in script.requests:
        assert CLIP in request.content


def test_readiness_is_asked_for_once(kind: Kind) -> None:
    for step in (UNSENT[0], SENT[0], refused(code="model_not_ready")):
        script = Script(step)
        assert script.client(kind).is_ready() is False
        assert len(script.requests) == 1
