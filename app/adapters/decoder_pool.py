"""Decoders in child processes: what an upload can do to a decoder, it does to a child, and to one caller."""

from __future__ import annotations

import json
import logging
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from app.adapters.decoder_child import LENGTH, READY, fill, receive, send
from app.errors import ModelNotReady
from model.decoding import CODEC_PADDING_S, DecodingLimits, decode_plain
from model.errors import AudioError, AudioTooLarge, AudioTooLong, CorruptAudio, UnsupportedAudio
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform

log = logging.getLogger("vouch")

MAX_SECONDS = 10.0
"""For one clip, by the clock and of processor time. Two minutes of the slowest format take 0.3 s (measured)."""
START_SECONDS = 60.0
MAX_CLIPS = 10_000
"""After which a child is replaced: whatever a native decoder leaks goes with it."""
_ERRORS: Mapping[str, type[AudioError]] = {
    error.__name__: error for error in (AudioTooLarge, AudioTooLong, CorruptAudio, UnsupportedAudio)
}
_SOCKET_BUFFER_BYTES = 1024 * 1024
"""A clip's samples in one piece, where the system allows it."""


class DecoderPool:
    """Fulfils `app.ports.Decoder`. Any number of threads may call it; `n_children` of them decode at once."""

    def __init__(
        self,
        limits: DecodingLimits,
        n_children: int,
        max_seconds: float = MAX_SECONDS,
        died: Callable[[bytes, int | None], None] | None = None,
    ) -> None:
        """Starts the children side by side. Raises ModelNotReady where they do not start.

        `died` is told of an upload that a child did not survive, and how it ended: its status, minus the number of a
        signal, None where it hung. By default the log is told, without the upload.
        """
        self._limits = limits
        self._died = died or _log_death
        self._max_seconds = max_seconds
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()  # the last one used is the warmest
        children = [_Child(limits) for _ in range(n_children)]
        try:
            for child in children:
                child.wait_until_ready()
        except BaseException:
            for child in children:
                child.kill()
            raise
        for child in children:
            self._idle.put(child)
        if children[0].kept:
            log.info("Decoders run with less protection here; they keep %s.", "; ".join(children[0].kept))
        self._n_children = n_children

    def decode(self, data: bytes) -> Waveform:
        """Raises an AudioError: the child's own, or CorruptAudio where the file takes too long or kills the child.

        What needs no decoder is read on this thread: a child would guard against nothing, and a hop costs more.
        """
        waveform = decode_plain(data, self._limits)
        return self._decoded(data) if waveform is None else waveform

    def _decoded(self, data: bytes) -> Waveform:
        child = self._idle.get()
        try:
            if child.has_ended():  # while it was idle: no fault of this file
                child = self._replaced(child)
            return child.decode(data, self._max_seconds)
        except CorruptAudio:
            if child.is_broken:
                self._died(data, child.end_status())
            raise
        finally:
            if child.is_broken or child.n_clips >= MAX_CLIPS:
                child = self._replaced(child)
            self._idle.put(child)

    def close(self) -> None:
        """Waits for the clips that are being decoded, and ends every child."""
        for _ in range(self._n_children):
            self._idle.get().end()

    def _replaced(self, child: _Child) -> _Child:
        """Another one. Where there can be none now, the dead one keeps its place, and the next clip tries again."""
        child.kill()
        try:
            fresh = _Child(self._limits)
        except OSError as error:  # no process, memory or descriptor left
            log.error("A decoder's child process cannot be started: %s", error)
            return child
        try:
            fresh.wait_until_ready()
        except ModelNotReady as error:
            log.error("A decoder's child process cannot be replaced: %s", error)
            fresh.kill()
        return fresh


class _Child:
    """A process and its end of the connection. For one thread at a time."""

    def __init__(self, limits: DecodingLimits) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            # Isolated from the environment and the working directory, but finding modules where this process does.
            program = f"import sys; sys.path[:] = {sys.path!r}; from app.adapters.decoder_child import main; main()"
            self._process = subprocess.Popen(  # nosec B603 # nothing of an upload is in the command
                [sys.executable, "-I", "-c", program, str(theirs.fileno()), json.dumps(asdict(limits))],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection = ours
        self._max_samples = round((limits.max_duration_s + CODEC_PADDING_S + 1) * SAMPLE_RATE_HZ)
        self.n_clips = 0
        self.is_broken = True  # until it says that it is ready
        self.kept: tuple[str, ...] = ()
        """What the system did not let it give up."""

    def wait_until_ready(self) -> None:
        """Raises ModelNotReady."""
        self._connection.settimeout(START_SECONDS)
        try:
            told = receive(self._connection)
        except OSError as error:
            raise ModelNotReady(f"A decoder's child process did not start within {START_SECONDS:g} s.") from error
        if told is None:
            raise ModelNotReady("A decoder's child process ended as it started; its last words are above.")
        self.kept = tuple(json.loads(told)[READY])
        self.is_broken = False

    def decode(self, data: bytes, max_seconds: float) -> Waveform:
        if self.is_broken or self.has_ended():
            raise ModelNotReady("The decoder of this worker could not be started again.")
        self.n_clips += 1
        self.is_broken = True  # until all of an answer has come
        deadline_s = time.monotonic() + max_seconds
        self._connection.settimeout(max_seconds)
        try:
            send(self._connection, {"seconds": max_seconds}, data)
            head = receive(self._connection)
            if head is None:
                raise CorruptAudio(_DIED)
            answer = json.loads(head)
            if "error" in answer:
                self.is_broken = False
                raise _ERRORS.get(answer["error"], CorruptAudio)(answer["message"])
            self._connection.settimeout(max(0.001, deadline_s - time.monotonic()))
            samples = self._samples()
        except TimeoutError as error:
            raise CorruptAudio(
                f"Decoding the file took more than {max_seconds:g} s. Export the clip anew, as WAV or FLAC, and send that."
            ) from error
        except (OSError, ValueError, KeyError) as error:
            raise CorruptAudio(_DIED) from error
        self.is_broken = False
        return Waveform(samples, _source(answer))

    def _samples(self) -> Samples:
        """Straight into the array that everything after this reads."""
        length = bytearray(LENGTH.size)
        if not fill(self._connection, memoryview(length)):
            raise CorruptAudio(_DIED)
        n_samples, rest = divmod(LENGTH.unpack(length)[0], np.dtype(np.float32).itemsize)
        if rest or n_samples > self._max_samples:
            raise CorruptAudio(_DIED)
        samples = np.empty(n_samples, dtype=np.float32)
        if not fill(self._connection, samples.data.cast("B")):
            raise CorruptAudio(_DIED)
        return samples

    def end_status(self) -> int | None:
        """Of one that ended or is about to: its status, minus the number of a signal; None where it hangs."""
        try:
            return self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            return None

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def end(self) -> None:
        """It ends by itself once its connection is closed."""
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()


def _log_death(data: bytes, status: int | None) -> None:
    how = "hung" if status is None else f"ended with status {status}"
    log.warning("A decoder's child process %s over an upload of %d bytes; another takes its place.", how, len(data))


def _source(answer: Mapping[str, Any]) -> Source:
    return Source(str(answer["format"]), int(answer["sample_rate_hz"]), int(answer["channels"]))


_DIED = "The decoder could not survive the file. Export the clip anew, as WAV or FLAC, and send that."
