"""One decoder's child process, as the service sees it: `decoder_child` is what runs in it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from app.adapters.decoder_child import LENGTH, READY, fill, receive, send
from app.errors import ModelNotReady
from model.decoding import CODEC_PADDING_S, DecodingLimits
from model.errors import AudioError, AudioTooLarge, AudioTooLong, CorruptAudio, UnsupportedAudio
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform

START_SECONDS = 60.0
_ERRORS: Mapping[str, type[AudioError]] = {
    error.__name__: error for error in (AudioTooLarge, AudioTooLong, CorruptAudio, UnsupportedAudio)
}
_SOCKET_BUFFER_BYTES = 1024 * 1024
"""A clip's samples in one piece, where the system allows it."""


class DecoderProcess:
    """A process and its end of the connection. For one thread at a time."""

    def __init__(self, limits: DecodingLimits) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
            # Isolated from the environment and the working directory, but finding modules where this process does.
            program = f"import sys; sys.path[:] = {sys.path!r}; from app.adapters.decoder_child import main; main()"
            self._process = subprocess.Popen(
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


def _source(answer: Mapping[str, Any]) -> Source:
    return Source(str(answer["format"]), int(answer["sample_rate_hz"]), int(answer["channels"]))


_DIED = "The decoder could not survive the file. Export the clip anew, as WAV or FLAC, and send that."
