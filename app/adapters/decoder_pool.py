"""Decoders in child processes: what an upload can do to a decoder, it does to a child, and to one caller."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from app.adapters.decoder_process import DecoderProcess
from app.errors import ModelNotReady
from model.decoding import DecodingLimits, decode_plain
from model.errors import CorruptAudio
from model.waveform import Waveform

log = logging.getLogger("vouch")

MAX_SECONDS = 10.0
"""For one clip, by the clock and of processor time. Two minutes of the slowest format take 0.3 s (measured)."""
MAX_CLIPS = 10_000
"""After which a child is replaced: whatever a native decoder leaks goes with it."""


class DecoderPool:
    """Fulfils `app.ports.Decoder`. Any number of threads may call it; `n_children` of them decode at once.

    Nobody who can be served by another child waits for one to start: what takes a child's place is started beside it.
    """

    def __init__(
        self,
        limits: DecodingLimits,
        n_children: int,
        max_seconds: float = MAX_SECONDS,
        died: Callable[[bytes, int | None], None] | None = None,
        max_clips: int = MAX_CLIPS,
        start: Callable[[DecodingLimits], DecoderProcess] = DecoderProcess,
    ) -> None:
        """Starts the children side by side. Raises ModelNotReady where they do not start.

        `died` is told of an upload that a child did not survive, and how it ended: its status, minus the number of a
        signal, None where it hung. By default the log is told, without the upload.
        """
        self._limits = limits
        self._died = died or _log_death
        self._max_seconds = max_seconds
        self._max_clips = max_clips
        self._start = start
        self._n_children = n_children
        # A thread for each child, so that a start that hangs holds up no other; none is made before it is needed.
        self._starter = ThreadPoolExecutor(n_children, thread_name_prefix="decoder-start")
        self._idle: queue.LifoQueue[_Place] = queue.LifoQueue()  # the last one used is the warmest
        children = [start(limits) for _ in range(n_children)]
        try:
            for child in children:
                child.wait_until_ready()
        except BaseException:
            for child in children:
                child.kill()
            raise
        for child in children:
            self._idle.put(_Place(child))
        if children[0].kept:
            log.info("Decoders run with less protection here; they keep %s.", "; ".join(children[0].kept))
        self._n_deaths = 0
        self._counting = threading.Lock()

    @property
    def n_deaths(self) -> int:
        return self._n_deaths

    def decode(self, data: bytes) -> Waveform:
        """Raises an AudioError: the child's own, or CorruptAudio where the file takes too long or kills the child.

        What needs no decoder is read on this thread: a child would guard against nothing, and a hop costs more.
        """
        waveform = decode_plain(data, self._limits)
        return self._decoded(data) if waveform is None else waveform

    def _decoded(self, data: bytes) -> Waveform:
        place = self._take()
        try:
            return place.child.decode(data, self._max_seconds)
        except CorruptAudio:
            if place.child.is_broken:
                with self._counting:
                    self._n_deaths += 1
                self._died(data, place.child.end_status())
            raise
        finally:
            self._put_back(place)

    def close(self) -> None:
        """Waits for the clips that are being decoded, and ends every child, and those that are being started."""
        for _ in range(self._n_children):
            self._idle.get().end()
        self._starter.shutdown()

    def _take(self) -> _Place:
        """One whose child lives. That a child died while it was idle is no fault of the next file.

        Raises ModelNotReady where all are dead and no other can be started.
        """
        for _ in range(self._n_children + 1):
            place = self._idle.get()
            if not place.child.has_ended():
                return place
            self._put_back(place)
        raise ModelNotReady("No decoder can be started now. Try again later; the service's log says why.")

    def _put_back(self, place: _Place) -> None:
        """At once where the child can decode, if only until its successor is ready; else when that is so."""
        if place.child.is_broken:
            place.child.kill()
        is_dead = place.child.has_ended()
        if place.successor is None and (is_dead or place.child.n_clips >= self._max_clips):
            place.successor = self._starter.submit(self._started)
        if place.successor is not None and (is_dead or place.successor.done()):
            place.successor.add_done_callback(lambda _: self._idle.put(place.succeeded()))
        else:
            self._idle.put(place)

    def _started(self) -> DecoderProcess:
        child = self._start(self._limits)
        try:
            child.wait_until_ready()
        except BaseException:
            child.kill()
            raise
        return child


class _Place:
    """A child, and what will take its place once it is ready. For one thread at a time."""

    def __init__(self, child: DecoderProcess) -> None:
        self.child = child
        self.successor: Future[DecoderProcess] | None = None

    def succeeded(self) -> _Place:
        """With the successor that is ready. Where it could not be started, the child stays, and the next clip tries again."""
        assert self.successor is not None
        try:
            fresh = self.successor.result()
        except (OSError, ModelNotReady) as error:  # the former where no process, memory or descriptor is left
            log.error("A decoder's child process cannot be replaced: %s", error)
        else:
            self.child.kill()
            self.child = fresh
        self.successor = None
        return self

    def end(self) -> None:
        """With a successor that is not ready yet, which is waited for."""
        if self.successor is not None:
            self.succeeded()
        self.child.end()


def _log_death(data: bytes, status: int | None) -> None:
    how = "hung" if status is None else f"ended with status {status}"
    log.warning("A decoder's child process %s over an upload of %d bytes; another takes its place.", how, len(data))
