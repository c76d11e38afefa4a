"""Every speaker's reference, as columns: how a gallery is filled from a million rows.

What `sql_rows.to_reference` does for one speaker is done here by numpy for thousands. A test holds the two together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, select, type_coerce
from sqlalchemy.types import NullType

from app.adapters.tables import STORED_DTYPE, enrollments, speakers
from app.records import ReferenceBatch
from model.scoring import Embedding

_log = logging.getLogger(__name__)

N_SPEAKERS_IN_BATCH = 4096
"""Some megabytes, unless they enrolled dozens of clips each."""


def batch_query(after: int) -> Select[Any]:
    """The next speakers after this number beside each of their clips, a speaker's together; for `to_batches`.

    The first column of the last row is the number to go on after; a speaker without a clip is a row of its own.
    """
    last = select(speakers.c.seq).where(speakers.c.seq > after).order_by(speakers.c.seq).limit(N_SPEAKERS_IN_BATCH)
    return (
        select(
            speakers.c.seq,
            speakers.c.tenant,
            enrollments.c.encoder_id,
            # As the driver gives it: the column's own type would make an array of each.
            type_coerce(enrollments.c.embedding, NullType()),
            enrollments.c.speech_s,
        )
        .select_from(speakers.outerjoin(enrollments))
        .where(speakers.c.seq.in_(last))
        .order_by(speakers.c.seq, enrollments.c.seq)
    )


def to_batches(rows: Sequence[Sequence[Any]]) -> Iterator[ReferenceBatch]:
    """One batch for each size of embedding. Speakers whose clips give no reference are left out and logged."""
    rows = [row for row in rows if row[3] is not None]
    if not rows:
        return
    numbers, tenants, encoder_ids, embeddings, speech_s = zip(*rows, strict=True)
    seqs = np.array(numbers, dtype=np.int64)
    first_rows = np.flatnonzero(np.concatenate(([True], seqs[1:] != seqs[:-1])))
    counts = np.diff(first_rows, append=len(seqs))
    n_bytes = np.fromiter(map(len, embeddings), dtype=np.int64, count=len(rows))
    smallest, largest = np.minimum.reduceat(n_bytes, first_rows), np.maximum.reduceat(n_bytes, first_rows)
    is_whole = (smallest == largest) & (smallest > 0) & (smallest % STORED_DTYPE.itemsize == 0)
    left_out = [(first_rows[~is_whole], "the embeddings of one speaker differ in size")]
    for size in np.unique(smallest[is_whole]).tolist():
        chosen = is_whole & (smallest == size)
        of_rows = np.repeat(chosen, counts)
        stored = _joined(compress(embeddings, of_rows), size) if not chosen.all() else _joined(embeddings, size)
        firsts = first_rows[chosen]
        references, is_sound = _references(stored, counts[chosen])
        left_out.append((firsts[~is_sound], "an embedding is zero or not finite"))
        firsts = firsts[is_sound]
        yield ReferenceBatch(
            tenants=tuple(tenants[first] for first in firsts.tolist()),
            numbers=seqs[firsts],
            encoder_ids=tuple(encoder_ids[first] for first in firsts.tolist()),
            embeddings=references[is_sound] if not is_sound.all() else references,
            enrollment_counts=counts[chosen][is_sound],
            speech_s=np.add.reduceat(np.array(speech_s, dtype=np.float64), first_rows)[chosen][is_sound],
        )
    for firsts, reason in left_out:
        for first in firsts.tolist():
            # One broken row must not keep everybody else from being found.
            _log.error(
                "Speaker number %d (tenant %r) is left out: %s. Remove the enrollments and enrol the speaker again.",
                numbers[first],
                tenants[first],
                reason,
            )


def _joined(embeddings: Iterable[Any], n_bytes: int) -> Embedding:
    """(n_rows, n_embedding)"""
    return np.frombuffer(b"".join(embeddings), dtype=STORED_DTYPE).reshape(-1, n_bytes // STORED_DTYPE.itemsize)


def _references(stored: Embedding, counts: NDArray[np.int64]) -> tuple[Embedding, NDArray[np.bool_]]:
    """Rows of speakers one after another, `counts` of each -> `model.scoring.reference` of each, and whether there is one.

    Where there is none the row holds anything.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        units = _scaled(stored)
        first_rows = np.concatenate(([0], np.cumsum(counts)[:-1]))
        # A sum over single rows would be a slow copy.
        sums = units if len(units) == len(counts) else np.add.reduceat(units, first_rows, axis=0)
        references = _scaled(sums / counts[:, np.newaxis].astype(np.float32))
    is_sound: NDArray[np.bool_] = np.isfinite(references.sum(axis=1))
    return references, is_sound


def _scaled(embeddings: NDArray[Any]) -> Embedding:
    """To length 1 as `model.scoring.unit` does, with NaN where that has no answer."""
    scaled: Embedding = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    return scaled.astype(np.float32, copy=False)
