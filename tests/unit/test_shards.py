"""Shards: the same rows and the same bytes as the files that they were made of, or a sentence on what is wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from made_corpora import clip, commonvoice, folder, librispeech, manifest, timit, voxceleb
from training.corpora.shards import MANIFEST, read_file, stamp
from training.corpora.utterance import CorpusError, Utterance
from training.dataset import read_prepared, read_samples, rows_sha256
from training.prepare import prepare, read_corpus
from training.shard import shard


def made(tmp_path: Path, clips_per_shard: int = 2) -> tuple[str, Path]:
    """TIMIT's six clips in three shards of two."""
    source = f"timit:{timit(tmp_path / 'corpus')}"
    shard([source], tmp_path / "shards", clips_per_shard=clips_per_shard)
    return source, tmp_path / "shards"


@pytest.mark.parametrize("make", [commonvoice, folder, librispeech, manifest, timit, voxceleb])
def test_a_sharded_corpus_reads_as_its_files_do(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = f"{make.__name__}:{make(tmp_path / 'corpus')}"
    shard([source], tmp_path / "shards", clips_per_shard=2)
    files, sharded = read_corpus(source), read_corpus(f"shards:{tmp_path / 'shards'}")
    nowhere = Path()
    assert [replace(u, path=nowhere) for u in sharded] == [replace(u, path=nowhere) for u in files]
    for ours, theirs in zip(sharded, files, strict=True):
        assert ours.path.name == theirs.path.name
        assert read_file(ours.path) == theirs.path.read_bytes()
        assert stamp(ours.path)[0] == stamp(theirs.path)[0] == theirs.path.stat().st_size
        assert np.array_equal(read_samples(ours.path), read_samples(theirs.path))


def test_what_prepare_writes_is_the_same_but_for_the_paths(tmp_path: Path) -> None:
    source, shards = made(tmp_path)
    of_files = prepare([source], tmp_path / "files", validation_fraction=0.5)
    of_shards = prepare([f"shards:{shards}"], tmp_path / "sharded", validation_fraction=0.5)
    assert of_shards.splits == of_files.splits
    files, sharded = (read_prepared(tmp_path / name / "utterances.csv") for name in ("files", "sharded"))
    assert rows_sha256(sharded) == rows_sha256(files)
    assert [row.duration_s for row in sharded] == [row.duration_s for row in files]


def test_a_prepared_data_set_keeps_its_splits_in_shards(tmp_path: Path) -> None:
    prepare([f"timit:{timit(tmp_path / 'corpus')}"], tmp_path / "data", validation_fraction=0.5, seed=3)
    shard([f"prepared:{tmp_path / 'data'}"], tmp_path / "shards")

    def splits(utterances: list[Utterance]) -> list[tuple[str, str | None]]:
        return [(u.speaker, u.split) for u in utterances]

    prepared = [row.utterance for row in read_prepared(tmp_path / "data" / "utterances.csv")]
    assert {split for _, split in splits(prepared)} == {"train", "validation", "test"}
    assert splits(read_corpus(f"shards:{tmp_path / 'shards'}")) == splits(prepared)


def test_webdataset_reads_the_shards(tmp_path: Path) -> None:
    source, shards = made(tmp_path)
    samples = []
    for path in sorted(shards.glob("*.tar")):
        with path.open("rb") as stream:
            members = tar_file_expander([{"url": path.name, "stream": stream}])
            samples += list(group_by_keys(members))
    files = read_corpus(source)
    assert [sample["wav"] for sample in samples] == [u.path.read_bytes() for u in files]
    told = [json.loads(sample["json"]) for sample in samples]
    assert [(t["utterance"], t["speaker"], t["corpus"], t["split"]) for t in told] == [
        (u.path.name, u.speaker, u.corpus, u.split) for u in files
    ]


def test_long_names_dots_and_letters_of_any_script_survive(tmp_path: Path) -> None:
    names = ["x" * 200 + ".wav", "a.b.c.wav", "ж ü.wav"]
    for name in names:
        clip(tmp_path / "corpus" / "ann" / name)
    shard([f"folder:{tmp_path / 'corpus'}"], tmp_path / "shards")
    sharded = read_corpus(f"shards:{tmp_path / 'shards'}")
    assert sorted(u.path.name for u in sharded) == sorted(names)
    assert all(read_file(u.path) == (tmp_path / "corpus" / "ann" / u.path.name).read_bytes() for u in sharded)


def test_the_same_clips_give_the_same_bytes(tmp_path: Path) -> None:
    source, shards = made(tmp_path)
    shard([source], tmp_path / "again", clips_per_shard=2)
    names = sorted(path.name for path in shards.iterdir())
    assert names == ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar", MANIFEST]
    assert all((shards / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_an_interrupted_call_keeps_what_was_finished(tmp_path: Path) -> None:
    source, shards = made(tmp_path)
    whole = (shards / MANIFEST).read_bytes()
    last = (shards / "shard-000002.tar").read_bytes()
    # As if it had stopped in the third shard.
    begun = json.loads(whole)
    del begun["shards"][2]
    (shards / MANIFEST).write_text(json.dumps(begun))
    (shards / "shard-000002.tar").unlink()
    (shards / "shard-000002.part").write_bytes(last[:700])
    with pytest.raises(CorpusError, match="holds 2 of 3 shards; finish it by the same"):
        read_corpus(f"shards:{shards}")
    kept = (shards / "shard-000000.tar").stat().st_ino
    shard([source], shards, clips_per_shard=2)
    assert (shards / "shard-000000.tar").stat().st_ino == kept
    assert (shards / "shard-000002.tar").read_bytes() == last
    assert (shards / MANIFEST).read_bytes() == whole
    assert not list(shards.glob("*.part"))


def test_other_clips_or_another_size_do_not_mix_with_what_is_there(tmp_path: Path) -> None:
    source, shards = made(tmp_path)
    with pytest.raises(CorpusError, match="holds shards of other clips, or of another size; choose another folder"):
        shard([source], shards, clips_per_shard=3)
    clip(tmp_path / "corpus" / "TEST" / "DR1" / "MWBT0" / "SX101.WAV")
    with pytest.raises(CorpusError, match="holds shards of other clips"):
        shard([source], shards, clips_per_shard=2)


def cut_short(tar: Path) -> None:
    tar.write_bytes(tar.read_bytes()[:-600])


def changed(tar: Path) -> None:
    data = bytearray(tar.read_bytes())
    data[5_000] ^= 1
    tar.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut_short, r"shard-000001.tar has \d+ bytes, and shards.json says \d+ bytes; copy or shard it again"),
        (Path.unlink, r"shard-000001.tar is missing, and shards.json says"),
        (changed, r"shard-000001.tar has SHA-256 \w+, and shards.json says \w+: it is damaged or was changed"),
    ],
)
def test_a_damaged_shard_is_named(tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    _, shards = made(tmp_path)
    damage(shards / "shard-000001.tar")
    with pytest.raises(CorpusError, match=says):
        prepare([f"shards:{shards}"], tmp_path / "out")
    assert not (tmp_path / "out" / "utterances.csv").exists()


def test_a_tar_of_the_right_size_that_is_no_tar_is_named(tmp_path: Path) -> None:
    _, shards = made(tmp_path)
    tar = shards / "shard-000000.tar"
    tar.write_bytes(b"x" * tar.stat().st_size)
    with pytest.raises(CorpusError, match=r"shard-000000.tar is not a tar of `vouch-train shard`"):
        read_corpus(f"shards:{shards}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "there is no shards.json in .*; give a folder that `vouch-train shard` wrote"),
        ("{", "is not what `vouch-train shard` writes"),
        ('{"format": 1, "shards": 3}', "is not what `vouch-train shard` writes"),
        ('{"format": 9, "source_sha256": "", "n_shards": 0, "shards": []}', "has format 9; this version reads 1"),
    ],
)
def test_a_manifest_that_is_none_says_what_to_do(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CorpusError, match=says):
        read_corpus(f"shards:{tmp_path}")


def test_a_clip_that_is_not_in_its_shard_is_an_unreadable_clip(tmp_path: Path) -> None:
    _, shards = made(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no 00000000/SX9.WAV in .*shard-000000.tar"):
        read_file(shards / "shard-000000.tar" / "00000000" / "SX9.WAV")
