"""`vouch speakers`: listed, shown, renamed and erased, by a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.components import Components
from app.records import DEFAULT_TENANT
from cli_runs import run, told, written
from fake_audio import clip

Served = tuple[str, Components]


@pytest.fixture
def url(served: Served, tmp_path: Path) -> str:
    """With Alice enrolled."""
    clips = written(tmp_path, a=clip(), b=clip(take=2))
    assert run("enroll", "alice", *clips, "--display-name", "Alice", "--url", served[0]).exit_code == 0
    return served[0]


def test_every_speaker_is_listed(url: str, served: Served) -> None:
    store = served[1].store
    for i in range(205):  # more than a page
        store.create_speaker(DEFAULT_TENANT, f"s{i:03}", None, {}, None)
    (listed,) = told(run("speakers", "list", "--url", url, "--json"))
    assert [one["speaker_id"] for one in listed["speakers"]] == ["alice", *(f"s{i:03}" for i in range(205))]
    shown = run("speakers", "list", "--url", url).stdout
    assert all(word in shown for word in ("alice", "Alice", "enrolled", "6.0", "s204", "empty"))


def test_no_id_is_cut_however_narrow_the_terminal(url: str, served: Served) -> None:
    long_id = "x" * 100
    served[1].store.create_speaker(DEFAULT_TENANT, long_id, None, {}, None)
    assert long_id in run("speakers", "list", "--url", url, environ={"COLUMNS": "40"}).stdout


def test_a_speaker_is_shown_with_the_clips(url: str) -> None:
    shown = run("speakers", "show", "alice", "--url", url).stdout
    assert shown.splitlines()[0] == "alice (Alice) can be verified, with 6.0 s of speech."
    assert shown.count("written") == 2
    assert told(run("speakers", "show", "alice", "--url", url, "--json"))[0]["enrollment_count"] == 2
    missing = run("speakers", "show", "bob", "--url", url)
    assert (missing.exit_code, "no speaker 'bob'" in missing.stderr) == (3, True)


def test_a_speaker_is_renamed_and_the_name_taken_away(url: str) -> None:
    assert run("speakers", "rename", "alice", "Alicia", "--url", url).stdout.startswith("alice (Alicia) ")
    assert told(run("speakers", "rename", "alice", "", "--url", url, "--json"))[0]["display_name"] is None


def test_an_erasure_asks_first(url: str) -> None:
    for answer in (b"n\n", b""):
        kept = run("speakers", "erase", "alice", "--url", url, stdin=answer)
        assert (kept.exit_code, "Nothing was erased" in kept.stderr) == (3, True)
    assert run("speakers", "erase", "alice", "--url", url, stdin=b"y\n").stdout.endswith("Erased alice.\n")
    gone = run("speakers", "erase", "alice", "--url", url, "--yes")
    assert (gone.exit_code, "no speaker 'alice'" in gone.stderr) == (3, True)
