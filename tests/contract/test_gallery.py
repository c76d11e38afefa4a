"""What every Gallery does: FAISS, exact and inverted, and the exact scan that is their oracle."""

from __future__ import annotations

import numpy as np
import pytest

from app.adapters.faiss_gallery import FaissGallery
from app.adapters.faiss_index import N_SHARD_ROWS
from app.errors import ModelMismatch
from app.ports import Gallery
from app.records import DEFAULT_TENANT as ME
from galleries import SCORE_TOLERANCE, inverted
from model.scoring import Embedding
from samples import ENCODER_ID, N_EMBEDDING, batch, new_reference, numbers, random_embeddings, references

OTHER = "another tenant"


@pytest.mark.parametrize("n_embedding", [N_EMBEDDING, 192])
@pytest.mark.parametrize("kind", ["exact", "inverted"])
def test_a_search_finds_what_scoring_everybody_finds(n_embedding: int, kind: str) -> None:
    """Recall against the exact oracle: the same scores, rounded to float16, and the same persons but for near ties."""
    stored = random_embeddings(1, 3000, n_embedding)
    probes = random_embeddings(2, 100, n_embedding)
    gallery = inverted(n_embedding) if kind == "inverted" else FaissGallery(ENCODER_ID, n_embedding)
    gallery.rebuild([batch(references(stored))])
    assert gallery.is_exact(ME) == (kind == "exact")

    n_right = 0
    for probe, scores in zip(probes, probes.astype(np.float64) @ stored.astype(np.float64).T, strict=True):
        best = np.argsort(-scores)[:10]
        found = gallery.search(ME, probe, 10)
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        np.testing.assert_allclose([one.score for one in found], scores[best], atol=SCORE_TOLERANCE)
        np.testing.assert_allclose([one.score for one in found], scores[numbers(found)], atol=SCORE_TOLERANCE)
        n_right += len(set(numbers(found)) & set(best.tolist()))
        assert int(best[0]) in numbers(found), "re-ranking needs the right one among the candidates"
    assert n_right / (10 * len(probes)) > 0.99
    gallery.close()


def test_a_gallery_of_several_shards_is_one() -> None:
    """More speakers than a shard holds; some go, some come back, some change."""
    n = N_SHARD_ROWS + 3000
    stored = random_embeddings(1, n)
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING)
    everybody = references(stored)
    gallery.rebuild(batch(everybody[start : start + 4096]) for start in range(0, n, 4096))
    gallery.remove(ME, range(0, n, 3))
    for number in (0, 3, n - n % 3):
        gallery.upsert(everybody[number])
    changed = random_embeddings(2, 2)
    for number, embedding in zip((1, n - 1), changed, strict=True):
        stored[number] = embedding
        gallery.upsert(new_reference(number, embedding))
    is_there = np.arange(n) % 3 != 0
    is_there[[0, 3, n - n % 3]] = True
    assert gallery.size(ME) == is_there.sum()
    np.testing.assert_array_equal(np.sort(gallery.numbers()[ME]), np.flatnonzero(is_there))
    for probe in (*random_embeddings(3, 5), *changed):
        scores = np.where(is_there, stored.astype(np.float64) @ probe.astype(np.float64), -2.0)
        found = gallery.search(ME, probe, 10)
        np.testing.assert_allclose([one.score for one in found], np.sort(scores)[:-11:-1], atol=SCORE_TOLERANCE)
        np.testing.assert_allclose([one.score for one in found], scores[numbers(found)], atol=SCORE_TOLERANCE)
    gallery.close()


def test_everybody_finds_themselves(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 50)
    for reference in references(embeddings):
        gallery.upsert(reference)
    for n, embedding in enumerate(embeddings):
        (best,) = gallery.search(ME, embedding, 1)
        assert best.number == n
        assert best.score == pytest.approx(1.0, abs=SCORE_TOLERANCE)
        assert best.score <= 1.0


def test_the_score_is_the_cosine_whatever_the_lengths(gallery: Gallery) -> None:
    probe, stored = random_embeddings(1, 2)
    gallery.upsert(new_reference(1, stored * np.float32(7)))
    (found,) = gallery.search(ME, probe * np.float32(0.1), 1)
    assert found.score == pytest.approx(float(probe @ stored), abs=SCORE_TOLERANCE)
    (opposite,) = gallery.search(ME, -stored, 1)
    assert opposite.score == pytest.approx(-1.0, abs=SCORE_TOLERANCE)
    assert opposite.score >= -1.0


def test_it_tells_who_is_in_it(gallery: Gallery) -> None:
    assert gallery.encoder_id == ENCODER_ID
    assert gallery.numbers() == {}
    mine, theirs = random_embeddings(1, 40), random_embeddings(2, 2)
    gallery.rebuild([batch(references(mine))])
    for number, embedding in zip((100, 101), theirs, strict=True):
        gallery.upsert(new_reference(number, embedding, tenant=OTHER))
    gallery.remove(ME, range(0, 40, 2))
    gallery.upsert(new_reference(4, mine[4]))
    gallery.upsert(new_reference(5, mine[6]))
    found = {tenant: sorted(held.tolist()) for tenant, held in gallery.numbers().items()}
    assert found == {ME: sorted([4, *range(1, 40, 2)]), OTHER: [100, 101]}


def test_a_small_gallery_gives_few_candidates(gallery: Gallery) -> None:
    probe, *stored = random_embeddings(1, 4)
    assert gallery.search(ME, probe, 5) == ()
    gallery.rebuild([batch(references(np.stack(stored)))])
    found = gallery.search(ME, probe, 100)
    assert sorted(numbers(found)) == [0, 1, 2]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert gallery.search(ME, probe, 2) == found[:2]


def test_equal_scores_are_ordered_by_number(gallery: Gallery) -> None:
    (embedding,) = random_embeddings(1, 1)
    for number in (3, 1, 2):
        gallery.upsert(new_reference(number, embedding))
    assert numbers(gallery.search(ME, embedding, 3)) == [1, 2, 3]


def test_an_upsert_replaces(gallery: Gallery) -> None:
    old, new = random_embeddings(1, 2)
    gallery.upsert(new_reference(1, old))
    gallery.upsert(new_reference(1, new))
    assert gallery.size(ME) == 1
    assert numbers(gallery.search(ME, old, 10)) == [1]
    assert gallery.search(ME, new, 1)[0].score == pytest.approx(1.0, abs=SCORE_TOLERANCE)


def test_the_removed_are_not_found(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 5)
    gallery.rebuild([batch(references(embeddings))])
    gallery.remove(ME, [2])
    assert gallery.size(ME) == 4
    assert sorted(numbers(gallery.search(ME, embeddings[2], 10))) == [0, 1, 3, 4]
    gallery.upsert(new_reference(2, embeddings[2]))
    assert numbers(gallery.search(ME, embeddings[2], 1)) == [2]


def test_many_are_removed_at_once(gallery: Gallery) -> None:
    """More than are removed under one lock, and some who are not there."""
    embeddings = random_embeddings(1, 3000)
    gallery.rebuild([batch(references(embeddings))])
    gallery.remove(ME, iter([*range(5000, 6000), *range(2500), 7]))
    assert gallery.size(ME) == 500
    found = gallery.search(ME, embeddings[7], 1000)
    assert sorted(numbers(found)) == list(range(2500, 3000))
    gallery.remove(ME, [])
    assert gallery.size(ME) == 500


def test_removing_the_absent_is_no_error(gallery: Gallery) -> None:
    (embedding,) = random_embeddings(1, 1)
    gallery.remove(ME, [1])
    gallery.upsert(new_reference(1, embedding))
    gallery.remove(ME, [2, 10**15])
    gallery.remove(OTHER, [1])
    assert numbers(gallery.search(ME, embedding, 1)) == [1]
    gallery.remove(ME, [1, 1])
    gallery.remove(ME, [1])
    assert gallery.size(ME) == 0
    assert gallery.search(ME, embedding, 1) == ()


def test_a_tenant_finds_its_own_only(gallery: Gallery) -> None:
    mine, theirs = random_embeddings(1, 2)
    gallery.rebuild([batch([new_reference(1, mine), new_reference(2, theirs, tenant=OTHER)])])
    gallery.upsert(new_reference(3, theirs, tenant=OTHER))
    assert (gallery.size(ME), gallery.size(OTHER), gallery.size("nobody")) == (1, 2, 0)
    (found,) = gallery.search(ME, theirs, 10)
    assert found.number == 1
    assert found.score == pytest.approx(float(mine @ theirs), abs=SCORE_TOLERANCE)
    gallery.remove(ME, [1])
    assert sorted(numbers(gallery.search(OTHER, theirs, 10))) == [2, 3]


def test_a_rebuild_replaces_everything(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 4)
    gallery.rebuild([batch([new_reference(1, embeddings[0]), new_reference(2, embeddings[0], tenant=OTHER)])])
    gallery.rebuild(iter([batch([new_reference(3, embeddings[1])]), batch([new_reference(4, embeddings[2])])]))
    assert sorted(numbers(gallery.search(ME, embeddings[0], 10))) == [3, 4]
    assert gallery.size(OTHER) == 0
    gallery.rebuild([])
    assert gallery.size(ME) == 0


def test_a_rebuild_keeps_one_reference_a_speaker_the_last(gallery: Gallery) -> None:
    old, new, newest, *others = random_embeddings(1, 5003)
    everybody = references(np.stack(others))
    gallery.rebuild(
        [
            batch([new_reference(6000, old), *everybody]),
            batch([new_reference(6000, new), new_reference(6000, newest), everybody[0]]),
        ]
    )
    assert gallery.size(ME) == 5001
    assert gallery.search(ME, newest, 1)[0].number == 6000
    for gone in (old, new):
        best = gallery.search(ME, gone, 1)[0]
        assert best.number != 6000 or best.score < 0.999


def test_another_encoder_is_refused_and_its_speakers_are_left_out(gallery: Gallery) -> None:
    mine, stale = random_embeddings(1, 2)
    with pytest.raises(ModelMismatch):
        gallery.upsert(new_reference(1, mine, encoder_id="encoder-b"))
    assert gallery.size(ME) == 0
    others = random_embeddings(2, 2, N_EMBEDDING + 8)
    gallery.rebuild(
        [
            batch([new_reference(1, mine), new_reference(2, stale, encoder_id="encoder-b")]),
            batch([new_reference(3 + n, other, encoder_id="encoder-c") for n, other in enumerate(others)]),
        ]
    )
    assert numbers(gallery.search(ME, stale, 10)) == [1]


BROKEN = {
    "zero": np.zeros(N_EMBEDDING, np.float32),
    "NaN": np.where(np.arange(N_EMBEDDING) == 3, np.float32(np.nan), np.float32(0.1)),
    "infinite": np.where(np.arange(N_EMBEDDING) == 3, np.float32(np.inf), np.float32(0.1)),
    "short": np.ones(N_EMBEDDING - 1, np.float32),
    "long": np.ones(N_EMBEDDING + 1, np.float32),
    "two axes": np.ones((1, N_EMBEDDING), np.float32),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_scored_is_refused_and_changes_nothing(gallery: Gallery, broken: Embedding) -> None:
    (embedding,) = random_embeddings(1, 1)
    gallery.upsert(new_reference(1, embedding))
    with pytest.raises(ValueError, match="embedding"):
        gallery.upsert(new_reference(1, broken))
    with pytest.raises(ValueError, match="embedding"):
        gallery.rebuild([batch([new_reference(2, embedding)]), batch([new_reference(3, broken)])])
    with pytest.raises(ValueError, match="embedding"):
        gallery.search(ME, broken, 1)
    (found,) = gallery.search(ME, embedding, 10)
    assert found.number == 1
    assert found.score == pytest.approx(1.0, abs=SCORE_TOLERANCE)


def test_a_search_asks_for_somebody(gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="at least 1 candidate; got 0"):
        gallery.search(ME, random_embeddings(1, 1)[0], 0)
