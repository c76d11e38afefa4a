"""/v1/speakers: make, read, list, change, erase."""

from __future__ import annotations

import json
import re
from datetime import datetime
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_client import DocumentedClient, enroll, problem, serving

CONSENT = {"purpose": "login", "given_at": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00+01:00"}
ALLOWED_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def test_a_speaker_is_made_under_the_caller_s_id(client: DocumentedClient) -> None:
    sent = {"speaker_id": "alice", "display_name": "Älice", "metadata": {"a": [1, None, "ü"]}, "consent": CONSENT}
    answer = client.post("/v1/speakers", json=sent)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/v1/speakers/alice"
    body = answer.json()
    assert set(body) == {
        *("speaker_id", "display_name", "metadata", "status", "enrollment_count", "speech_s", "remaining_speech_s"),
        *("encoder_id", "created_at", "updated_at", "consent"),
    }
    assert {name: body[name] for name in ("speaker_id", "display_name", "metadata")} == {
        name: sent[name] for name in ("speaker_id", "display_name", "metadata")
    }
    assert body["consent"]["purpose"] == "login"
    assert (body["status"], body["enrollment_count"], body["speech_s"]) == ("empty", 0, 0.0)
    assert (body["remaining_speech_s"], body["encoder_id"]) == (5.0, None)
    assert datetime.fromisoformat(body["created_at"]).utcoffset() is not None
    assert client.get("/v1/speakers/alice").json() == body


def test_an_id_is_made_up_where_none_is_given(client: DocumentedClient) -> None:
    first, second = (client.post("/v1/speakers", json={}).json()["speaker_id"] for _ in range(2))
    assert re.fullmatch(r"spk_[A-Za-z0-9_-]{22}", first)
    assert first != second
    assert client.get(f"/v1/speakers/{first}").status_code == 200


def test_an_id_can_be_taken_once_until_it_is_erased(client: DocumentedClient) -> None:
    client.post("/v1/speakers", json={"speaker_id": "alice"})
    assert "alice" in problem(client.post("/v1/speakers", json={"speaker_id": "alice"}), 409, "speaker_exists")
    assert client.delete("/v1/speakers/alice").status_code == 204
    assert client.post("/v1/speakers", json={"speaker_id": "alice"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"speaker_id": ""}, "speaker_id"),
        ({"speaker_id": "a b"}, "speaker_id"),
        ({"speaker_id": "a\n"}, "speaker_id"),
        ({"speaker_id": ".."}, "speaker_id"),
        ({"speaker_id": "x" * 129}, "speaker_id"),
        ({"speaker_id": 7}, "speaker_id"),
        ({"display_name": "x" * 201}, "display_name"),
        ({"display_name": "a\x00b"}, "display_name"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": "x" * 4096}}, "metadata"),
        ({"metadata": {"a": "\x00"}}, "metadata"),
        ({"consent": {"purpose": "x"}}, "consent.given_at"),
        ({"consent": {**CONSENT, "given_at": "2026-01-01T00:00:00"}}, "consent.given_at"),
        ({"consent": {**CONSENT, "expires_at": "2025-01-01T00:00:00Z"}}, "consent"),
        ({"consent": {**CONSENT, "purpose": ""}}, "consent.purpose"),
        ({"name": "alice"}, "name"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(client: DocumentedClient, body: dict[str, object], field: str) -> None:
    answer = client.post("/v1/speakers", json=body)
    assert problem(answer, 422, "invalid_argument").startswith(f"{field}: ")
    assert answer.json()["errors"][0]["field"] == field
    assert client.get("/v1/speakers").json()["speakers"] == []


@pytest.mark.parametrize(
    "raw",
    [
        b'{"metadata": {"a": NaN}}',
        b'{"metadata": {"a": -Infinity}}',
        b'{"metadata": {"a": 1e999}}',
        b'{"metadata": {"a": "\\ud800"}}',
        b'{"metadata": {"\\ud800": 1}}',
        b'{"display_name": "\\ud800"}',
        b'{"speaker_id": "\\ud800"}',
        b'{"metadata": ' + b'{"a":' * 500 + b"1" + b"}" * 501,
        b'{"metadata": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
        b'{"metadata": {"a": ' + b"9" * 5000 + b"}}",
        b'{"speaker_id": "al',
        b"\xff\xfe",
        b"[]",
        b"null",
        b"",
    ],
)
def test_odd_json_is_refused_not_stumbled_over(client: DocumentedClient, raw: bytes) -> None:
    answer = client.post("/v1/speakers", content=raw, headers={"Content-Type": "application/json"})
    problem(answer, 422, "invalid_argument")


def test_json_must_be_said_to_be_json(client: DocumentedClient) -> None:
    answer = client.post("/v1/speakers", content=b"{}", headers={"Content-Type": "text/plain"})
    problem(answer, 422, "invalid_argument")


def test_metadata_of_exactly_4_kib_is_kept(client: DocumentedClient) -> None:
    filler = 4096 - len(json.dumps({"a": ""}, separators=(",", ":")))
    assert client.post("/v1/speakers", json={"metadata": {"a": "x" * filler}}).status_code == 201
    answer = client.post("/v1/speakers", json={"metadata": {"a": "x" * (filler + 1)}})
    assert "4097 bytes as JSON; at most 4096" in problem(answer, 422, "invalid_argument")


def test_patch_tells_absent_from_null(client: DocumentedClient) -> None:
    made = client.post(
        "/v1/speakers",
        json={"speaker_id": "alice", "display_name": "Alice", "metadata": {"a": 1}, "consent": CONSENT},
    ).json()
    renamed = client.patch("/v1/speakers/alice", json={"display_name": "Al"}).json()
    assert renamed == {**made, "display_name": "Al", "updated_at": renamed["updated_at"]}
    assert renamed["updated_at"] > made["updated_at"]
    cleared = client.patch("/v1/speakers/alice", json={"display_name": None, "metadata": None, "consent": None}).json()
    assert (cleared["display_name"], cleared["metadata"], cleared["consent"]) == (None, {}, None)
    assert client.patch("/v1/speakers/alice", json={}).json() == cleared
    problem(client.patch("/v1/speakers/alice", json={"speaker_id": "bob"}), 422, "invalid_argument")
    problem(client.patch("/v1/speakers/bob", json={}), 404, "speaker_not_found")


def test_pages_list_everybody_once(client: DocumentedClient) -> None:
    names = [f"s{i}" for i in range(7)]
    for name in names:
        client.post("/v1/speakers", json={"speaker_id": name})
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/speakers", params=params).json()
        seen += [speaker["speaker_id"] for speaker in page["speakers"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == names


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=made-up", f"cursor={'x' * 501}"])
def test_odd_pages_are_refused(client: DocumentedClient, query: str) -> None:
    problem(client.get(f"/v1/speakers?{query}"), 422, "invalid_argument")


def test_erasing_is_for_good(client: DocumentedClient) -> None:
    enroll(client, "alice")
    assert client.delete("/v1/speakers/alice").status_code == 204
    for answer in (
        client.get("/v1/speakers/alice"),
        client.get("/v1/speakers/alice/enrollments"),
        client.delete("/v1/speakers/alice"),
    ):
        assert "alice" in problem(answer, 404, "speaker_not_found")
    assert client.get("/v1/speakers").json()["speakers"] == []


def test_a_repeated_create_with_one_key_makes_one_speaker(client: DocumentedClient) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = client.post("/v1/speakers", content=b'{"display_name":"A","metadata":{}}', headers=key | JSON)
    again = client.post("/v1/speakers", content=b'{ "metadata": {}, "display_name": "A" }', headers=key | JSON)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert len(client.get("/v1/speakers").json()["speakers"]) == 1
    other = client.post("/v1/speakers", json={"display_name": "B"}, headers=key)
    assert "k-1" in problem(other, 409, "idempotency_conflict")


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"a b", b"a\tb", "ä".encode()])
def test_odd_idempotency_keys_are_refused(client: DocumentedClient, key: bytes) -> None:
    answer = client.post("/v1/speakers", json={}, headers=[(b"Idempotency-Key", key)])
    assert "Idempotency-Key" in problem(answer, 422, "invalid_argument")


def test_any_id_is_taken_whole_or_refused() -> None:
    with serving() as client:
        taken: set[str] = set()

        @settings(max_examples=150, deadline=None, derandomize=True)
        @given(st.one_of(st.text(max_size=140), st.from_regex(ALLOWED_ID, fullmatch=True)))
        def check(speaker_id: str) -> None:
            answer = client.post("/v1/speakers", content=json.dumps({"speaker_id": speaker_id}), headers=JSON)
            if ALLOWED_ID.fullmatch(speaker_id) and speaker_id not in (".", ".."):
                assert answer.status_code == (409 if speaker_id in taken else 201)
                taken.add(speaker_id)
                assert client.get(answer.headers.get("Location", f"/v1/speakers/{speaker_id}")).status_code == 200
            else:
                problem(answer, 422, "invalid_argument")

        check()
        assert len(taken) > 20


def test_any_id_in_a_path_is_answered_with_404_or_422(client: DocumentedClient) -> None:
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.text(min_size=1, max_size=140).filter(lambda text: text not in (".", "..")))
    def check(speaker_id: str) -> None:
        path = f"/v1/speakers/{quote(speaker_id, safe='', errors='replace')}"
        assert client.get(path).status_code in (404, 422)
        assert client.delete(f"{path}/enrollments/{quote(speaker_id, safe='', errors='replace')}").status_code in (
            404,
            422,
        )

    check()
