"""VCTK, VoxCeleb, Common Voice and plain folders, each on a made tree in its own layout."""

from pathlib import Path

import pytest

from made_corpora import ACCOUNTS, clip, commonvoice, folder, vctk, voxceleb
from training.corpora.utterance import CorpusError
from training.prepare import read_corpus


def test_vctk_is_read_from_one_microphone(tmp_path: Path) -> None:
    rows = read_corpus(f"vctk:{vctk(tmp_path)}")
    assert [(u.speaker, u.gender, u.age, u.path.stem) for u in rows] == [
        ("vctk-p225", "f", 23.0, "p225_001_mic1"),
        ("vctk-p225", "f", 23.0, "p225_002_mic1"),
        ("vctk-p280", "f", 25.0, "p280_001_mic2"),
        ("vctk-p280", "f", 25.0, "p280_002_mic2"),
        ("vctk-s5", "", None, "s5_001_mic1"),
        ("vctk-s5", "", None, "s5_002_mic1"),
    ]
    assert {(u.corpus, u.session, u.split) for u in rows} == {("vctk", "1", None)}


def test_vctk_as_it_was_before_it_had_two_microphones(tmp_path: Path) -> None:
    clip(tmp_path / "wav48" / "p226" / "p226_001.wav")
    (tmp_path / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS  REGION \n226  22  M    English    Surrey\n")
    rows = read_corpus(f"vctk:{tmp_path}")
    assert [(u.speaker, u.gender, u.age) for u in rows] == [("vctk-p226", "m", 22.0)]
    vctk(tmp_path)
    assert {u.speaker for u in read_corpus(f"vctk:{tmp_path}")} == {"vctk-p225", "vctk-p280", "vctk-s5"}


def test_a_vctk_clip_in_a_strange_folder_is_named(tmp_path: Path) -> None:
    clip(tmp_path / "wav48" / "p226" / "p227_001.wav")
    with pytest.raises(CorpusError, match=r"p227_001\.wav does not name its own speaker"):
        read_corpus(f"vctk:{tmp_path}")


def test_voxceleb_takes_its_test_speakers_from_the_meta_files(tmp_path: Path) -> None:
    rows = read_corpus(f"voxceleb:{voxceleb(tmp_path)}")
    assert [(u.corpus, u.speaker, u.session, u.gender, u.split) for u in rows] == [
        ("voxceleb2", "voxceleb-id00012", "21Uxsk56VDQ", "m", None),
        ("voxceleb2", "voxceleb-id00017", "01dfn2spqyE", "f", "test"),
        ("voxceleb1", "voxceleb-id10001", "1zcIwhmdeo4", "m", None),
        ("voxceleb1", "voxceleb-id10001", "7gWzIy6yIIk", "m", None),
        ("voxceleb1", "voxceleb-id10270", "5r0dWxy17C8", "f", "test"),
    ]


def test_voxceleb_without_meta_files_goes_by_its_folders_or_not_at_all(tmp_path: Path) -> None:
    voxceleb(tmp_path)
    for name in ("vox1_meta.csv", "vox2_meta.csv"):
        (tmp_path / name).unlink()
    with pytest.raises(CorpusError, match=r"whether id10001 trains or tests; put vox1_meta\.csv and"):
        read_corpus(f"voxceleb:{tmp_path}")
    (tmp_path / "wav").rename(tmp_path / "elsewhere")
    rows = read_corpus(f"voxceleb:{tmp_path}")
    assert [(u.speaker, u.split) for u in rows] == [("voxceleb-id00012", None), ("voxceleb-id00017", "test")]


def test_a_converted_voxceleb_clip_beside_its_original_is_one_clip(tmp_path: Path) -> None:
    clip(tmp_path / "dev" / "aac" / "id00012" / "v" / "00001.m4a")
    clip(tmp_path / "dev" / "aac" / "id00012" / "v" / "00001.wav")
    assert [u.path.name for u in read_corpus(f"voxceleb:{tmp_path}")] == ["00001.wav"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ID,Sex,Part\nid10001,m,dev\n", "lacks the columns Gender and Set"),
        ("ID,Gender,Set\nid10001,m,train\n", "row 2: 'id10001 m train' does not end in one of dev, test"),
        ("ID,Gender,Set\nid10001,m\n", "row 2"),
    ],
)
def test_a_wrong_voxceleb_meta_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (voxceleb(tmp_path) / "vox1_meta.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_corpus(f"voxceleb:{tmp_path}")


def speaker(account: str) -> str:
    return f"commonvoice-{ACCOUNTS[account][:16]}"


def test_a_common_voice_account_is_one_speaker_in_all_languages(tmp_path: Path) -> None:
    rows = read_corpus(f"commonvoice:{commonvoice(tmp_path)}")
    assert {(u.speaker, u.gender, u.split, u.age) for u in rows} == {
        (speaker("a"), "m", "test", 25.0),
        (speaker("a"), "m", "test", None),
        (speaker("b"), "f", "validation", None),
        (speaker("c"), "", "train", 45.0),
        (speaker("d"), "", None, None),
    }
    assert all(u.path.is_file() for u in rows)
    assert len({u.path for u in rows}) == len(rows) == 6


def test_one_common_voice_language_and_no_list_of_validated_clips(tmp_path: Path) -> None:
    (commonvoice(tmp_path) / "en" / "validated.tsv").unlink()
    rows = read_corpus(f"commonvoice:{tmp_path / 'en'}")
    assert [(u.speaker, u.split) for u in rows] == [
        (speaker("a"), "train"),
        (speaker("a"), "train"),
        (speaker("b"), "validation"),
    ]


def test_a_common_voice_language_that_lists_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "en" / "clips").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"it needs validated\.tsv or train\.tsv, dev\.tsv, test\.tsv"):
        read_corpus(f"commonvoice:{tmp_path}")


def test_a_common_voice_list_without_accounts_says_so(tmp_path: Path) -> None:
    (commonvoice(tmp_path) / "en" / "validated.tsv").write_text("path\tsentence\na.mp3\tA.\n")
    with pytest.raises(CorpusError, match="lacks the column client_id"):
        read_corpus(f"commonvoice:{tmp_path}")


def test_a_folder_is_a_speaker_and_one_below_it_a_session(tmp_path: Path) -> None:
    rows = read_corpus(f"folder:{folder(tmp_path / 'home')}")
    assert [(u.corpus, u.speaker, u.session, u.path.name, u.split) for u in rows] == [
        ("home", "home/ann", "1", "1.wav", None),
        ("home", "home/ann", "1", "2.mp3", None),
        ("home", "home/bob", "monday", "1.ogg", None),
        ("home", "home/bob", "tuesday/am", "1.flac", None),
    ]


def test_a_clip_that_belongs_to_no_speaker_is_refused(tmp_path: Path) -> None:
    clip(folder(tmp_path) / "who.wav")
    with pytest.raises(CorpusError, match=r"who\.wav lies in .* and belongs to no speaker"):
        read_corpus(f"folder:{tmp_path}")
