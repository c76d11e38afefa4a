"""Corpora -> shards: few large tars in the layout of WebDataset, where millions of small files are too many."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from rich.progress import track
from webdataset import TarWriter

from model.bundle import file_sha256
from training.corpora.shards import (
    MANIFEST,
    Shard,
    ShardList,
    describe,
    read_file,
    read_shard_list,
    stamp,
    write_shard_list,
)
from training.corpora.utterance import CorpusError, Utterance
from training.prepare import read_corpus

CLIPS_PER_SHARD = 1_000


def shard(sources: Sequence[str], out: Path, *, clips_per_shard: int = CLIPS_PER_SHARD) -> ShardList:
    """Writes out/shard-NNNNNN.tar and out/shards.json; clips and labels as they are, in the corpora's order.

    The same clips give the same bytes. Shards that an earlier call finished are kept, and one that it was writing is
    written anew. Raises CorpusError where `out` holds shards of other clips, or a clip cannot be read.
    """
    utterances = [utterance for source in sources for utterance in read_corpus(source)]
    n_shards = -(-len(utterances) // clips_per_shard)
    begun = ShardList(_identity(utterances, clips_per_shard), n_shards)
    out.mkdir(parents=True, exist_ok=True)
    finished = _finished(begun, out)
    for number in track(range(n_shards), description="Writing shards"):
        name = f"shard-{number:06d}.tar"
        if name not in finished:
            first = number * clips_per_shard
            finished[name] = _write(utterances[first : first + clips_per_shard], first, out / name)
            write_shard_list(_with(begun, finished), out)
    return _with(begun, finished)


def _with(begun: ShardList, finished: dict[str, Shard]) -> ShardList:
    return ShardList(begun.source_sha256, begun.n_shards, tuple(finished[name] for name in sorted(finished)))


def _finished(begun: ShardList, out: Path) -> dict[str, Shard]:
    if not (out / MANIFEST).is_file():
        return {}
    earlier = read_shard_list(out)
    if earlier.source_sha256 != begun.source_sha256:
        raise CorpusError(f"{out} holds shards of other clips, or of another size; choose another folder")
    return {
        one.name: one
        for one in earlier.shards
        if (out / one.name).is_file() and file_sha256(out / one.name) == one.sha256
    }


def _identity(utterances: Sequence[Utterance], clips_per_shard: int) -> str:
    digest = hashlib.sha256(str(clips_per_shard).encode())
    for utterance in utterances:
        digest.update(json.dumps([describe(utterance), stamp(utterance.path)[0]]).encode())
    return digest.hexdigest()


def _write(utterances: Sequence[Utterance], first: int, path: Path) -> Shard:
    part = path.with_suffix(".part")
    with part.open("wb") as file, TarWriter(file, mtime=0, format="PAX_FORMAT") as tar:
        for number, utterance in enumerate(utterances, start=first):
            try:
                data = read_file(utterance.path)
            except OSError as error:
                raise CorpusError(f"{utterance.path} cannot be read ({error}); leave it out") from error
            stem, _, ending = utterance.path.name.partition(".")
            about = json.dumps(describe(utterance), ensure_ascii=False).encode()
            tar.write({"__key__": f"{number:08d}/{stem}", ending: data, "json": about})
    part.replace(path)
    return Shard(path.name, len(utterances), path.stat().st_size, file_sha256(path))
