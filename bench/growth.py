"""How does cost grow? With the length of clips, with the number of callers, and with the gallery.

    python bench/growth.py [--gallery-json FILE …] [--images docs/images] [--json]

Draws `latency-by-clip-length.png` (two clips of that length compared, one client alone), `throughput-by-concurrency.png`
(pairs of three seconds, clients that wait for their answers) and, from the last line of each file that
`bench/gallery.py --json` wrote, `identify-by-gallery-size.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import growth_plots
from growth_plots import ByConcurrency, ByLength
from http_client import upload
from load import Generator, generator, stages_of
from record import add_arguments, finish
from running import ROOT, Running, service
from voices import clips, encoded, example, of_length, pairs

LENGTHS_S = (1, 2, 3, 5, 10, 20, 30, 60, 120)
CLIENTS = (1, 2, 4, 8, 16, 32)
"""None is refused: the queue has 32 places by default, beside the workers' own."""
WARM_UP_S = 2.0


def by_length(load: Generator, vouch: Running, seconds: float) -> list[ByLength]:
    points = []
    for clip_s in LENGTHS_S:
        pair = [of_length(example(name), clip_s) for name in ("speaker-a-2", "speaker-a-3")]
        sent = upload("/v1/compare", zip(("audio_a", "audio_b"), map(encoded, pair), strict=True))
        found = load.closed_loop([vouch.port], [sent], 1, seconds)
        _require_answers(found.statuses())
        timings = [stages_of(exchange.timing) for exchange in found.exchanges]
        medians = {name: statistics.median(timing.get(name, 0.0) for timing in timings) for name in timings[0]}
        points.append(ByLength(clip_s, found.latencies_ms().p50, medians))
    return points


def by_concurrency(load: Generator, vouch: Running, seconds: float) -> list[ByConcurrency]:
    sent = [upload("/v1/compare", [("audio_a", a), ("audio_b", b)]) for a, b in pairs(clips())]
    load.closed_loop([vouch.port], sent, 8, WARM_UP_S)
    points = []
    for n_clients in CLIENTS:
        found = load.closed_loop([vouch.port], sent, n_clients, seconds)
        _require_answers(found.statuses())
        took = found.latencies_ms()
        points.append(ByConcurrency(n_clients, found.rate(), took.p50, took.p99))
    return points


def _require_answers(statuses: dict[int, int]) -> None:
    if set(statuses) != {200}:
        raise SystemExit(f"every request should have been answered with 200; the statuses were {dict(statuses)}")


def draw_gallery(files: Sequence[Path], path: Path) -> str:
    """From the figures in the files' last lines; a sentence on what was drawn."""
    figures: list[dict[str, Any]] = [json.loads(file.read_text(encoding="utf-8").splitlines()[-1]) for file in files]
    sizes = ", ".join(f"{one['speakers']:,}" for one in figures)
    missing = growth_plots.identify_by_gallery_size(figures, path)
    if len(missing) == len(growth_plots.GALLERY_LINES):
        return f"No plot by gallery size: none of {', '.join(missing)} is in all of the files."
    left_out = f" Left out, since not in all of the files: {', '.join(missing)}." if missing else ""
    return f"{path.name}: galleries of {sizes} speakers.{left_out}"


def told(lengths: Sequence[ByLength], concurrencies: Sequence[ByConcurrency]) -> list[str]:
    by_clip = "; ".join(f"{point.clip_s:g} s {point.latency_ms:.0f} ms" for point in lengths)
    by_clients = "; ".join(
        f"{point.n_clients}: {point.per_s:.1f} a second, p50 {point.p50_ms:.0f}, p99 {point.p99_ms:.0f} ms"
        for point in concurrencies
    )
    return [
        f"Two clips compared, one client alone, median by the length of each: {by_clip}.",
        f"Pairs of 3 s clips by the number of clients: {by_clients}.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery-json", type=Path, nargs="*", default=[], help="what bench/gallery.py --json printed")
    parser.add_argument("--images", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    add_arguments(parser)
    arguments = parser.parse_args()
    with generator() as load, service() as vouch:
        load.closed_loop([vouch.port], [upload("/v1/compare", _warm_up())], 8, WARM_UP_S)
        lengths = by_length(load, vouch, arguments.seconds)
        concurrencies = by_concurrency(load, vouch, arguments.seconds)
    growth_plots.latency_by_clip_length(lengths, arguments.images / "latency-by-clip-length.png")
    growth_plots.throughput_by_concurrency(concurrencies, arguments.images / "throughput-by-concurrency.png")
    said = told(lengths, concurrencies)
    if arguments.gallery_json:
        said.append(draw_gallery(arguments.gallery_json, arguments.images / "identify-by-gallery-size.png"))
    print("\n".join(said), flush=True)
    finish(
        arguments,
        {
            "by_clip_length": [asdict(point) for point in lengths],
            "by_concurrency": [asdict(point) for point in concurrencies],
        },
        "\n".join(said),
    )


def _warm_up() -> list[tuple[str, bytes]]:
    return [(name, encoded(of_length(example("speaker-a-1"), 3.0))) for name in ("audio_a", "audio_b")]


if __name__ == "__main__":
    main()
