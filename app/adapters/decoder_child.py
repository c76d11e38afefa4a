"""What runs in a decoder's child process: uploads in, waveforms out, and no way to hurt anybody else.

The decoders read what strangers made, in native code that has had holes. A child has its memory and its seconds for a
clip bounded, and gives up files, the network, other processes and root's rights before the first of them
(`confinement`); where it dies, one caller gets an error.

A message is a length and so many bytes. Of an upload there are two: how many seconds it may take, as JSON, and its bytes.
Of an answer there are one or two: what it is, as JSON, and the samples. Nothing is pickled, so that a child that was
taken over can at worst answer with the wrong sound.
"""

from __future__ import annotations

import json
import math
import signal
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av.subtitles.stream  # noqa: F401  # else loaded at its first use, when nothing can be read any more

from app.adapters.c_heap import return_large_blocks
from app.adapters.confinement import confine
from model.decoding import DecodingLimits, decode
from model.errors import AudioError

LENGTH = struct.Struct("<Q")
READY = "ready"
"""Key of a child's first words: a list of what it could not give up."""

MEMORY_BYTES = 768 * 1024 * 1024
"""Beyond what the program itself takes: two minutes at 192 kHz in eight channels are decoded block by block, and the
largest upload is held twice."""


def main() -> None:
    """The arguments: the number of the socket, and the limits as JSON."""
    import sys

    number, limits = sys.argv[1:]
    return_large_blocks()
    serve(socket.socket(fileno=int(number)), DecodingLimits(**json.loads(limits)))


def serve(connection: socket.socket, limits: DecodingLimits) -> None:
    """Until the other side closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the service ends its children by itself
    _bound_resources()
    send(connection, {READY: confine()})
    while (asked := receive(connection)) is not None:
        data = receive(connection)
        if data is None:
            return
        _bound_seconds(json.loads(asked)["seconds"])
        try:
            waveform = decode(bytes(data), limits)
        except AudioError as error:
            send(connection, {"error": type(error).__name__, "message": str(error)})
            continue
        except MemoryError:
            send(connection, {"error": "CorruptAudio", "message": OUT_OF_MEMORY})
            continue
        source = waveform.source
        send(
            connection,
            {"format": source.format, "sample_rate_hz": source.sample_rate_hz, "channels": source.channels},
            waveform.samples.data.cast("B"),
        )


OUT_OF_MEMORY = (
    f"Decoding the file takes more than {MEMORY_BYTES // 2**20} MiB of memory, which no recording of a voice needs. "
    "Export the clip anew, as WAV or FLAC, and send that."
)


def send(connection: socket.socket, head: Mapping[str, Any], *bodies: bytes | memoryview) -> None:
    told = json.dumps(head).encode()
    parts: list[bytes | memoryview] = [LENGTH.pack(len(told)), told]
    for body in bodies:
        parts += [LENGTH.pack(len(body)), body]
    first = connection.sendmsg(parts)  # at once: a wake-up of the other side costs more than the bytes
    for part in parts:
        if first < len(part):
            connection.sendall(memoryview(part)[first:])
        first = max(0, first - len(part))


def receive(connection: socket.socket) -> bytearray | None:
    """The next message; None where the other side has closed the connection."""
    head = receive_exactly(connection, LENGTH.size)
    return None if head is None else receive_exactly(connection, LENGTH.unpack(head)[0])


def receive_exactly(connection: socket.socket, n_bytes: int) -> bytearray | None:
    data = bytearray(n_bytes)
    return data if fill(connection, memoryview(data)) else None


def fill(connection: socket.socket, view: memoryview) -> bool:
    """False where the other side closes the connection before `view` is full."""
    while len(view):
        n_bytes = connection.recv_into(view)
        if not n_bytes:
            return False
        view = view[n_bytes:]
    return True


def _bound_resources() -> None:
    try:
        import resource
    except ImportError:  # no such thing on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    in_use = _address_space_bytes()
    if in_use is not None:
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_BYTES, in_use + MEMORY_BYTES))


def _address_space_bytes() -> int | None:
    """None where the system does not tell, as macOS, which does not hold a process to such a limit either."""
    try:
        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return None
    import resource

    return n_pages * resource.getpagesize()


def _bound_seconds(seconds: float) -> None:
    """Of processor time for the next clip; past it the system ends this process."""
    try:
        import resource
    except ImportError:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))
