"""Lines of the log: what they hold, and that nothing from outside makes another one."""

from __future__ import annotations

import contextvars
import json
import logging
import re
from typing import Any

import pytest

from app.logs import FIELDS, JsonFormatter, TextFormatter, request_id
from logged import logged, written

log = logging.getLogger("vouch.tests")

START = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
FORGERIES = [
    "a\n2026-01-01T00:00:00.000Z INFO vouch: forged",
    "a\r\nb",
    "a\x0bb\x0cc",
    "a\x1b[2Kb",
    "a\x85b\u2028c\u2029d",
    "\x00",
]


def in_request(name: str, work: Any) -> None:
    context = contextvars.copy_context()
    context.run(request_id.set, name)
    context.run(work)


@pytest.mark.parametrize("sent", FORGERIES)
def test_a_text_line_stays_one_line_whatever_is_in_it(sent: str) -> None:
    with written(TextFormatter()) as text:
        log.info("got %s", sent)
    line = text.getvalue().removesuffix("\n")
    assert re.fullmatch(START + r"INFO vouch\.tests: got [^\x00-\x1f\x7f-\x9f\u2028\u2029]+", line)
    assert line.splitlines() == [line]


@pytest.mark.parametrize("sent", FORGERIES)
def test_a_traceback_forges_no_text_line(sent: str) -> None:
    with written(TextFormatter()) as text:
        try:
            raise ValueError(sent)
        except ValueError:
            log.exception("it failed")
    first, *rest = text.getvalue().removesuffix("\n").split("\n")
    assert re.fullmatch(START + r"ERROR vouch\.tests: it failed", first)
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)
    assert text.getvalue().splitlines() == [first, *rest]


@pytest.mark.parametrize("sent", FORGERIES)
def test_a_json_line_is_one_object_that_gives_back_what_was_logged(sent: str) -> None:
    with written(JsonFormatter()) as text:
        try:
            raise ValueError(sent)
        except ValueError:
            log.exception("got %s", sent)
    (line,) = text.getvalue().splitlines()
    assert line.isascii()
    found = json.loads(line)
    assert re.fullmatch(START.strip(), found.pop("time"))
    exception = found.pop("exception")
    assert exception.startswith("Traceback")
    assert exception.endswith(f"ValueError: {sent}")
    assert found == {"level": "error", "logger": "vouch.tests", "message": f"got {sent}"}


def test_a_line_carries_its_request_and_no_other() -> None:
    def work() -> None:
        log.info("in it")

    with written(TextFormatter()) as text:
        in_request("req_1", work)
        work()
    inside, outside = text.getvalue().splitlines()
    assert inside.endswith("in it request_id=req_1")
    assert outside.endswith("in it")
    with logged() as lines:
        in_request("req_1", work)
        work()
    assert [line.get("request_id") for line in lines] == ["req_1", None]


def test_fields_are_those_that_we_name_and_not_what_a_library_attaches() -> None:
    with logged() as lines:
        log.info("an access", extra={FIELDS: {"status": 200, "key_id": None}, "color_message": "coloured"})
    assert lines[0] == {
        "time": lines[0]["time"],
        "level": "info",
        "logger": "vouch.tests",
        "message": "an access",
        "status": 200,
        "key_id": None,
    }
