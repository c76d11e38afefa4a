"""bench/api_contract.py: which refusal a key is due, and what later calls may name."""

from __future__ import annotations

from api_contract_calls import Bearer, Known

from app.api.openapi import OPEN, needs

VERIFIES = Bearer(frozenset({"verify", "scores"}), {})
NOBODY = Bearer(None, {})


def test_a_key_is_refused_what_its_scopes_lack() -> None:
    for bearer, document, refusal in (
        (VERIFIES, needs("verify"), None),
        (VERIFIES, needs("admin"), 403),
        (VERIFIES, needs(), None),
        (NOBODY, needs("verify"), 401),
        (NOBODY, needs(), 401),
        (NOBODY, OPEN, None),
    ):
        assert bearer.refusal(document["security"]) == refusal


def test_what_was_made_can_be_named() -> None:
    known = Known()
    known.note({"speaker_id": "carol"})
    known.note({"enrollments": [{"enrollment_id": "e1"}, {"enrollment_id": "e2"}], "speaker": {"speaker_id": "carol"}})
    known.note({"key": "vouch_0f_secret", "about": {"key_id": "0f"}})
    assert known == Known(["carol"], [("carol", "e1"), ("carol", "e2")], ["0f"])
