"""The log's lines, as text or as JSON, each with the request that it belongs to.

Formatters of our own: what leaves is a list that is written here, so that nothing a library attaches to a record does. The
standard library does the rest.
"""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that this context works for. Threads that work for it run in copies of its context."""

FIELDS = "fields"
"""What a call that logs names in `extra`: a mapping of further fields, for JSON. Their names are ours, never a caller's."""

_ENDS_A_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters but the tab: those that end a line somewhere, and those that a terminal obeys."""


class OfRequest(logging.Filter):
    """Notes on a record the request in whose context it was made. Of a handler: loggers do not filter their children's."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class TextFormatter(logging.Formatter):
    """`time LEVEL logger: message request_id=…`, for people.

    Text from outside cannot forge a line: what would end one is escaped, and those of a traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name}: {_escaped(record.getMessage())}"
        if (of_request := getattr(record, "request_id", None)) is not None:
            line += f" request_id={of_request}"
        trace = [] if not record.exc_info else self.formatException(record.exc_info).split("\n")
        return "\n".join([line, *("    " + _escaped(one) for one in trace)])


class JsonFormatter(logging.Formatter):
    """One object a line, in ASCII: `time`, `level`, `logger`, `message`, and where there are any `request_id`, the fields
    of an access line, `exception`.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (of_request := getattr(record, "request_id", None)) is not None:
            line["request_id"] = of_request
        line |= getattr(record, FIELDS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(level: str, log_format: LogFormat) -> None:
    """Our own lines and the server's from `level` on; the libraries' only when something is wrong. For a whole process."""
    handler = logging.StreamHandler()
    handler.addFilter(OfRequest())
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.captureWarnings(True)
    for name in ("vouch", "app", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())
    # Its warnings quote bytes of a malformed body.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def _time(record: logging.LogRecord) -> str:
    """UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _escaped(text: str) -> str:
    return _ENDS_A_LINE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
