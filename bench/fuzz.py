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
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from fuzz_clips import mutated, seeds

import signals
from app.adapters.decoder_pool import DecoderPool
from model.decoding import CODEC_PADDING_S, DecodingLimits
from model.errors import AudioError
from model.waveform import Waveform

KEPT = Path(__file__).resolve().parents[1] / "runs" / "fuzz"
PEAK_CAP_MB = 512
"""Of one child. Its limit is 768 MiB of addresses beyond the program's own; what is resident stays well below."""
LIMITS = DecodingLimits(max_duration_s=20.0)
N_CHILDREN = 2


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
