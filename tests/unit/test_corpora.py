"""Each reader on a made tree in its corpus's own layout."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from made_corpora import clip, librispeech, manifest, timit
from model.errors import AudioError
from training.corpora.utterance import CorpusError, Utterance
from training.dataset import read_samples
from training.prepare import prepare, read_corpus
from training.splits import assign_splits


def test_timit(tmp_path: Path) -> None:
    rows = read_corpus(f"timit:{timit(tmp_path)}")
    assert {(u.speaker, u.gender, u.split) for u in rows} == {
        ("timit-FCJF0", "f", None),
        ("timit-MDAC0", "m", None),
        ("timit-MWBT0", "m", "test"),
    }
    assert len(rows) == 6
    assert all(u.path.is_absolute() for u in rows)


def test_timit_in_lower_case_with_converted_copies(tmp_path: Path) -> None:
    clip(tmp_path / "train" / "dr1" / "fcjf0" / "sa1.wav")
    clip(tmp_path / "train" / "dr1" / "fcjf0" / "sa2.wav.wav")
    assert [u.path.name for u in read_corpus(f"timit:{tmp_path}")] == ["sa1.wav"]


def test_librispeech(tmp_path: Path) -> None:
    rows = read_corpus(f"librispeech:{librispeech(tmp_path)}")
    assert [(u.speaker, u.session, u.gender, u.split) for u in rows] == [
        ("librispeech-84", "121123", "", "validation"),
        ("librispeech-367", "130732", "m", "test"),
        ("librispeech-19", "198", "f", "train"),
        ("librispeech-19", "227", "f", "train"),
    ]


def test_manifest(tmp_path: Path) -> None:
    rows = read_corpus(f"manifest:{manifest(tmp_path)}")
    assert [(u.speaker, u.session, u.gender, u.split, u.age) for u in rows] == [
        ("made/a", "1", "f", "train", 11.0),
        ("made/b", "1", "", "validation", None),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a/1.wav,made,training,a,1,F", "line 2: split is 'training'"),
        ("a/9.wav,made,train,a,1,F", "line 2: there is no file a/9.wav"),
        ("a/1.wav,made,train,,1,F", "line 2: the speaker is empty"),
        ("a/1.wav,made,train,a,1,F,old", "line 2: age is 'old'"),
        ("a/1.wav,made,train,a,1,F,-1", "line 2: age is '-1'"),
    ],
)
def test_a_wrong_manifest_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text(f"path,corpus,split,speaker,session,gender,age\n{line}\n")
    with pytest.raises(CorpusError, match=message):
        read_corpus(f"manifest:{tmp_path}")


def test_a_manifest_without_speakers_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,who\na.wav,b\n")
    with pytest.raises(CorpusError, match="lacks the column speaker"):
        read_corpus(f"manifest:{tmp_path}")


@pytest.mark.parametrize("kind", ["timit", "librispeech", "vctk", "voxceleb", "commonvoice", "folder", "debian"])
def test_a_folder_that_is_not_the_corpus_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CorpusError, match="give the folder"):
        read_corpus(f"{kind}:{tmp_path}")


@pytest.mark.parametrize("source", ["voxceleb3:x", "manifest", ""])
def test_an_unknown_kind_lists_the_known(source: str) -> None:
    with pytest.raises(
        CorpusError, match="commonvoice, debian, folder, librispeech, manifest, prepared, shards, timit, vctk, voxceleb"
    ):
        read_corpus(source)


def utterances(corpus: str, n_speakers: int, split: str | None = None) -> list[Utterance]:
    return [
        Utterance(Path(f"/{corpus}/{s}/{c}.wav"), corpus, f"{corpus}-{s}", "1", "", split)  # type: ignore[arg-type]
        for s in range(n_speakers)
        for c in range(3)
    ]


def test_splits_are_speaker_disjoint_complete_and_repeatable() -> None:
    rows = utterances("open", 40)
    split = assign_splits(rows, validation_fraction=0.2, test_fraction=0.1, seed=7)
    of: dict[str, set[str | None]] = {}
    for u in split:
        of.setdefault(u.speaker, set()).add(u.split)
    assert all(len(found) == 1 for found in of.values())
    counts = [sum(found == {name} for found in of.values()) for name in ("train", "validation", "test")]
    assert counts == [28, 8, 4]
    assert split == assign_splits(rows, validation_fraction=0.2, test_fraction=0.1, seed=7)
    assert split != assign_splits(rows, validation_fraction=0.2, test_fraction=0.1, seed=8)


def test_a_corpus_with_its_own_test_split_gives_no_more_speakers_to_test() -> None:
    timit_like = [*utterances("c", 20), *utterances("c-test", 3, "test")]
    timit_like = [Utterance(u.path, "c", u.speaker, u.session, u.gender, u.split) for u in timit_like]
    split = assign_splits(timit_like, validation_fraction=0.1, test_fraction=0.5, seed=1)
    assert {u.speaker for u in split if u.split == "test"} == {"c-test-0", "c-test-1", "c-test-2"}


def test_a_speaker_in_two_splits_is_refused() -> None:
    rows = [*utterances("c", 1, "train"), *utterances("c", 1, "test")]
    with pytest.raises(CorpusError, match="a speaker belongs to one split, but speaker c-0 is in train and in test"):
        assign_splits(rows, validation_fraction=0.1, test_fraction=0.1, seed=1)


def test_nobody_for_validation_means_some_training_speakers_are_drawn() -> None:
    split = assign_splits(utterances("c", 10, "train"), validation_fraction=0.1, test_fraction=0.1, seed=1)
    of = {u.speaker: u.split for u in split}
    assert sorted(of.values()).count("validation") == 2
    assert sorted(of.values()).count("train") == 8


def test_one_label_in_two_corpora_is_two_people(tmp_path: Path) -> None:
    for name in ("one", "two"):
        root = tmp_path / name
        clip(root / "1" / "a.wav")
        (root / "manifest.csv").write_text("path,speaker\n1/a.wav,1\n")
    rows = [u for name in ("one", "two") for u in read_corpus(f"manifest:{tmp_path / name}")]
    assert {u.speaker for u in rows} == {"one/1", "two/1"}


def test_timit_is_read_in_the_sphere_files_that_it_comes_in(tmp_path: Path) -> None:
    path = tmp_path / "corpus" / "TRAIN" / "DR1" / "FCJF0" / "SA1.WAV"
    path.parent.mkdir(parents=True)
    samples = (0.1 * np.random.default_rng(0).standard_normal(8_000)).astype(np.float32)
    soundfile.write(path, samples, 16_000, format="NIST", subtype="PCM_16")
    assert path.read_bytes().startswith(b"NIST_1A")
    assert np.abs(read_samples(path) - samples).max() < 1e-4
    assert [s.n_clips for s in prepare([f"timit:{tmp_path / 'corpus'}"], tmp_path / "out").splits] == [1]


def test_a_packed_sphere_file_says_how_to_unpack_it(tmp_path: Path) -> None:
    header = b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    (tmp_path / "a.wav").write_bytes(header.ljust(1_024) + bytes(2_000))
    with pytest.raises(AudioError, match="sph2pipe"):
        read_samples(tmp_path / "a.wav")
