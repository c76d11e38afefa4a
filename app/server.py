"""uvicorn, with a stop in two steps: first it is no longer ready, and then it takes no new connection.

A balancer learns from `/readyz` that it should send no more. Until it has asked, it goes on sending, and a socket that
closed at once would refuse those callers.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from types import FrameType

import uvicorn

from app.api.draining import STATE_DRAIN, Drain
from app.settings import Settings

log = logging.getLogger("vouch")

GRACE_S = 30
"""How long requests in flight may take once no new ones are taken."""
MAX_MESSAGE_BYTES = 1024 * 1024
"""More than a second of the fastest samples that are taken, in stereo; a larger message ends its stream."""
MAX_MESSAGES_WAITING = 4
START_FAILED = 3
"""uvicorn's exit status."""


class DrainingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        """SIGTERM ends it after `drain_s`; SIGINT, from somebody who waits for it, or a second SIGTERM at once."""
        super().__init__(config)
        self._drain_s = drain_s
        self._is_told = False
        self._ends_at_s: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # No log line and no lock in here: the handler may have interrupted either.
        if sig == signal.SIGTERM and self.started and not (self._is_told or self.should_exit):
            self._is_told = True
            return
        if self.started:
            self._drain().begin()
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._is_told and self._ends_at_s is None:
            self._drain().begin()
            self._ends_at_s = time.monotonic() + self._drain_s
            log.info("told to stop: no longer ready; new calls are taken for %g s more (VOUCH_DRAIN_S)", self._drain_s)
        if self._ends_at_s is not None and time.monotonic() >= self._ends_at_s and not self.should_exit:
            super().handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter)

    def _drain(self) -> Drain:
        drain = self.lifespan.state[STATE_DRAIN]
        assert isinstance(drain, Drain), "create_app gives it to its server"
        return drain


def run(settings: Settings) -> None:
    """Serves until it is told to stop. Raises what building the service raises."""
    config = uvicorn.Config(
        "app.main:from_environment",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # our own line has no speaker ids
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
        # Before a stream counts what it holds against the memory of all uploads, the server holds this much of it.
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_max_queue=MAX_MESSAGES_WAITING,
    )
    server = DrainingServer(config, settings.drain_s)
    try:
        server.run()
    except KeyboardInterrupt:
        return  # the signal that it was told to stop by, once more
    if not server.started:
        sys.exit(START_FAILED)
