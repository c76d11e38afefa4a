"""`vouch compare`, `enroll`, `verify` and `identify`: what they print, their statuses, and what they take for clips."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from app.cli_answers import FLAGS, WHAT_HELPS
from app.components import Components
from cli_runs import run, told, written
from fake_audio import clip
from model.decision import Flag, Reason

Served = tuple[str, Components]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def url(served: Served) -> str:
    return served[0]


def test_the_status_of_a_comparison_is_its_decision(url: str, tmp_path: Path) -> None:
    alice, again, bob, short = written(tmp_path, a=clip(), b=clip(take=2), c=clip("bob"), d=clip(speech_s=0.2))
    assert [run("compare", alice, other, "--url", url).exit_code for other in (again, bob, short)] == [0, 1, 2]
    assert run("compare", alice, tmp_path / "nowhere.wav", "--url", url).exit_code == 3


def test_a_decision_is_said_in_a_line_and_what_it_rests_on_below(url: str, tmp_path: Path) -> None:
    alice, again, short = written(tmp_path, a=clip(), b=clip(take=2), c=clip(speech_s=0.2))
    lines = run("compare", alice, again, "--url", url).stdout.splitlines()
    assert lines[0].startswith("accept: the same voice; probability 1.00; llr 5.")
    assert lines[0].endswith(" against 0.00 at eer")
    assert lines[1] == f"  {alice}: 3.0 s of speech in 3.5 s, SNR 25.0 dB, written at 48000 Hz"
    lines = run("compare", alice, short, "--url", url).stdout.splitlines()
    assert lines[0].startswith("inconclusive: not enough to decide on; ")
    assert lines[1] == f"  not_enough_speech: {WHAT_HELPS['not_enough_speech']}"


def test_a_recording_that_was_heard_before_is_flagged(url: str, tmp_path: Path) -> None:
    (sound,) = written(tmp_path, a=clip(sound=1, speech_s=6.0))
    result = run("compare", sound, sound, "--url", url)
    assert result.exit_code == 0
    assert f"  replay_suspected: {FLAGS['replay_suspected']}" in result.stdout.splitlines()


def test_every_reason_and_flag_has_its_words() -> None:
    assert set(WHAT_HELPS) == set(get_args(Reason))
    assert set(FLAGS) == set(get_args(Flag))


def test_one_clip_is_answered_as_over_http(url: str, tmp_path: Path) -> None:
    alice, again = written(tmp_path, a=clip(), b=clip(take=2))
    (answer,) = told(run("compare", alice, again, "--url", url, "--json"))
    assert answer["decision"] == "accept"
    assert answer["request_id"].startswith("req_")
    assert "file" not in answer


def test_of_several_clips_the_status_is_the_highest_and_each_has_a_line(url: str, tmp_path: Path) -> None:
    alice, *_ = written(tmp_path / "first", a=clip())
    folder = tmp_path / "others"
    written(folder, b=clip(take=2))
    written(folder / "deeper", c=clip("bob"))
    (folder / "notes.txt").write_text("no clip")
    lines = told(run("compare", alice, folder, "--url", url, "--json"), status=1)
    assert [(line["file"], line["decision"]) for line in lines] == [
        (str(folder / "b.wav"), "accept"),
        (str(folder / "deeper" / "c.wav"), "reject"),
    ]


def test_a_clip_that_cannot_be_heard_stops_no_other(url: str, tmp_path: Path) -> None:
    run("enroll", "alice", *written(tmp_path, a=clip(speech_s=6.0)), "--url", url)
    bad, good = written(tmp_path / "probes", bad=b"no sound", good=clip(take=2))
    missing = tmp_path / "missing.wav"
    result = run("verify", "alice", bad, missing, good, "--url", url, "--json")
    lines = told(result, status=3)
    assert [line.get("code") for line in lines] == ["unsupported_audio", "unreadable_file", None]
    assert lines[0]["detail"] == f"{bad}: This is no written audio; only that is read."
    assert lines[2]["decision"] == "accept"
    assert f"vouch: {missing} cannot be read (No such file or directory). Give an audio file" in result.stderr


def test_a_speaker_is_made_enrolled_verified_and_found(url: str, tmp_path: Path) -> None:
    clips = written(tmp_path, a=clip(), b=clip(take=2))
    made = run("enroll", "alice", *clips, "--display-name", "Alice", "--url", url)
    assert made.stdout.splitlines()[0] == "2 clips enrolled; alice (Alice) can be verified, with 6.0 s of speech."
    own, other = clip(take=3), clip("bob")
    assert run("verify", "alice", "-", "--url", url, stdin=own).stdout.startswith("accept: this is alice; ")
    refused = run("verify", "alice", "-", "--url", url, stdin=other)
    assert (refused.exit_code, refused.stdout.split(";")[0]) == (1, "reject: this is not alice")
    found = run("identify", "-", "--url", url, stdin=own)
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0] == "accept: this is alice; threshold eer"
    assert found.stdout.splitlines()[1].startswith("  1. alice (Alice): probability 1.00, llr ")
    nobody = run("identify", "-", "--url", url, stdin=other)
    assert (nobody.exit_code, nobody.stdout.split(";")[0]) == (1, "reject: nobody who is enrolled")


def test_a_folder_of_more_than_a_call_takes_is_enrolled(url: str, tmp_path: Path) -> None:
    written(tmp_path, **{f"take{i:02}": clip(take=i) for i in range(12)})
    first, second = told(run("enroll", "alice", tmp_path, "--url", url, "--json"))
    assert [len(answer["enrollments"]) for answer in (first, second)] == [10, 2]
    assert second["speaker"]["enrollment_count"] == 12


def test_a_clip_that_is_refused_is_named_by_its_file(url: str, tmp_path: Path) -> None:
    good, short = written(tmp_path, good=clip(), short=clip(take=2, speech_s=0.2))
    result = run("enroll", "alice", good, short, "--url", url)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"vouch: {short} has 0.20 s of speech")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compare", "a.wav"], "Missing argument"),
        (["identify", "a.wav", "--top-k", "0"], "--top-k"),
        (["verify", "alice", "-", "-"], "standard input is one clip"),
        (["compare", "-", "-"], "standard input is one clip"),
        (["verify", "alice", "-", "--url", "file:///etc"], "it must be such as http://"),
        (["verify", "alice", "-", "--url", NOBODY], "cannot be reached"),
        (["verify", "alice", "-", "--url", NOBODY, "--key-file", "/nowhere"], "The key file /nowhere cannot be read"),
        (["verify", "alice", "-", "--url", NOBODY, "--tenant", "acme"], "a service goes by the key's"),
    ],
)
def test_what_is_wrong_is_status_3_and_a_sentence(arguments: list[str], sentence: str) -> None:
    result = run(*arguments, stdin=clip())
    assert result.exit_code == 3
    assert sentence in result.stderr


def test_an_empty_folder_and_a_folder_as_the_first_clip_are_refused(tmp_path: Path) -> None:
    (alice,) = written(tmp_path / "voices", a=clip())
    (tmp_path / "empty").mkdir()
    empty = run("identify", tmp_path / "empty")
    assert (empty.exit_code, "holds no clips" in empty.stderr) == (3, True)
    folder = run("compare", tmp_path / "voices", alice)
    assert (folder.exit_code, "it must be one clip" in folder.stderr) == (3, True)


def test_a_name_that_a_terminal_would_obey_is_shown_without_that(url: str, tmp_path: Path) -> None:
    (odd,) = written(tmp_path, **{"a\x1b[2Jb": b"no sound"})
    result = run("verify", "alice", odd, "--url", url)
    assert "\x1b" not in result.output
