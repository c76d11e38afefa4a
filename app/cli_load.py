"""Callers side by side against the use cases of this process, as the service's own queue takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from app.ports import WorkQueue
from app.stages import STAGES, Stage, StageTimes, recording

Request = Callable[[int], object]
"""Does the work of one request. The number says which of the clips to take."""


@dataclass(frozen=True)
class Measured:
    """What so many callers got, each of whom waits for his answer before he asks again."""

    n_callers: int
    per_second: float
    p50_ms: float
    p95_ms: float
    stage_ms: Mapping[Stage, float]
    """A request's mean; clips that are heard side by side count each."""


def measure(work: WorkQueue, request: Request, n_callers: int, seconds: float) -> Measured:
    """Asks for `seconds`, and waits for what was begun by then."""
    return asyncio.run(_measure(work, request, n_callers, seconds))


async def _measure(work: WorkQueue, request: Request, n_callers: int, seconds: float) -> Measured:
    times, took_s = StageTimes(), list[float]()
    start_s = time.perf_counter()

    async def caller(first: int) -> None:
        number = first
        while (begun_s := time.perf_counter()) - start_s < seconds:
            with recording(times):
                await work.run(lambda chosen=number: request(chosen))  # type: ignore[misc]
            took_s.append(time.perf_counter() - begun_s)
            number += n_callers

    await asyncio.gather(*map(caller, range(n_callers)))
    elapsed_s, n_requests = time.perf_counter() - start_s, len(took_s)
    p50_s, p95_s = np.percentile(took_s, [50, 95])
    spent_s = times.seconds()
    return Measured(
        n_callers=n_callers,
        per_second=n_requests / elapsed_s,
        p50_ms=1000 * float(p50_s),
        p95_ms=1000 * float(p95_s),
        stage_ms={name: 1000 * spent_s[name] / n_requests for name in STAGES if name in spent_s},
    )
