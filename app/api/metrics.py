"""What `/metrics` tells: how long requests and their stages took, what was refused, how full the queue is, what is wrong.

Whatever becomes a label is one of a few: routes are templates, and nobody's id, tenant or own method is among them.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from app.api.problems import KINDS
from app.api.service import Service
from app.api.voice_metrics import VoiceMetrics
from app.ports import AuditTrail, Decoder
from app.stages import STAGES, Stage

CONTENT_TYPE = CONTENT_TYPE_LATEST

NO_ROUTE = "(no route)"
OTHER_METHOD = "(other)"
NO_STATUS = "(none)"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""A search takes less than a millisecond; a caller may wait for seconds in a full queue."""
REQUEST_BUCKETS_S = (*STAGE_BUCKETS_S, 30.0)


@dataclass(frozen=True)
class Ended:
    """A request that has ended, well or not."""

    method: str
    route: str | None
    """The template, such as `/v1/speakers/{speaker_id}`; None where no route was reached."""
    status: int
    """0 where the caller left before an answer."""
    problem_code: str | None
    took_s: float
    stages_s: Mapping[Stage, float]


class Metrics:
    """Of one app: each has a registry of its own, since a process may hold several. Threads may call it at once."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        stages = Histogram(
            "vouch_stage_seconds",
            "Time that one request spent in a stage, all its clips together.",
            ["stage"],
            buckets=STAGE_BUCKETS_S,
            registry=registry,
        )
        self._requests = Histogram(
            "vouch_request_seconds",
            "Time from a request's head to the end of its answer.",
            ["method", "route", "status"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        problems = Counter(
            "vouch_problems", "Answers that were a problem, by the problem's code.", ["code"], registry=registry
        )
        # There from the start, at 0: the first one of a kind would otherwise not show as an increase.
        self._stages = {name: stages.labels(name) for name in STAGES}
        self._problems = {code: problems.labels(code) for code in KINDS}
        self._n_taken = Gauge("vouch_work_places_taken", "Work at a worker or waiting for one.", registry=registry)
        self._n_places = Gauge("vouch_work_places", "Most of it; past that callers get 503.", registry=registry)
        self._n_unaudited = Gauge(
            "vouch_audit_unwritten",
            "Entries of the audit trail that wait for a disk that takes them.",
            registry=registry,
        )
        self._n_differing = Gauge(
            "vouch_gallery_differences",
            "Speakers whom store and gallery do not agree on; 0 unless something is wrong.",
            registry=registry,
        )
        self._n_stale = Gauge(
            "vouch_speakers_stale", "Speakers enrolled with another encoder than the one loaded.", registry=registry
        )
        self._free_bytes = Gauge(
            "vouch_data_free_bytes", "Free space where the data directory lies.", registry=registry
        )
        self._deaths = _DecoderDeaths()
        registry.register(self._deaths)
        self.voice = VoiceMetrics(registry)
        self._info = Info(
            "vouch",
            "What is loaded. Absent until the service is ready.",
            ["bundle_id", "encoder_id", "engine", "device", "version"],
            registry=registry,
        )

    def describe(self, service: Service, decoder: Decoder, trail: AuditTrail, data_dir: Path, version: str) -> None:
        """Called once the service has started."""
        facts, work, agreement = service.facts, service.work, service.use_cases.agreement
        self._info.clear()
        self._info.labels(facts.bundle_id, facts.encoder_id, facts.engine, facts.device, version).info({})
        self._n_taken.set_function(lambda: work.n_taken)
        self._n_places.set_function(lambda: work.n_places)
        self._n_unaudited.set_function(lambda: trail.n_unwritten)
        self._n_differing.set_function(lambda: agreement.n_differing)
        self._n_stale.set_function(lambda: agreement.n_stale)
        self._free_bytes.set_function(lambda: _free_bytes(data_dir))
        self._deaths.count = lambda: decoder.n_deaths

    def count(self, request: Ended) -> None:
        method = request.method if request.method in METHODS else OTHER_METHOD
        status = str(request.status) if request.status else NO_STATUS
        self._requests.labels(method, request.route or NO_ROUTE, status).observe(request.took_s)
        for name, seconds in request.stages_s.items():
            self._stages[name].observe(seconds)
        if request.problem_code is not None:
            self._problems[request.problem_code].inc()

    def text(self) -> bytes:
        """In the media type `CONTENT_TYPE`."""
        return generate_latest(self._registry)


class _DecoderDeaths(Collector):
    """A counter that somebody else counts, which the library has for gauges only."""

    def __init__(self) -> None:
        self.count: Callable[[], int] = lambda: 0

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            "vouch_decoder_deaths", "Decoder processes that an upload killed or hung.", value=self.count()
        )


def _free_bytes(folder: Path) -> float:
    """NaN where it cannot be told: no reason to tell nothing of the rest."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.nan
