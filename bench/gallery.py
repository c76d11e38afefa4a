"""What does identification cost beyond FAISS, and does it find whom an exact scan finds?

    python bench/gallery.py --speakers 100000 [--like-voices] [--exact-up-to 50000] [--json]

Speakers of 192 dimensions, the same spread in all of them unless told otherwise, in a real SQLite store, the gallery read
from it, and the service's own use cases with a listener that hands over a planted probe. The encoder is the one that ships,
timed on a clip of 3 s. What is timed runs on one thread, and by turns with what it is compared with; memory and start-up in
a process of their own each.

- over_bare_search: identify and the encoder, over a bare FAISS float16 search and the encoder (bar: 1.5)
- top1_agreement: of 10,000 planted probes, those whose best candidate is that of a float32 scan (bar: 0.9995)
- bytes_per_reference: resident memory (bar: 450)
- enroll_extra_ms: an enrollment into this store, less one into an empty store (bar: 5)
- startup_over_read: store to gallery, over a bare read of the same columns (bar: 2)
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import logging
import multiprocessing
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import record
import torch
from gallery_crowd import ENCODER_ID, MASTER, N_EMBEDDING, SEED, Crowd, Planted, batches, fill, planted
from gallery_service import RULE, Service, serve

from app.adapters.engines import choose_engine
from app.adapters.faiss_gallery import DEFAULT_EXACT_UP_TO, FaissGallery
from app.adapters.faiss_index import Centroids
from app.adapters.sealing import Sealer
from app.adapters.sql_store import open_store
from app.records import DEFAULT_TENANT
from app.usecases.gallery_sync import GallerySync
from app.usecases.identify import N_EXTRA_CANDIDATES
from model.bundle import Bundle, load_bundle
from model.embedding import embed
from model.scoring import Embedding
from model.waveform import SAMPLE_RATE_HZ

ROOT = Path(__file__).resolve().parents[1]
N_PROBES = 10_000
N_TURNS = 60
CLIP_S = 3.0
Say = Callable[[str], None]


def by_turns(calls: Mapping[str, Callable[[int], object]], n_turns: int) -> dict[str, float]:
    """Median seconds of each call; each is given the number of the turn. The first three turns warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(3 + n_turns):
        for name, call in calls.items():
            started = time.perf_counter()
            call(turn)
            if turn >= 3:
                times[name].append(time.perf_counter() - started)
    return {name: float(np.median(found)) for name, found in times.items()}


def bare_index(service: Service, stored: Embedding) -> Any:
    """What FAISS itself has of the kind that the gallery searches."""
    layout = service.gallery._tenants[DEFAULT_TENANT].layout  # nothing else needs to know it
    if isinstance(layout, Centroids):
        quantizer = faiss.IndexFlatIP(N_EMBEDDING)
        quantizer.add(layout.centroids)
        index: Any = faiss.IndexIVFScalarQuantizer(
            quantizer, N_EMBEDDING, layout.n_lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        index.nprobe = layout.n_probed
    else:
        index = faiss.IndexScalarQuantizer(N_EMBEDDING, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.train(stored[: max(1000, layout.n_lists)])
    for start in range(0, len(stored), 8192):
        index.add(stored[start : start + 8192])
    return index


def search_costs(service: Service, stored: Embedding, probes: Embedding, bundle: Bundle, say: Say) -> dict[str, float]:
    """Figures: over_bare_search, and the milliseconds behind it."""
    index, encoder = bare_index(service, stored), choose_engine("auto", bundle).encoder
    n_samples = round(CLIP_S * SAMPLE_RATE_HZ)
    samples = np.random.default_rng(SEED).standard_normal(n_samples).astype(np.float32) * np.float32(0.1)

    def identify(turn: int) -> None:
        service.listener.embedding = probes[turn]
        assert service.identify(DEFAULT_TENANT, b"", 1).candidates

    seconds = by_turns(
        {
            "identify": identify,
            "bare": lambda turn: index.search(probes[turn : turn + 1], 1 + N_EXTRA_CANDIDATES),
            "encoder": lambda _: embed(encoder, [samples]),
        },
        N_TURNS,
    )
    ratio = (seconds["identify"] + seconds["encoder"]) / (seconds["bare"] + seconds["encoder"])
    say(
        f"Identify without its encoder takes {1e3 * seconds['identify']:.2f} ms, the bare search "
        f"{1e3 * seconds['bare']:.2f} ms, the encoder {1e3 * seconds['encoder']:.1f} ms; with the encoder on both sides "
        f"identify takes {ratio:.3f} times as long."
    )
    return {
        "over_bare_search": ratio,
        "identify_ms": 1e3 * seconds["identify"],
        "bare_search_ms": 1e3 * seconds["bare"],
        "encoder_ms": 1e3 * seconds["encoder"],
    }


def top1_agreement(service: Service, stored: Embedding, found: Planted, say: Say) -> float:
    """As identify ranks: the gallery's candidates, by their float32 cosine."""

    def best(probe: Embedding) -> int:
        numbers = [one.number for one in service.gallery.search(DEFAULT_TENANT, probe, 1 + N_EXTRA_CANDIDATES)]
        cosines = stored[np.array(numbers) - 1] @ probe
        return numbers[int(np.argmax(cosines))]

    # Nothing is timed here.
    with ThreadPoolExecutor() as threads:
        numbers = np.fromiter(threads.map(best, found.probes), dtype=np.int64, count=len(found.probes))
    n_right = int(np.sum(numbers == found.best))
    say(f"Of {len(found.probes):,} planted probes {n_right:,} have the best candidate of the float32 scan.")
    return n_right / len(found.probes)


def enroll_extra_ms(service: Service, empty: Service, probes: Embedding, say: Say) -> float:
    def into(one: Service) -> Callable[[int], object]:
        def call(turn: int) -> object:
            one.listener.embedding = probes[turn]
            return one.enroll(DEFAULT_TENANT, f"new-{turn}", [b""])

        return call

    for one in (service, empty):
        for turn in range(3 + N_TURNS):
            one.store.create_speaker(DEFAULT_TENANT, f"new-{turn}", None, {}, None)
    seconds = by_turns({"full": into(service), "empty": into(empty)}, N_TURNS)
    extra_ms = 1e3 * (seconds["full"] - seconds["empty"])
    say(
        f"An enrollment takes {1e3 * seconds['full']:.2f} ms here and {1e3 * seconds['empty']:.2f} ms in an empty "
        f"service: {extra_ms:+.2f} ms."
    )
    return extra_ms


def gallery_bytes(crowd: Crowd) -> int:
    """Memory that a gallery of these speakers takes; in a process of its own.

    It is filled from memory: a store would leave its cache, and what lies between, in the figure.
    """
    use_one_thread()
    warm_up = FaissGallery(ENCODER_ID, N_EMBEDDING, 10**12)
    warm_up.rebuild(batches(Crowd(10_000)))
    del warm_up
    before = resident_bytes()
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, 10**12)
    gallery.rebuild(batches(crowd))
    taken = resident_bytes() - before
    assert gallery.size(DEFAULT_TENANT) == crowd.n
    return taken


def start_up(path: Path, n_turns: int) -> tuple[float, float]:
    """Seconds of a start and of a bare read; in a process of its own."""
    use_one_thread()
    starts, reads = [], []
    for turn in range(1 + n_turns):
        began = time.perf_counter()
        bare_read(path)
        read = time.perf_counter()
        store = open_store(f"sqlite:///{path}", MASTER)
        # Never inverted: that goes on in the background, while the service answers.
        sync = GallerySync(store, FaissGallery(ENCODER_ID, N_EMBEDDING, 10**12), RULE)
        opened = time.perf_counter()
        sync.rebuild()
        filled = time.perf_counter()
        store.close()
        if turn:  # the first one reads from the disk and imports what it needs
            reads.append(read - began)
            starts.append(filled - opened)
    return float(np.median(starts)), float(np.median(reads))


def bare_read(path: Path) -> None:
    """Reads and unseals, and makes nothing of it."""
    sealer = Sealer(MASTER)
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute(
            "SELECT s.seq, s.tenant, s.speaker_id, s.data_key, e.encoder_id, e.embedding, e.speech_s FROM speakers s"
            " LEFT JOIN enrollments e"
            " ON e.tenant = s.tenant AND e.speaker_id = s.speaker_id ORDER BY s.seq, e.seq"
        )
        while rows := cursor.fetchmany(4096):
            for _, tenant, speaker_id, key, encoder_id, embedding, _ in rows:
                sealer.of(tenant, speaker_id, key).open_bytes(embedding, encoder_id)


def resident_bytes() -> int:
    gc.collect()
    # What the allocator keeps for the next batch is not the gallery's.
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def use_one_thread() -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)


def measure(arguments: argparse.Namespace, folder: Path, say: Say) -> dict[str, float]:
    crowd, exact_up_to = Crowd(arguments.speakers, arguments.like_voices), arguments.exact_up_to
    n = crowd.n
    full, empty = (folder / name / "vouch.db" for name in ("full", "empty"))
    fill(full, crowd)
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        n_bytes = pool.apply(gallery_bytes, (crowd,))
        start_s, read_s = pool.apply(start_up, (full, 5 if n <= 20_000 else 3 if n <= 200_000 else 1))
    say(
        f"{n:,} speakers: the gallery takes {n_bytes / n:.0f} bytes a reference. A start takes {start_s:.2f} s, a bare "
        f"read of the same columns {read_s:.2f} s."
    )
    stored = np.concatenate(list(crowd.blocks()))
    found = planted(stored, N_PROBES)
    service, nobody = serve(full, exact_up_to), serve(empty, exact_up_to)
    try:
        kind = "everybody is scanned" if service.gallery.is_exact(DEFAULT_TENANT) else "the index is inverted"
        say(f"In this gallery {kind}.")
        bundle = load_bundle(arguments.bundle)
        return {
            **search_costs(service, stored, found.probes, bundle, say),
            "top1_agreement": top1_agreement(service, stored, found, say),
            "bytes_per_reference": n_bytes / n,
            "enroll_extra_ms": enroll_extra_ms(service, nobody, found.probes, say),
            "startup_over_read": start_s / read_s,
        }
    finally:
        service.close()
        nobody.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=10_000)
    parser.add_argument("--exact-up-to", type=int, default=DEFAULT_EXACT_UP_TO, help="as VOUCH_GALLERY_EXACT_UP_TO")
    parser.add_argument("--like-voices", action="store_true", help="not random in every direction, but as voices are")
    parser.add_argument("--folder", type=Path, help="for the stores, about 3 kB a speaker; a temporary one by default")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "default")
    record.add_arguments(parser)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    use_one_thread()
    notes: list[str] = []

    def say(sentence: str) -> None:
        notes.append(sentence)
        print(sentence, flush=True)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(arguments, Path(folder), say)
    record.finish(arguments, {"speakers": arguments.speakers, **figures}, " ".join(notes))


if __name__ == "__main__":
    main()
