"""What every Gallery does: FAISS and the exact scan that is its oracle."""

from __future__ import annotations

import numpy as np
import pytest

from app.adapters.faiss_gallery import FaissGallery
from app.errors import ModelMismatch
from app.ports import Gallery
from app.records import DEFAULT_TENANT as ME
from model.scoring import Embedding
from samples import ENCODER_ID, N_EMBEDDING, names, new_reference, random_embeddings, references

OTHER = "another tenant"
# Scores are sums of N_EMBEDDING float32 products of numbers below 1.
SCORE_TOLERANCE = 1e-6


@pytest.mark.parametrize("n_embedding", [N_EMBEDDING, 192])
def test_a_search_finds_what_scoring_everybody_finds(n_embedding: int) -> None:
    stored = random_embeddings(1, 3000, n_embedding)
    probes = random_embeddings(2, 20, n_embedding)
    gallery = FaissGallery(ENCODER_ID, n_embedding)
    gallery.rebuild(references(stored))

    scores = probes.astype(np.float64) @ stored.astype(np.float64).T
    for probe, expected in zip(probes, scores, strict=True):
        best = np.argsort(-expected)[:10]
        found = gallery.search(ME, probe, 10)
        assert names(found) == [f"speaker {n}" for n in best]
        np.testing.assert_allclose([one.score for one in found], expected[best], atol=SCORE_TOLERANCE)


def test_everybody_finds_themselves(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 50)
    for reference in references(embeddings):
        gallery.upsert(reference)
    for n, embedding in enumerate(embeddings):
        (best,) = gallery.search(ME, embedding, 1)
        assert best.speaker_id == f"speaker {n}"
        assert best.score == pytest.approx(1.0, abs=SCORE_TOLERANCE)
        assert best.score <= 1.0


def test_the_score_is_the_cosine_whatever_the_lengths(gallery: Gallery) -> None:
    probe, stored = random_embeddings(1, 2)
    gallery.upsert(new_reference("alice", stored * np.float32(7)))
    (found,) = gallery.search(ME, probe * np.float32(0.1), 1)
    assert found.score == pytest.approx(float(probe @ stored), abs=SCORE_TOLERANCE)
    (opposite,) = gallery.search(ME, -stored, 1)
    assert opposite.score == pytest.approx(-1.0, abs=SCORE_TOLERANCE)
    assert opposite.score >= -1.0


def test_a_small_gallery_gives_few_candidates(gallery: Gallery) -> None:
    probe, *stored = random_embeddings(1, 4)
    assert gallery.search(ME, probe, 5) == ()
    gallery.rebuild(references(np.stack(stored)))
    found = gallery.search(ME, probe, 100)
    assert sorted(names(found)) == ["speaker 0", "speaker 1", "speaker 2"]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert gallery.search(ME, probe, 2) == found[:2]


def test_equal_scores_are_ordered_by_id(gallery: Gallery) -> None:
    (embedding,) = random_embeddings(1, 1)
    for speaker_id in ("carol", "alice", "bob"):
        gallery.upsert(new_reference(speaker_id, embedding))
    assert names(gallery.search(ME, embedding, 3)) == ["alice", "bob", "carol"]


def test_an_upsert_replaces(gallery: Gallery) -> None:
    old, new = random_embeddings(1, 2)
    gallery.upsert(new_reference("alice", old))
    gallery.upsert(new_reference("alice", new))
    assert gallery.size(ME) == 1
    assert names(gallery.search(ME, old, 10)) == ["alice"]
    assert gallery.search(ME, new, 1)[0].score == pytest.approx(1.0, abs=SCORE_TOLERANCE)


def test_the_removed_are_not_found(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 5)
    gallery.rebuild(references(embeddings))
    gallery.remove(ME, "speaker 2")
    assert gallery.size(ME) == 4
    assert "speaker 2" not in names(gallery.search(ME, embeddings[2], 10))
    gallery.upsert(new_reference("speaker 2", embeddings[2]))
    assert names(gallery.search(ME, embeddings[2], 1)) == ["speaker 2"]


def test_removing_the_absent_is_no_error(gallery: Gallery) -> None:
    (embedding,) = random_embeddings(1, 1)
    gallery.remove(ME, "alice")
    gallery.upsert(new_reference("alice", embedding))
    gallery.remove(ME, "bob")
    gallery.remove(OTHER, "alice")
    assert names(gallery.search(ME, embedding, 1)) == ["alice"]
    gallery.remove(ME, "alice")
    gallery.remove(ME, "alice")
    assert gallery.size(ME) == 0
    assert gallery.search(ME, embedding, 1) == ()


def test_a_tenant_finds_its_own_only(gallery: Gallery) -> None:
    mine, theirs = random_embeddings(1, 2)
    gallery.rebuild([new_reference("alice", mine), new_reference("alice", theirs, tenant=OTHER)])
    gallery.upsert(new_reference("bob", theirs, tenant=OTHER))
    assert (gallery.size(ME), gallery.size(OTHER), gallery.size("nobody")) == (1, 2, 0)
    (found,) = gallery.search(ME, theirs, 10)
    assert found.speaker_id == "alice"
    assert found.score == pytest.approx(float(mine @ theirs), abs=SCORE_TOLERANCE)
    gallery.remove(ME, "alice")
    assert sorted(names(gallery.search(OTHER, theirs, 10))) == ["alice", "bob"]


def test_a_rebuild_replaces_everything(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 4)
    gallery.rebuild([new_reference("old", embeddings[0]), new_reference("old", embeddings[0], tenant=OTHER)])
    gallery.rebuild(iter([new_reference("new", embeddings[1]), new_reference("again", embeddings[2])]))
    assert sorted(names(gallery.search(ME, embeddings[0], 10))) == ["again", "new"]
    assert gallery.size(OTHER) == 0
    gallery.rebuild([])
    assert gallery.size(ME) == 0


def test_a_rebuild_keeps_one_reference_a_speaker_the_last(gallery: Gallery) -> None:
    """The second `alice` lies in another batch than the first."""
    old, new, *others = random_embeddings(1, 5002)
    gallery.rebuild([new_reference("alice", old), *references(np.stack(others)), new_reference("alice", new)])
    assert gallery.size(ME) == 5001
    assert gallery.search(ME, new, 1)[0].speaker_id == "alice"
    best = gallery.search(ME, old, 1)[0]
    assert best.speaker_id != "alice" or best.score < 0.999


def test_another_encoder_is_refused_and_its_speakers_are_left_out(gallery: Gallery) -> None:
    mine, stale = random_embeddings(1, 2)
    with pytest.raises(ModelMismatch):
        gallery.upsert(new_reference("alice", mine, encoder_id="encoder-b"))
    assert gallery.size(ME) == 0
    gallery.rebuild([new_reference("alice", mine), new_reference("stale", stale, encoder_id="encoder-b")])
    assert names(gallery.search(ME, stale, 10)) == ["alice"]


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
    gallery.upsert(new_reference("alice", embedding))
    with pytest.raises(ValueError, match="embedding"):
        gallery.upsert(new_reference("alice", broken))
    with pytest.raises(ValueError, match="embedding"):
        gallery.rebuild([new_reference("bob", embedding), new_reference("carol", broken)])
    with pytest.raises(ValueError, match="embedding"):
        gallery.search(ME, broken, 1)
    (found,) = gallery.search(ME, embedding, 10)
    assert found.speaker_id == "alice"
    assert found.score == pytest.approx(1.0, abs=SCORE_TOLERANCE)


def test_a_search_asks_for_somebody(gallery: Gallery) -> None:
    with pytest.raises(ValueError, match="at least 1 candidate; got 0"):
        gallery.search(ME, random_embeddings(1, 1)[0], 0)
