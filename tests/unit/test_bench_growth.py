"""bench/growth.py: the plots are files, and figures that are not there are said to be missing."""

import json
from pathlib import Path

from growth import draw_gallery
from growth_plots import ByConcurrency, ByLength, latency_by_clip_length, throughput_by_concurrency

PNG = b"\x89PNG\r\n"


def test_latency_and_throughput_are_drawn(tmp_path: Path) -> None:
    lengths = [ByLength(s, 10.0 * s, {"queue": 0.1, "decode": s, "encode": 5.0 * s, "total": 9.0 * s}) for s in (1, 10)]
    latency_by_clip_length(lengths, tmp_path / "new" / "latency.png")
    throughput_by_concurrency([ByConcurrency(n, 40.0, 20.0 * n, 30.0 * n) for n in (1, 2, 4)], tmp_path / "rate.png")
    for path in (tmp_path / "new" / "latency.png", tmp_path / "rate.png"):
        assert path.read_bytes().startswith(PNG)


def test_the_gallery_is_drawn_from_what_is_there(tmp_path: Path) -> None:
    files = [tmp_path / "large.txt", tmp_path / "small.txt"]
    for file, speakers, more in zip(files, (100_000, 10_000), ({}, {"bare_search_ms": 1.0}), strict=True):
        figures = {"speakers": speakers, "identify_ms": 2.0, **more}
        file.write_text(f"a sentence\n{json.dumps(figures)}\n", encoding="utf-8")
    said = draw_gallery(files, tmp_path / "gallery.png")
    assert "galleries of 100,000, 10,000 speakers" in said
    assert "Left out, since not in all of the files: bare_search_ms." in said
    assert (tmp_path / "gallery.png").read_bytes().startswith(PNG)


def test_without_any_figure_there_is_no_plot(tmp_path: Path) -> None:
    file = tmp_path / "none.txt"
    file.write_text('{"speakers": 10}\n', encoding="utf-8")
    assert "No plot by gallery size" in draw_gallery([file], tmp_path / "gallery.png")
    assert not (tmp_path / "gallery.png").exists()
