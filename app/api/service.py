"""What the routes reach: the use cases, and what the answers quote."""

from __future__ import annotations

from dataclasses import dataclass

from app.api.uploads import UploadLimits, UploadMemory
from app.ports import WorkQueue
from app.records import ModelFacts
from app.usecases.catalogue import UseCases


@dataclass(frozen=True)
class Service:
    """A service that has started: the encoder is loaded and the gallery rebuilt."""

    use_cases: UseCases
    facts: ModelFacts
    work: WorkQueue
    upload_limits: UploadLimits
    upload_memory: UploadMemory
