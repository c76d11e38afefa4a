"""`prepare`: what it writes, what it finds suspicious, and what it refuses."""

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from made_corpora import clip, commonvoice, debian, folder, librispeech, manifest, timit, vctk, voxceleb
from training.corpora.utterance import CorpusError, Utterance
from training.dataset import PreparedUtterance, read_prepared, write_prepared
from training.hazards import ReadClip, find_hazards, without_repeats_and_silence
from training.prepare import prepare, read_corpus


@pytest.mark.parametrize("make", [commonvoice, debian, folder, librispeech, manifest, timit, vctk, voxceleb])
def test_prepare_writes_what_it_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = f"{make.__name__}:{make(tmp_path / 'corpus')}"
    inventory = prepare([source], tmp_path / "out", validation_fraction=0.5, workers=2)
    rows = read_prepared(tmp_path / "out" / "utterances.csv")
    read = read_corpus(source)
    assert sum(s.n_clips for s in inventory.splits) == len(rows) == inventory.n_clips_found == len(read)
    assert [replace(row.utterance, split=None) for row in rows] == [replace(u, split=None) for u in read]
    assert all(0.5 <= row.duration_s < 0.8 for row in rows), "lossy codecs pad"
    assert all(row.utterance.split is not None for row in rows)


def test_many_clips_are_read_by_processes_and_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = f"manifest:{manifest(tmp_path / 'corpus')}"
    alone = prepare([source], tmp_path / "alone", validation_fraction=0.5)
    monkeypatch.setattr("training.prepare.MANY_CLIPS", 1)
    assert prepare([source], tmp_path / "together", validation_fraction=0.5, workers=2) == alone
    written = [(tmp_path / name / "utterances.csv").read_text() for name in ("alone", "together")]
    assert written[0] == written[1]


def test_the_report_is_json_beside_the_rows(tmp_path: Path) -> None:
    inventory = prepare([f"librispeech:{librispeech(tmp_path / 'corpus')}"], tmp_path / "out")
    report = json.loads((tmp_path / "out" / "prepare-report.json").read_text())
    assert report["n_clips_found"] == 4
    assert report["refusal"] is None
    assert report["unreadable"] == []
    assert [(s["split"], s["n_speakers"], s["n_sessions"], s["n_clips"]) for s in report["splits"]] == [
        ("train", 1, 2, 2),
        ("validation", 1, 1, 1),
        ("test", 1, 1, 1),
    ]
    assert sum(s["hours"] for s in report["splits"]) == pytest.approx(4 * 0.5 / 3600)
    assert {f["kind"]: f["cases"] for f in report["findings"]} == {
        f.kind: [list(c) for c in f.cases] for f in inventory.findings
    }


def test_age_survives_and_another_versions_rows_do_not(tmp_path: Path) -> None:
    utterance = Utterance(Path("/a.wav"), "c", "c/a", "1", "f", "train", 11.5)
    path = tmp_path / "utterances.csv"
    write_prepared([PreparedUtterance(utterance, 1.0), PreparedUtterance(replace(utterance, age=None), 2.0)], path)
    assert [row.utterance.age for row in read_prepared(path)] == [11.5, None]
    with path.open(newline="") as file:
        rows = [[cell for name, cell in row.items() if name != "age"] for row in csv.DictReader(file)]
    path.write_text("path,corpus,speaker,session,gender,split,duration_s\n" + "\n".join(map(",".join, rows)) + "\n")
    with pytest.raises(CorpusError, match="prepare it again"):
        read_prepared(path)


def test_too_many_unreadable_clips_are_all_named_and_nothing_is_written(tmp_path: Path) -> None:
    root = manifest(tmp_path / "corpus")
    (root / "a" / "1.wav").write_text("not audio at all")
    with pytest.raises(CorpusError, match=r"1 of 2 clips cannot be read, more than the 1 % that .*a/1\.wav"):
        prepare([f"manifest:{root}"], tmp_path / "out")
    assert not (tmp_path / "out" / "utterances.csv").exists()
    report = json.loads((tmp_path / "out" / "prepare-report.json").read_text())
    assert [clip["path"] for clip in report["unreadable"]] == [str(root / "a" / "1.wav")]
    assert "cannot be read" in report["refusal"]


def test_few_unreadable_clips_are_left_out_and_reported(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    for number in range(20):
        clip(root / "ann" / f"{number}.wav")
    (root / "ann" / "3.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match="1 of 20"):
        prepare([f"folder:{root}"], tmp_path / "out", max_unreadable=0.04)
    inventory = prepare([f"folder:{root}"], tmp_path / "out", max_unreadable=0.05)
    assert [Path(clip.path).name for clip in inventory.unreadable] == ["3.wav"]
    assert len(read_prepared(tmp_path / "out" / "utterances.csv")) == 19


def test_a_listed_clip_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    next((commonvoice(tmp_path / "cv") / "en" / "clips").iterdir()).unlink()
    inventory = prepare([f"commonvoice:{tmp_path / 'cv'}"], tmp_path / "out", max_unreadable=0.5)
    assert len(inventory.unreadable) == 1


def test_copies_under_one_speaker_are_read_once_whatever_the_container(tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    clip(root / "ann" / "1.wav", seed=1)
    clip(root / "ann" / "2.flac", seed=1)
    clip(root / "ann" / "3.wav", seed=2)
    inventory = prepare([f"folder:{root}"], tmp_path / "out")
    rows = read_prepared(tmp_path / "out" / "utterances.csv")
    assert [row.utterance.path.name for row in rows] == ["1.wav", "3.wav"]
    copies = next(f for f in inventory.findings if f.kind == "copies")
    assert [[Path(path).name for path in case] for case in copies.cases] == [["1.wav", "2.flac"]]


def test_one_recording_under_two_speakers_of_two_splits_is_refused(tmp_path: Path) -> None:
    root = manifest(tmp_path / "corpus")
    shutil.copy(root / "a" / "1.wav", root / "b" / "1.wav")
    with pytest.raises(
        CorpusError, match=r"1 times the same audio under two speakers in two splits.*a/1\.wav = .*b/1\.wav"
    ):
        prepare([f"manifest:{root}"], tmp_path / "out")
    assert not (tmp_path / "out" / "utterances.csv").exists()


def read(speaker: str, name: str = "1", *, sha256: str | None = None, **changes: object) -> ReadClip:
    corpus = speaker.split("/", maxsplit=1)[0]
    utterance = Utterance(Path(f"/{speaker}/{name}.wav"), corpus, speaker, "1", "", "train")
    clip_changes = {key: changes.pop(key) for key in ("duration_s", "peak") if key in changes}
    clip = ReadClip(replace(utterance, **changes), 1.0, sha256 or f"{speaker} {name}", 0.5)  # type: ignore[arg-type]
    return replace(clip, **clip_changes)  # type: ignore[arg-type]


def cases(clips: Sequence[ReadClip], kind: str) -> list[tuple[str, ...]]:
    return [case for finding in find_hazards(clips) if finding.kind == kind for case in finding.cases]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    clips = [read(s, n, session=n) for s in ("c/ann", "c/bob") for n in "12"]
    assert find_hazards(clips) == []
    assert without_repeats_and_silence(clips) == clips


def test_audio_that_two_speakers_claim_stays_with_neither() -> None:
    clips = [read("c/ann", "1", sha256="x"), read("c/bob", "1", sha256="x"), read("c/bob", "2")]
    assert cases(clips, "two_speakers") == [("/c/ann/1.wav", "/c/bob/1.wav")]
    assert cases(clips, "copies") == []
    assert without_repeats_and_silence(clips) == clips[2:]


def test_a_file_named_twice_is_kept_once() -> None:
    clips = [read("c/ann"), read("c/ann"), read("c/ann", "2")]
    assert without_repeats_and_silence(clips) == clips[1:] == [clips[0], clips[2]]


def test_silence_is_left_out_and_is_no_copy_of_other_silence() -> None:
    clips = [read("c/ann", n, sha256="zeros", peak=0.0) for n in "12"] + [read("c/bob", sha256="zeros", peak=0.0009)]
    assert len(cases(clips, "silent")) == 3
    assert {finding.kind for finding in find_hazards(clips)} & {"copies", "two_speakers", "two_splits"} == set()
    assert without_repeats_and_silence([*clips, read("c/eve", peak=0.001)]) == [read("c/eve", peak=0.001)]


def test_short_clips_are_reported_and_kept() -> None:
    clips = [read("c/ann", "1", duration_s=0.29), read("c/ann", "2", duration_s=0.3)]
    assert cases(clips, "short") == [("/c/ann/1.wav",)]
    assert without_repeats_and_silence(clips) == clips


def test_speakers_with_one_clip_or_one_session() -> None:
    clips = [read("c/ann"), read("c/bob", "1"), read("c/bob", "2"), *(read("c/eve", n, session=n) for n in "12")]
    assert cases(clips, "one_clip") == [("c/ann",)]
    assert cases(clips, "one_session") == [("c/ann",), ("c/bob",)]


def test_clips_that_disagree_about_the_gender() -> None:
    clips = [read("c/ann", n, gender=g) for n, g in (("1", "f"), ("2", "m"))]
    clips += [read("c/bob", n, gender=g) for n, g in (("1", ""), ("2", "m"))]
    assert cases(clips, "genders") == [("c/ann",)]


def test_names_that_differ_in_case_or_leading_zeros_only() -> None:
    clips = [read(f"c/{name}") for name in ("ann", "Ann", "s01", "s1", "S001", "s10", "s100", "0", "00")]
    assert cases(clips, "spelling") == [("c/0", "c/00"), ("c/Ann", "c/ann"), ("c/S001", "c/s01", "c/s1")]
    assert cases([read("c/ann"), read("d/Ann")], "spelling") == []


def test_a_name_in_two_corpora() -> None:
    clips = [read("c/19"), read("d/19"), read("d/20"), read("librispeech-19", corpus="librispeech")]
    assert cases(clips, "two_corpora") == [("c/19", "d/19", "librispeech-19")]


def test_errors_come_first() -> None:
    clips = [read("c/ann", sha256="x"), read("c/bob", sha256="x", split="test")]
    found = find_hazards(clips)
    assert [finding.is_error for finding in found] == [True, False, False]
    assert found[0].kind == "two_splits"
