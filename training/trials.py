"""Trials: which pairs of clips are scored, and whether each pair is one speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from training.corpora.utterance import CorpusError
from training.metrics import Labels


@dataclass(frozen=True, eq=False)
class Trials:
    """Trial t compares clips a[t] and b[t]; `speakers` gives each clip's speaker, as a number."""

    name: str
    paths: tuple[Path, ...]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    labels: Labels
    speakers: NDArray[np.int64]

    @property
    def n_speakers(self) -> int:
        return len(np.unique(self.speakers))


def read_trials(path: Path, root: Path) -> Trials:
    """A list of lines `label path path`, label 1 for target and 0 for non-target, paths relative to `root`.

    Speakers are found by joining the clips of target trials and, where no non-target trial contradicts it, of
    folders. Raises CorpusError naming the line for anything else, for an absent clip, or for a contradiction.
    """
    if not path.is_file():
        raise CorpusError(f"there is no trial list at {path}")
    index: dict[str, int] = {}
    rows: list[tuple[int, int, int]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != 3 or cells[0] not in ("0", "1"):
            raise CorpusError(f"{path} line {number}: a trial is `label path path` with label 0 or 1; got {line!r}")
        a_name, b_name = cells[1:]
        a_index = index.setdefault(a_name, len(index))
        rows.append((int(cells[0]), a_index, index.setdefault(b_name, len(index))))
    if {label for label, _, _ in rows} != {0, 1}:
        raise CorpusError(
            f"{path} needs target (1) and non-target (0) trials; it has {len(rows)} trials of one kind at most"
        )
    paths = tuple(root / name for name in index)
    for clip in paths:
        if not clip.is_file():
            raise CorpusError(f"{path} names {clip}, which is not there; its paths are relative to {root}")
    labels, a, b = (np.array(column) for column in zip(*rows, strict=True))
    is_target = labels.astype(bool)
    target_pairs = [(i, j) for label, i, j in rows if label]
    folders: dict[Path, int] = {}
    folder_pairs = [(i, folders.setdefault(clip.parent, i)) for i, clip in enumerate(paths)]
    speakers = _components(len(paths), target_pairs + folder_pairs)
    if ((speakers[a] == speakers[b]) & ~is_target).any():
        speakers = _components(len(paths), target_pairs)
    contradicted = np.flatnonzero((speakers[a] == speakers[b]) & ~is_target)
    if len(contradicted):
        raise CorpusError(f"{path}: trial {contradicted[0] + 1} says two speakers, but target trials join these clips")
    return Trials(path.stem, paths, a, b, is_target, speakers)


def all_pairs(name: str, speakers: Sequence[str], paths: Sequence[Path] = ()) -> Trials:
    """Every pair of clips i < j, given the speaker of each and, where they matter, the files."""
    a, b = np.triu_indices(len(speakers), k=1)
    numbers = np.unique(np.array(speakers), return_inverse=True)[1]
    return Trials(name, tuple(paths), a, b, numbers[a] == numbers[b], numbers)


def _components(n_clips: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Number of the connected component of each clip, (n_clips,)."""
    rows, columns = zip(*pairs, strict=True)
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(n_clips, n_clips))
    numbers: NDArray[np.int64] = connected_components(graph, directed=False)[1]
    return numbers
