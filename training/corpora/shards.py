"""Shards: a corpus as tars in the layout of WebDataset, with a manifest that says what each holds.

A sample is the clip's file as it is and what the corpus says of it, as JSON: `00000012/SA1.flac` and `00000012/SA1.json`.
A path into a tar (`shard-000000.tar/00000012/SA1.flac`) names a clip as a file's path does; `read_file` reads both.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from model.bundle import file_sha256
from training.corpora.utterance import SPLITS, CorpusError, Utterance

FORMAT = 1
MANIFEST = "shards.json"


@dataclass(frozen=True)
class Shard:
    name: str
    n_clips: int
    n_bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardList:
    """What shards.json holds: shards that are finished, out of `n_shards`."""

    source_sha256: str
    """Of the clips that are sharded, in their order, and of how they are dealt out."""
    n_shards: int
    shards: tuple[Shard, ...] = ()


def write_shard_list(found: ShardList, folder: Path) -> None:
    """Writes it whole or not at all."""
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps({"format": FORMAT, **asdict(found)}, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)


def read_shard_list(folder: Path) -> ShardList:
    """Raises CorpusError where the folder holds none that this version wrote."""
    path = folder / MANIFEST
    if not path.is_file():
        raise CorpusError(f"there is no {MANIFEST} in {folder}; give a folder that `vouch-train shard` wrote")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        version = fields.pop("format")
        shards = tuple(Shard(**shard) for shard in fields.pop("shards"))
        found = ShardList(**fields, shards=shards)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorpusError(f"{path} is not what `vouch-train shard` writes ({error}); shard the corpus again") from error
    if version != FORMAT:
        raise CorpusError(f"{path} has format {version}; this version reads {FORMAT}. Shard the corpus again")
    return found


def describe(utterance: Utterance) -> dict[str, Any]:
    """What stands beside a clip: all of its row but where it lay, and `utterance`, its file's name."""
    fields = asdict(utterance)
    return {"utterance": fields.pop("path").name, **fields}


def read_shards(root: Path) -> Iterator[Utterance]:
    """`root` holds shards.json and the tars. Raises CorpusError where one is missing, cut short or no tar of clips.

    Sizes are compared here, and hashes by `require_whole`, which reads everything.
    """
    found = read_shard_list(root)
    if len(found.shards) < found.n_shards:
        raise CorpusError(
            f"{root} holds {len(found.shards)} of {found.n_shards} shards; finish it by the same `vouch-train shard` command"
        )
    for shard in found.shards:
        tar = (root / shard.name).resolve()
        n_bytes = tar.stat().st_size if tar.is_file() else None
        if n_bytes != shard.n_bytes:
            is_there = "is missing" if n_bytes is None else f"has {n_bytes} bytes"
            raise CorpusError(f"{tar} {is_there}, and {MANIFEST} says {shard.n_bytes} bytes; copy or shard it again")
        yield from _read_shard(tar, shard)


def _read_shard(tar: Path, shard: Shard) -> Iterator[Utterance]:
    try:
        names = [name for name in _members_of(tar) if name.endswith(".json")]
        rows = [_read_row(tar, name) for name in names]
    except (tarfile.TarError, ValueError, TypeError, KeyError, OSError) as error:
        raise CorpusError(f"{tar} is not a tar of `vouch-train shard` ({error}); copy or shard it again") from error
    if len(rows) != shard.n_clips:
        raise CorpusError(f"{tar} holds {len(rows)} clips, and {MANIFEST} says {shard.n_clips}; copy or shard it again")
    yield from rows


def _read_row(tar: Path, name: str) -> Utterance:
    fields = json.loads(read_file(tar / name))
    audio = f"{name.partition('/')[0]}/{fields.pop('utterance')}"
    if audio not in _members_of(tar):
        raise KeyError(f"no {audio} beside {name}")
    told = fields.pop("split")
    return Utterance(path=tar / audio, split=next((s for s in SPLITS if s == told), None), **fields)


def require_whole(tar: Path) -> None:
    """Raises CorpusError where the shard is not, byte for byte, what was written."""
    shard = next(shard for shard in read_shard_list(tar.parent).shards if shard.name == tar.name)
    sha256 = file_sha256(tar)
    if sha256 != shard.sha256:
        raise CorpusError(
            f"{tar} has SHA-256 {sha256}, and {MANIFEST} says {shard.sha256}: it is damaged or was changed. Copy or shard it again"
        )


def shard_of(path: Path) -> Path | None:
    """The tar that a clip lies in; None where it is a file of its own."""
    return next((parent for parent in path.parents if parent.suffix == ".tar" and parent.is_file()), None)


def read_file(path: Path) -> bytes:
    """A clip's bytes. Raises OSError where there is none."""
    tar = shard_of(path)
    if tar is None:
        return path.read_bytes()
    place = _place(tar, path)
    with tar.open("rb") as file:
        file.seek(place.start)
        return file.read(place.n_bytes)


def stamp(path: Path) -> tuple[int, int]:
    """(size in bytes, time of change) of a clip's file; in a shard, when the shard was changed."""
    tar = shard_of(path)
    n_bytes = path.stat().st_size if tar is None else _place(tar, path).n_bytes
    return n_bytes, (tar or path).stat().st_mtime_ns


@dataclass(frozen=True)
class _Place:
    start: int
    n_bytes: int


def _place(tar: Path, path: Path) -> _Place:
    name = path.relative_to(tar).as_posix()
    found = _members_of(tar).get(name)
    if found is None:
        raise FileNotFoundError(f"there is no {name} in {tar}")
    return found


def _members_of(tar: Path) -> dict[str, _Place]:
    return _members(tar, tar.stat().st_mtime_ns)


# A tar has no table of what it holds: finding that takes a pass over it, and a process comes back for every clip.
@lru_cache(maxsize=1_024)
def _members(tar: Path, _changed_ns: int) -> dict[str, _Place]:
    with tarfile.open(tar, "r:") as opened:
        return {member.name: _Place(member.offset_data, member.size) for member in opened}
