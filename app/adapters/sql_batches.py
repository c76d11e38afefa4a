"""Every speaker's reference, as columns: how a gallery is filled from a million rows.

What `sql_rows.to_reference` does for one speaker is done here by numpy for thousands. A test holds the two together.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from app.adapters.sealing import STORED_DTYPE, Sealer, SpeakerSeal
from app.adapters.tables import enrollments, speakers
from app.errors import StoreError
from app.records import ReferenceBatch, StandingBatch
from model.scoring import Embedding

_log = logging.getLogger(__name__)

N_NUMBERS_IN_BATCH = 2048
"""Some megabytes, unless they enrolled dozens of clips each."""

Rows = Sequence[Sequence[Any]]
"""Of the columns that `read_rows` asks for."""


def next_number(connection: Connection, after: int) -> int | None:
    """The lowest number beyond this one; None where there is none."""
    number: int | None = connection.execute(select(func.min(speakers.c.seq)).where(speakers.c.seq > after)).scalar()
    return number


def read_rows(connection: Connection, first: int) -> Rows:
    """The clips of the speakers from this number on, N_NUMBERS_IN_BATCH numbers, a speaker's together."""
    query = (
        select(
            speakers.c.seq,
            speakers.c.tenant,
            speakers.c.speaker_id,
            speakers.c.data_key,
            enrollments.c.encoder_id,
            enrollments.c.embedding,
            enrollments.c.speech_s,
        )
        .select_from(speakers.join(enrollments))
        .where(speakers.c.seq >= first, speakers.c.seq < first + N_NUMBERS_IN_BATCH)
        .order_by(speakers.c.seq, enrollments.c.seq)
    )
    # The driver's tuples: a Row for each would take as long as reading them.
    cursor: Any = connection.execute(query).cursor
    rows: Rows = cursor.fetchall()
    return rows


def read_standings(connection: Connection, first: int) -> StandingBatch:
    """The speakers with a clip from this number on, N_NUMBERS_IN_BATCH numbers."""
    query = (
        select(
            speakers.c.seq,
            speakers.c.tenant,
            func.max(enrollments.c.encoder_id),
            func.count(),
            func.sum(enrollments.c.speech_s),
        )
        .select_from(speakers.join(enrollments))
        .where(speakers.c.seq >= first, speakers.c.seq < first + N_NUMBERS_IN_BATCH)
        .group_by(speakers.c.seq, speakers.c.tenant)
    )
    rows = connection.execute(query).all()
    numbers, tenants, encoder_ids, counts, speech_s = zip(*rows, strict=True) if rows else ((),) * 5
    return StandingBatch(
        tenants=tenants,
        numbers=np.array(numbers, dtype=np.int64),
        encoder_ids=encoder_ids,
        enrollment_counts=np.array(counts, dtype=np.int64),
        speech_s=np.array(speech_s, dtype=np.float64),
    )


def to_batches(rows: Rows, sealer: Sealer) -> list[ReferenceBatch]:
    """One batch for each size of embedding. Speakers whose clips give no reference are left out and logged."""
    batches: list[ReferenceBatch] = []
    if not rows:
        return batches
    numbers, tenants, _, _, encoder_ids, _, speech_s = zip(*rows, strict=True)
    embeddings = _opened(rows, sealer)
    seqs = np.array(numbers, dtype=np.int64)
    first_rows = np.flatnonzero(np.concatenate(([True], seqs[1:] != seqs[:-1])))
    counts = np.diff(first_rows, append=len(seqs))
    sums_s = np.add.reduceat(np.array(speech_s, dtype=np.float64), first_rows)
    n_bytes = np.fromiter(map(len, embeddings), dtype=np.int64, count=len(rows))
    smallest, largest = np.minimum.reduceat(n_bytes, first_rows), np.maximum.reduceat(n_bytes, first_rows)
    is_whole = (smallest == largest) & (smallest > 0) & (smallest % STORED_DTYPE.itemsize == 0)
    left_out = [(first_rows[~is_whole], "the embeddings do not open, or are of different sizes")]
    for size in np.unique(smallest[is_whole]).tolist():
        chosen = is_whole & (smallest == size)
        of_rows = embeddings if chosen.all() else compress(embeddings, np.repeat(chosen, counts))
        references, is_sound = _references(_joined(of_rows, size), counts[chosen])
        left_out.append((first_rows[chosen][~is_sound], "an embedding is zero or not finite"))
        firsts = first_rows[chosen][is_sound]
        batches.append(
            ReferenceBatch(
                tenants=_at(tenants, firsts),
                numbers=seqs[firsts],
                encoder_ids=_at(encoder_ids, firsts),
                embeddings=references if is_sound.all() else references[is_sound],
                enrollment_counts=counts[chosen][is_sound],
                speech_s=sums_s[chosen][is_sound],
            )
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
    return batches


def _opened(rows: Rows, sealer: Sealer) -> list[bytes]:
    """The numbers of each row; none where it does not open."""
    opened, number, seal = [], None, None
    for own, tenant, speaker_id, data_key, encoder_id, embedding, _ in rows:
        if own != number:
            number, seal = own, _seal(sealer, tenant, speaker_id, data_key)
        try:
            opened.append(seal.open_bytes(embedding, encoder_id) if seal is not None else b"")
        except StoreError:
            opened.append(b"")
    return opened


def _seal(sealer: Sealer, tenant: str, speaker_id: str, data_key: bytes) -> SpeakerSeal | None:
    try:
        return sealer.of(tenant, speaker_id, data_key)
    except StoreError:
        return None


def _at(column: tuple[str, ...], places: NDArray[np.int64]) -> tuple[str, ...]:
    return column if len(places) == len(column) else tuple(column[place] for place in places.tolist())


def _joined(embeddings: Iterable[Any], n_bytes: int) -> Embedding:
    """(n_rows, n_embedding), in memory of its own that may be written to."""
    return np.frombuffer(bytearray().join(embeddings), dtype=STORED_DTYPE).reshape(-1, n_bytes // STORED_DTYPE.itemsize)


def _references(stored: Embedding, counts: NDArray[np.int64]) -> tuple[Embedding, NDArray[np.bool_]]:
    """Rows of speakers one after another, `counts` of each -> `model.scoring.reference` of each, and whether there is one.

    Where there is none the row holds anything. `stored` is overwritten.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        references = _scaled(stored)
        # The mean of one clip is the clip.
        if len(stored) > len(counts):
            first_rows = np.concatenate(([0], np.cumsum(counts)[:-1]))
            references = _scaled(np.add.reduceat(references, first_rows, axis=0))
    is_sound: NDArray[np.bool_] = np.isfinite(references[:, 0])
    return references, is_sound


def _scaled(embeddings: Embedding) -> Embedding:
    """Scales in place to length 1, as `model.scoring.unit` does, with NaN all over a row where that has no answer."""
    inverse = 1 / np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float32))
    inverse[~np.isfinite(inverse) | (inverse == 0)] = np.nan
    embeddings *= inverse[:, np.newaxis]
    return embeddings
