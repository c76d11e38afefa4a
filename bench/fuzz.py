"""Damaged uploads of every format through real decoders in child processes: what comes out, and who does not survive.

    make fuzz CLIPS=200000 [SEED=1]

Every outcome must be an AudioError or finite samples within the limits; anything else is a server error. A child that
dies or hangs costs its caller an error (`crashes`, `hangs`), and what did it is kept in runs/fuzz/. Afterwards every
child must decode a healthy clip. Clip n of a seed is always the same one.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import signals
from app.adapters.decoder_pool import DecoderPool
from model.decoding import CODEC_PADDING_S, DecodingLimits
from model.errors import AudioError
from model.framing import _page_checksum
from model.waveform import Waveform

KEPT = Path(__file__).resolve().parents[1] / "runs" / "fuzz"
PEAK_CAP_MB = 512
"""Of one child. Its limit is 768 MiB of addresses beyond the program's own; what is resident stays well below."""
LIMITS = DecodingLimits(max_duration_s=20.0)
N_CHILDREN = 2

# --- uploads ----------------------------------------------------------------------------------------------------------

_MARKS = (
    *(
        b"RIFF",
        b"WAVE",
        b"fmt ",
        b"data",
        b"fLaC",
        b"OggS",
        b"OpusHead",
        b"OpusTags",
        b"\x01vorbis",
        b"\x05vorbis",
        b"ID3",
    ),
    *(
        b"Xing",
        b"Info",
        b"ftyp",
        b"moov",
        b"trak",
        b"mdia",
        b"minf",
        b"stbl",
        b"stsd",
        b"stts",
        b"stsc",
        b"stsz",
        b"stco",
    ),
    *(b"mp4a", b"esds", b"moof", b"traf", b"trun", b"tfhd", b"elst", b"mdat", b"mvex", b"trex", b"mdhd", b"hdlr"),
    *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\xae", b"\xa3", b"\xe1"),
)
"""Where containers have their fields: near the names of their parts."""
_EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    2**63 - 1,
    2**63,
    2**64 - 1,
)

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def seeds() -> list[bytes]:
    """Healthy clips of every format, with few and many channels, whole and as a stream; and real voices, if there are any."""
    made = [
        encode(signals.white_noise(0.3, rates[len(rates) // 2], channels), rates[len(rates) // 2])
        for encode, rates, all_channels in signals.FORMATS.values()
        for channels in {all_channels[0], all_channels[-1]}
    ]
    noise = signals.white_noise(0.3, 48_000)
    made += [
        *(signals.wav(noise, 48_000, encoding) for encoding in ("PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
        *(
            signals.open_ended_flac(noise),
            signals.flac_in_frames(noise, 48_000, 1_024),
            signals.ID3_TAG + signals.mp3(noise),
        ),
        *(signals.webm(noise, live=True), signals.m4a(noise, fragmented=True)),
        *(
            signals.muxed("mp4", [("aac", noise), ("aac", noise)], 48_000),
            signals.muxed("webm", [("opus", noise)], 48_000),
        ),
    ]
    voices = signals.data_folder_or_none()
    if voices is not None:
        made += [path.read_bytes() for path in sorted(voices.rglob("*.opus"))[:60:6]]
    return made


def _flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    for _i in range(rng.randint(1, 16)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _run(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start, n = rng.randrange(len(data)), rng.randint(1, 64)
    data[start : start + n] = bytes([rng.choice((0, 0xFF, rng.randrange(256)))]) * len(data[start : start + n])


def _head(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    for _i in range(rng.randint(1, 4)):
        data[rng.randrange(min(128, len(data)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def _truncate(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    del data[rng.randint(1, len(data)) :]


def _splice(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    other = rng.choice(others)
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def _repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.randint(1, 4_096)]
    data[start:start] = piece * rng.randint(1, 20)


def _junk(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.randint(1, 300))


def _marked(data: bytearray, rng: random.Random) -> int:
    """A place of one of the marks that the file has."""
    found = [place for mark in rng.sample(_MARKS, 12) if (place := data.find(mark, rng.randrange(len(data)) // 2)) >= 0]
    return rng.choice(found) if found else rng.randrange(len(data))


def _field(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """A number near a mark becomes an extreme one."""
    place = max(0, _marked(data, rng) + rng.randint(-4, 40))
    size = rng.choice((1, 2, 4, 4, 4, 8))
    value = rng.choice((*_EXTREMES, rng.getrandbits(64))) % 256**size
    data[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _part(data: bytearray, rng: random.Random, others: Sequence[bytes]) -> None:
    """A part (chunk, box, page, element) is doubled, left out, or put into another file."""
    begin, end = sorted((_marked(data, rng), _marked(data, rng)))
    begin = max(0, begin - rng.choice((0, 4)))
    piece = bytes(data[begin:end][:20_000])
    match rng.randrange(3):
        case 0:
            data[begin:begin] = piece
        case 1:
            del data[begin : begin + len(piece)]
        case _:
            other = bytearray(rng.choice(others))
            place = _marked(other, rng)
            other[place:place] = piece
            data[:] = other


_MUTATIONS: Sequence[Mutation] = (_flip, _run, _head, _truncate, _splice, _repeat, _junk, _field, _field, _field, _part)


def mutated(healthy: Sequence[bytes], seed: int, number: int) -> bytes:
    rng = random.Random(f"{seed} {number}")
    data = bytearray(rng.choice(healthy))
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        rng.choice(_MUTATIONS)(data, rng, healthy)
        if not data:
            break
    if data[:4] == b"OggS" and rng.random() < 0.8:
        _mend_pages(data)
    return bytes(data)


def _mend_pages(data: bytearray) -> None:
    """True checksums, or no damage of an Ogg file would ever come as far as a decoder."""
    start = 0
    while (start := data.find(b"OggS", start)) >= 0 and start + 27 <= len(data):
        body = start + 27 + data[start + 26]
        stop = body + sum(data[start + 27 : body])
        page = bytes(data[start:stop])
        if len(page) >= 27:
            data[start + 22 : start + 26] = _page_checksum(page).to_bytes(4, "little")
        start += 4


# --- outcomes ---------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    outcomes: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    """How children ended: `hang`, or a status."""
    errors: list[str] = field(default_factory=list)
    peak_kb: int = 0
    lost: int = 0
    duration_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def figures(self) -> Mapping[str, int | float]:
        hangs = self.ends["hang"]
        return {
            "clips": sum(self.outcomes.values()),
            "crashes": sum(self.ends.values()) - hangs,
            "hangs": hangs,
            "server_errors": len(self.errors),
            "lost_workers": self.lost,
            "decoded": self.outcomes["decoded"],
            "peak_mb": round(self.peak_kb / 1024, 1),
            "clips_per_s": round(sum(self.outcomes.values()) / max(self.duration_s, 1e-9), 1),
        }

    @property
    def is_clean(self) -> bool:
        return not self.errors and not self.lost and self.peak_kb <= PEAK_CAP_MB * 1024


def wrong(waveform: Waveform) -> str | None:
    """What no decoder may answer."""
    samples = waveform.samples
    if samples.dtype != np.float32 or samples.ndim != 1 or len(samples) == 0:
        return f"samples of {samples.dtype}, {samples.shape}"
    if not np.isfinite(samples).all():
        return "samples that are no numbers"
    if waveform.duration_s > LIMITS.max_duration_s + CODEC_PADDING_S + 0.1:
        return f"{waveform.duration_s:.2f} s"
    return None


def fuzz(n_clips: int, seed: int, kept: Path | None = KEPT, max_s: float = float("inf")) -> Tally:
    """Ends early after `max_s`."""
    healthy, tally = seeds(), Tally()

    def died(data: bytes, status: int | None) -> None:
        with tally.lock:
            tally.ends["hang" if status is None else str(status)] += 1
            if status is not None and status >= 0:  # by an exception of our own code, not by a signal
                tally.errors.append(f"a child ended with status {status}")
        _keep(kept, data, "hang" if status is None else f"status{status}")

    pool = DecoderPool(LIMITS, N_CHILDREN, died=died)
    begin_s = time.monotonic()
    numbers = itertools.count()
    stop = threading.Event()

    def call() -> None:
        while (number := next(numbers)) < n_clips and time.monotonic() - begin_s < max_s:
            data = mutated(healthy, seed, number)
            try:
                problem = wrong(pool.decode(data))
                outcome = "decoded"
            except AudioError as error:
                problem, outcome = None, type(error).__name__
            except Exception as error:  # the very thing that is looked for
                problem, outcome = f"{type(error).__name__}: {error}", "server error"
            with tally.lock:
                tally.outcomes[outcome] += 1
                if problem:
                    tally.errors.append(f"clip {number} of seed {seed}: {problem}")
            if problem:
                _keep(kept, data, "wrong")

    def watch() -> None:
        while not stop.wait(0.1):
            tally.peak_kb = max(tally.peak_kb, _peak_kb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(N_CHILDREN + 1) as threads:
            for done in [threads.submit(call) for _ in range(N_CHILDREN + 1)]:
                done.result()
        tally.duration_s = time.monotonic() - begin_s
        tally.peak_kb = max(tally.peak_kb, _peak_kb())
        tally.lost = N_CHILDREN - _n_that_decode(pool)
    finally:
        stop.set()
        watcher.join()
        pool.close()
    return tally


def _n_that_decode(pool: DecoderPool) -> int:
    clip = signals.flac(signals.tone(2.0))
    with ThreadPoolExecutor(N_CHILDREN) as threads:
        answers = list(threads.map(lambda _: _length(pool, clip), range(N_CHILDREN)))
    return sum(length == 32_000 for length in answers)


def _length(pool: DecoderPool, clip: bytes) -> int:
    try:
        return len(pool.decode(clip).samples)
    except Exception:
        return 0


def _peak_kb() -> int:
    """Most memory that was ever resident in a child that lives now."""
    peak = 0
    for children in Path("/proc/self/task").glob("*/children"):
        try:
            pids = children.read_text().split()
        except OSError:
            continue
        for pid in pids:
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
    return peak


def _keep(folder: Path | None, data: bytes, why: str) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{why}-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-s", type=float, default=float("inf"))
    arguments = parser.parse_args()
    tally = fuzz(arguments.clips, arguments.seed, max_s=arguments.max_s)
    for error in tally.errors[:20]:
        print(error)
    print(f"outcomes {dict(tally.outcomes)}; children that ended {dict(tally.ends)}; cap {PEAK_CAP_MB} MB")
    print(json.dumps(tally.figures()), flush=True)
    sys.exit(not tally.is_clean)


if __name__ == "__main__":
    main()
