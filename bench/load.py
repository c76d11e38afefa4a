"""Load on a server from a process of its own: clients that wait for their answers, or arrivals that wait for nobody.

Latency counts from when a request was due. In an open loop that is the arrival that was drawn for it, whether or not the
generator or a connection was free by then: a server that stalls is charged for everybody who would have come meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvloop
from http_client import Answer, Connection, open_connection

MAX_CONNECTIONS = 512
LEFT = 0
"""The status of an exchange that had no answer."""


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it. Seconds of one clock; `timing` is the answer's Server-Timing header."""

    due_s: float
    sent_s: float
    done_s: float
    status: int
    timing: str = ""
    retry_after: str | None = None

    @property
    def latency_s(self) -> float:
        return self.done_s - self.due_s


@dataclass(frozen=True)
class Load:
    """What a stretch of load came to."""

    exchanges: Sequence[Exchange]
    begin_s: float
    duration_s: float
    """Of the arrivals; answers may have come later, and no rate counts those."""
    generator_cpu_s: float
    """Processor time of the generator until the last answer."""

    def rate(self, status: int = 200) -> float:
        """Answers of a status, a second."""
        end_s = self.begin_s + self.duration_s
        return sum(e.status == status and e.done_s <= end_s for e in self.exchanges) / self.duration_s

    @property
    def generator_share(self) -> float:
        """Of one core."""
        return self.generator_cpu_s / (max(e.done_s for e in self.exchanges) - self.begin_s)

    def statuses(self) -> Counter[int]:
        return Counter(e.status for e in self.exchanges)

    def latencies_ms(self, status: int = 200) -> Latencies:
        """From when each request was due."""
        return Latencies.of([e.latency_s for e in self.exchanges if e.status == status])

    def answer_times_ms(self, status: int) -> Latencies:
        """From when each request was sent."""
        return Latencies.of([e.done_s - e.sent_s for e in self.exchanges if e.status == status])

    def stages_ms(self) -> dict[str, float]:
        """The mean of each stage over the 200s, in the order of the header; a stage that did not happen is 0 ms."""
        timings = [stages_of(e.timing) for e in self.exchanges if e.status == 200]
        names = dict.fromkeys(name for timing in timings for name in timing)
        return {name: sum(timing.get(name, 0.0) for timing in timings) / len(timings) for name in names}


@dataclass(frozen=True)
class Latencies:
    n: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """In milliseconds; all NaN where there is none."""
        if not seconds:
            return cls(0, *[float("nan")] * 4)
        return cls(len(seconds), *(float(x) for x in 1000 * np.percentile(seconds, (50, 95, 99, 100))))


def stages_of(timing: str) -> Mapping[str, float]:
    """A Server-Timing header -> milliseconds by stage."""
    found = {}
    for entry in filter(None, timing.split(", ")):
        name, _, duration = entry.partition(";dur=")
        found[name] = float(duration)
    return found


def arrivals(rate: float, duration_s: float, seed: int) -> list[float]:
    """A Poisson process: seconds from its begin, in order."""
    rng, times, t = random.Random(seed), [], 0.0
    while (t := t + rng.expovariate(rate)) < duration_s:
        times.append(t)
    return times


# --- in the generator's process ---------------------------------------------------------------------------------------


def closed_loop(ports: Sequence[int], requests: Sequence[bytes], n_clients: int, duration_s: float) -> Load:
    """Each client sends its next request when it has the answer to its last one; clients take the ports in turn."""
    return _run(_closed(ports, requests, n_clients, duration_s))


def open_loop(port: int, requests: Sequence[bytes], due: Sequence[float], duration_s: float) -> Load:
    """A request at each of the times `due`, whatever became of those before it."""
    return _run(_open(port, requests, due, duration_s))


def _run(work: Coroutine[Any, Any, Load]) -> Load:
    gc.collect()
    gc.disable()  # its pauses would be the server's
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    finally:
        gc.enable()


async def _closed(ports: Sequence[int], requests: Sequence[bytes], n_clients: int, duration_s: float) -> Load:
    servers = [_Connections(port) for port in ports]
    exchanges: list[Exchange] = []
    numbers = itertools.count()
    begin_s, cpu_s = time.perf_counter(), time.process_time()

    async def client(server: _Connections) -> None:
        while (due_s := time.perf_counter()) < begin_s + duration_s:
            exchanges.append(await server.exchange(requests[next(numbers) % len(requests)], due_s))

    await asyncio.gather(*(client(servers[number % len(servers)]) for number in range(n_clients)))
    for server in servers:
        server.close()
    return Load(exchanges, begin_s, duration_s, time.process_time() - cpu_s)


async def _open(port: int, requests: Sequence[bytes], due: Sequence[float], duration_s: float) -> Load:
    idle = _Connections(port)
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    under_way = []
    for number, offset_s in enumerate(due):
        due_s = begin_s + offset_s
        if (early_s := due_s - time.perf_counter()) > 0:
            await asyncio.sleep(early_s)
        under_way.append(asyncio.create_task(idle.exchange(requests[number % len(requests)], due_s)))
        await asyncio.sleep(0)  # answers are taken in between, even by a generator that is late
    exchanges = await asyncio.gather(*under_way)
    idle.close()
    return Load(exchanges, begin_s, duration_s, time.process_time() - cpu_s)


class _Connections:
    """As many as are needed at once, up to `MAX_CONNECTIONS`; who finds none waits, and is charged for it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []  # the last one used first: the server closes what idles for long
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)

    async def exchange(self, request: bytes, due_s: float) -> Exchange:
        async with self._places:
            sent_s = time.perf_counter()
            try:
                answer = await self._ask(request)
            except OSError:
                return Exchange(due_s, sent_s, time.perf_counter(), LEFT)
            done_s = time.perf_counter()
        timing, retry_after = answer.header("server-timing") or "", answer.header("retry-after")
        return Exchange(due_s, sent_s, done_s, answer.status, timing, retry_after)

    async def _ask(self, request: bytes) -> Answer:
        connection = await self._take()
        try:
            answer = await connection.ask(request)
        except ConnectionError:
            if connection.n_asked == 1:
                raise
            # It was idle, and the server closed it as the request left, as any server may: every client sends anew.
            connection = await open_connection(self._port)
            answer = await connection.ask(request)
        if connection.is_open:
            self._idle.append(connection)
        return answer

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return await open_connection(self._port)

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


# --- in the benchmark's process ---------------------------------------------------------------------------------------


class Generator:
    """Runs load in its own process, so that neither the benchmark nor the server pays for the other's interpreter."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def closed_loop(self, ports: Sequence[int], requests: Sequence[bytes], n_clients: int, duration_s: float) -> Load:
        return self._pool.submit(closed_loop, ports, requests, n_clients, duration_s).result()

    def open_loop(self, port: int, requests: Sequence[bytes], rate: float, duration_s: float, seed: int) -> Load:
        """Poisson arrivals."""
        due = arrivals(rate, duration_s, seed)
        return self._pool.submit(open_loop, port, requests, due, duration_s).result()


@contextmanager
def generator() -> Iterator[Generator]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Generator(pool)
