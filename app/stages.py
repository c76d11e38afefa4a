"""Where the time of a request goes: seconds for each stage, added up by whoever does the work.

Code that does a stage's work says `with stage("decode"):` and knows no request; whoever begins a request says whose times
they are. Work that another thread does must run in a copy of the request's context, or its stages are nobody's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Self, get_args

Stage = Literal["queue", "decode", "quality", "encode", "replay", "search", "store"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which a clip meets them."""


class StageTimes:
    """Seconds for each stage of one request. Threads may add at once: their seconds add up."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}
        self._lock = threading.Lock()

    def add(self, name: Stage, seconds: float) -> None:
        with self._lock:
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def seconds(self) -> Mapping[Stage, float]:
        """So far, in the order of `STAGES`. A stage that did not happen is not in it."""
        with self._lock:
            return {name: self._seconds[name] for name in STAGES if name in self._seconds}


_current: ContextVar[StageTimes | None] = ContextVar("stage_times", default=None)


@contextmanager
def recording(times: StageTimes) -> Iterator[None]:
    """Stages of this context, and of contexts copied from it, are added to `times`."""
    token = _current.set(times)
    try:
        yield
    finally:
        _current.reset(token)


class stage:  # noqa: N801  # read as a statement: `with stage("decode"):`
    """Adds the time between its begin and its end to the request that it began in; to none outside of a request.

    Not a generator: a request passes through dozens of these.
    """

    __slots__ = ("_name", "_start_s", "_times")

    def __init__(self, name: Stage) -> None:
        self._name = name
        self._times: StageTimes | None = None
        self._start_s = 0.0

    def begin(self) -> Self:
        self._times = _current.get()
        if self._times is not None:
            self._start_s = time.perf_counter()
        return self

    def end(self) -> None:
        """In any thread and context. A second end adds nothing."""
        if self._times is not None:
            self._times.add(self._name, time.perf_counter() - self._start_s)
            self._times = None

    __enter__ = begin

    def __exit__(self, *_: object) -> None:
        self.end()
