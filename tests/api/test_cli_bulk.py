"""`vouch enroll-all`: nobody twice, whatever stopped it before; and no bad row stops the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.components import Components
from app.records import DEFAULT_TENANT
from cli_runs import run, told, written
from fake_audio import clip

Served = tuple[str, Components]
HEADER = "speaker_id,path,display_name\n"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three people, Alice with two clips."""
    written(tmp_path / "clips", a1=clip("a"), a2=clip("a", 2), b=clip("b"), c=clip("c"))
    path = tmp_path / "people.csv"
    rows = ["alice,clips/a1.wav,Alice", "alice,clips/a2.wav,Alice", "bob,clips/b.wav,", 'carol,clips/c.wav,"C, D"']
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


def journal(manifest: Path) -> Path:
    return manifest.with_name("people.csv.done")


def counts(parts: Components) -> dict[str, int]:
    page = parts.store.list_speakers(DEFAULT_TENANT, 200, None)
    return {one.speaker_id: one.enrollment_count for one in page.speakers}


ALL = {"alice": 2, "bob": 1, "carol": 1}


def test_everybody_is_enrolled_and_a_second_run_does_nothing(served: Served, manifest: Path) -> None:
    url, parts = served
    first = run("enroll-all", manifest, "--url", url)
    assert (first.exit_code, first.stdout) == (
        0,
        "4 clips enrolled, 0 were enrolled before (by people.csv.done), 0 failed.\n",
    )
    assert counts(parts) == ALL
    assert parts.store.get_speaker(DEFAULT_TENANT, "carol").display_name == "C, D"
    (again,) = told(run("enroll-all", manifest, "--url", url, "--json"))
    assert again == {"enrolled": 0, "enrolled_before": 4, "failed": []}


@pytest.mark.parametrize("n_bytes", [0, 1, 64, 65, 66, 131])
def test_a_run_that_was_killed_goes_on(served: Served, manifest: Path, n_bytes: int) -> None:
    """All were enrolled, and so much of the journal was written."""
    url, parts = served
    run("enroll-all", manifest, "--url", url)
    whole = journal(manifest).read_bytes()
    journal(manifest).write_bytes(whole[:n_bytes])
    (again,) = told(run("enroll-all", manifest, "--url", url, "--json"))
    assert counts(parts) == ALL
    # A line is 64 digits; one that lacks only its end is whole.
    assert again["enrolled_before"] == (n_bytes + 1) // 65
    (third,) = told(run("enroll-all", manifest, "--url", url, "--json"))
    assert third["enrolled_before"] == 4


def test_a_clip_that_stands_there_again_and_again_is_enrolled_once(served: Served, manifest: Path) -> None:
    url, parts = served
    manifest.write_text(HEADER + "bob,clips/b.wav,\n" * 12)
    assert run("enroll-all", manifest, "--url", url).exit_code == 0
    assert counts(parts) == {"bob": 1}


def test_another_service_has_a_journal_of_its_own(served: Served, manifest: Path) -> None:
    url, parts = served
    run("enroll-all", manifest, "--url", url.replace("127.0.0.1", "localhost"))
    (there,) = told(run("enroll-all", manifest, "--url", url, "--json"))
    assert there["enrolled_before"] == 0
    assert counts(parts) == ALL


def test_a_bad_row_is_told_at_the_end(served: Served, manifest: Path) -> None:
    url, parts = served
    written(manifest.parent / "clips", short=clip(speech_s=0.1), noise=b"no sound")
    rows = [
        "no/one,clips/b.wav,",
        "dora,clips/short.wav,",
        "emil,clips/noise.wav,",
        "finn,clips/finn.wav,",
        ",x.wav,",
        "g,b,c,d",
    ]
    manifest.write_text(HEADER + "\n".join([*rows, "bob,clips/b.wav,"]) + "\n")
    (report,) = told(run("enroll-all", manifest, "--url", url, "--json"), status=3)
    assert report["enrolled"] == 1
    assert [(one["line"], one["code"]) for one in report["failed"]] == [
        (2, "invalid_argument"),
        (3, "not_enough_speech"),
        (4, "unsupported_audio"),
        (5, "unreadable_file"),
        (6, "invalid_argument"),
        (7, "invalid_argument"),
    ]
    assert report["failed"][1]["detail"].startswith("clips/short.wav has 0.10 s of speech")
    assert counts(parts)["bob"] == 1
    said = run("enroll-all", manifest, "--url", url).stderr
    assert f"vouch: {manifest}, line 6, nobody: speaker_id is empty.\n" in said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must name the columns speaker_id,path"),
        (b"speaker,path\n", "'speaker,path'; it must name the columns"),
        (b"speaker_id,path,name\n", "must name the columns"),
        (b"speaker_id,path\n\xff,a\n", "is no CSV file in UTF-8"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    result = run("enroll-all", tmp_path / "m.csv")
    assert (result.exit_code, sentence in result.stderr) == (3, True), result.stderr


def test_a_service_that_goes_away_stops_the_run(manifest: Path) -> None:
    result = run("enroll-all", manifest, "--url", "http://127.0.0.1:9")
    assert result.exit_code == 3
    assert result.stderr.startswith("vouch: Line 2: http://127.0.0.1:9 cannot be reached")
    assert "Run the same command again to go on." in result.stderr
    assert "cannot be read (No such file" in run("enroll-all", manifest.parent / "none.csv").stderr
