"""Track: one audio stream on its way out of a container, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from model.errors import AudioError, CorruptAudio
from model.waveform import Samples


@dataclass(frozen=True, eq=False)
class Block:
    """Decoded samples: float32 of shape (n_samples, channels), nominally in [-1, 1]."""

    samples: Samples
    sample_rate_hz: int


@dataclass(frozen=True, eq=False)
class Track:
    """What the container states, which may be a lie, and the blocks, which are what is really there.

    Reading `blocks` raises CorruptAudio where the data is damaged or ends early.
    """

    format: str
    sample_rate_hz: int
    channels: int
    stated_duration_s: float | None
    blocks: Iterator[Block]


@contextmanager
def decoder_errors_are_corrupt_audio(name: str) -> Iterator[None]:
    """Whatever a decoding library raises becomes CorruptAudio; Python running out of memory stays MemoryError.

    The catch is wide because the libraries raise builtin exceptions of many kinds on damaged input; hold it around
    nothing but their calls. FFmpeg's own "cannot allocate" (a subclass of MemoryError) is one of those: it comes from
    sizes in the file that nothing real has.
    """
    try:
        yield
    except AudioError:
        raise
    except Exception as error:
        if type(error) is MemoryError:
            raise
        raise CorruptAudio(f"The {name} data cannot be decoded: it is damaged or cut off. Send it again.") from error
