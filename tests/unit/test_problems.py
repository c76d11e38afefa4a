"""What becomes of an error that no answer was written for."""

from __future__ import annotations

import json
import logging

import pytest

from app.api.problems import response_to
from model.errors import VouchError


class Unforeseen(VouchError):
    code = "unforeseen"


@pytest.mark.parametrize("error", [Unforeseen("alice's clip"), VouchError("alice's clip")])
def test_an_error_without_an_answer_of_its_own_tells_the_caller_where_to_look_and_no_more(
    error: VouchError, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="vouch"):
        answer = response_to(error, "req_1")
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["status"], body["request_id"]) == (500, 500, "req_1")
    assert "alice" not in bytes(answer.body).decode()
    assert caplog.messages == [f"unexpected {type(error).__name__}"]
