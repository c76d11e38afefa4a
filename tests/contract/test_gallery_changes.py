"""Changes to a Gallery beside searches and beside each other, and any sequence of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.adapters.faiss_gallery import FaissGallery
from app.ports import Gallery
from app.records import DEFAULT_TENANT as ME
from app.records import Candidate, Reference
from fakes import FakeGallery
from model.scoring import Embedding
from samples import ENCODER_ID, N_EMBEDDING, names, new_reference, random_embeddings, references

OTHER = "another tenant"
# Scores are sums of N_EMBEDDING float32 products of numbers below 1.
SCORE_TOLERANCE = 1e-6


def test_searches_find_the_old_until_a_rebuild_is_done(gallery: Gallery) -> None:
    old, new = random_embeddings(1, 2)
    gallery.upsert(new_reference("old", old))
    found_meanwhile: list[list[str]] = []

    def slowly() -> Iterator[Reference]:
        yield new_reference("new", new)
        found_meanwhile.append(names(gallery.search(ME, new, 10)))

    gallery.rebuild(slowly())
    assert found_meanwhile == [["old"]]
    assert names(gallery.search(ME, new, 10)) == ["new"]


def test_a_change_beside_a_rebuild_is_not_lost(gallery: Gallery) -> None:
    """What was enrolled or erased after the rebuild had read its row is not in what it read."""
    bystander, gone, late = random_embeddings(1, 3)
    read, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[Reference]:
        yield from (new_reference("bystander", bystander), new_reference("gone", gone))
        read.set()
        assert go_on.wait(timeout=10)

    with ThreadPoolExecutor(3) as pool:
        rebuilt = pool.submit(gallery.rebuild, slowly())
        assert read.wait(timeout=10)
        changes = [
            pool.submit(gallery.upsert, new_reference("late", late)),
            pool.submit(gallery.remove, ME, "gone"),
        ]
        # Long enough for a change that does not wait to be overwritten; those that wait are still at it.
        read.clear()
        read.wait(timeout=0.1)
        go_on.set()
        for done in (rebuilt, *changes):
            done.result(timeout=10)
    assert sorted(names(gallery.search(ME, late, 10))) == ["bystander", "late"]


def test_searches_beside_changes_stay_exact(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 200)
    constant = references(embeddings[:100])
    passing = [new_reference(f"passing {n}", embedding) for n, embedding in enumerate(embeddings[100:])]
    gallery.rebuild(constant)
    finished = threading.Event()

    def search(seed: int) -> int:
        rng = np.random.default_rng(seed)
        n_searches = 0
        while n_searches < 50 or not finished.is_set():
            n = int(rng.integers(100))
            found = gallery.search(ME, embeddings[n], 5)
            assert found[0].speaker_id == f"speaker {n}"
            assert found[0].score == pytest.approx(1.0, abs=SCORE_TOLERANCE)
            assert len(set(names(found))) == 5
            n_searches += 1
        return n_searches

    def change() -> None:
        try:
            for round_ in range(5):
                for reference in passing:
                    gallery.upsert(reference)
                for reference in passing[round_:]:
                    gallery.remove(ME, reference.speaker_id)
                gallery.rebuild(constant)
        finally:
            finished.set()

    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(search, seed) for seed in range(3)]
        pool.submit(change).result(timeout=20)
        assert all(searched.result(timeout=20) >= 50 for searched in searches)
    assert gallery.size(ME) == 100


def assert_alike(found: tuple[Candidate, ...], expected: tuple[Candidate, ...], everybody: dict[str, float]) -> None:
    """The same scores in the same order; among equal scores, whose they are is open at the last place."""
    np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], atol=SCORE_TOLERANCE)
    assert len(set(names(found))) == len(found)
    for one in found:
        assert one.score == pytest.approx(everybody[one.speaker_id], abs=SCORE_TOLERANCE)


TENANTS = st.sampled_from([ME, OTHER])
SPEAKERS = st.integers(0, 7).map("speaker {}".format)
VOICES = random_embeddings(99, 12)
EMBEDDINGS = st.sampled_from(list(VOICES))


class AnyHistory(RuleBasedStateMachine):
    """FAISS and the exact scan, told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.faiss = FaissGallery(ENCODER_ID, N_EMBEDDING)
        self.oracle = FakeGallery(ENCODER_ID, N_EMBEDDING)

    @rule(tenant=TENANTS, speaker_id=SPEAKERS, embedding=EMBEDDINGS)
    def upsert(self, tenant: str, speaker_id: str, embedding: Embedding) -> None:
        for gallery in (self.faiss, self.oracle):
            gallery.upsert(new_reference(speaker_id, embedding, tenant=tenant))

    @rule(tenant=TENANTS, speaker_id=SPEAKERS)
    def remove(self, tenant: str, speaker_id: str) -> None:
        for gallery in (self.faiss, self.oracle):
            gallery.remove(tenant, speaker_id)

    @rule(rows=st.lists(st.tuples(TENANTS, SPEAKERS, EMBEDDINGS), max_size=6))
    def rebuild(self, rows: list[tuple[str, str, Embedding]]) -> None:
        told = [new_reference(speaker_id, embedding, tenant=tenant) for tenant, speaker_id, embedding in rows]
        for gallery in (self.faiss, self.oracle):
            gallery.rebuild(told)

    @rule(tenant=TENANTS, embedding=EMBEDDINGS, n_candidates=st.integers(1, 10))
    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> None:
        everybody = {one.speaker_id: one.score for one in self.oracle.search(tenant, embedding, 100)}
        expected = self.oracle.search(tenant, embedding, n_candidates)
        assert_alike(self.faiss.search(tenant, embedding, n_candidates), expected, everybody)

    @invariant()
    def sizes_agree(self) -> None:
        for tenant in (ME, OTHER):
            assert self.faiss.size(tenant) == self.oracle.size(tenant)


AnyHistory.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)
TestAnyHistory = AnyHistory.TestCase
