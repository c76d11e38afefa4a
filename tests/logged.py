"""The log as it is written: every logger's lines, through the formatters that `vouch serve` uses."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.logs import JsonFormatter, OfRequest


@contextmanager
def written(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """What is logged meanwhile, ours from `info` on; a test's own client logs too."""
    text, root = io.StringIO(), logging.getLogger()
    ours = [logging.getLogger(name) for name in ("vouch", "app")]
    levels = [logger.level for logger in ours]
    handler = logging.StreamHandler(text)
    handler.addFilter(OfRequest())
    handler.setFormatter(formatter)
    root.addHandler(handler)
    for logger in ours:
        logger.setLevel(logging.INFO)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        for logger, level in zip(ours, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """The same as JSON, filled when the block ends."""
    lines: list[dict[str, Any]] = []
    with written(JsonFormatter()) as text:
        yield lines
    lines.extend(json.loads(line) for line in text.getvalue().splitlines())
