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
from app.records import Reference, ReferenceBatch
from fake_gallery import FakeGallery
from galleries import SCORE_TOLERANCE, assert_alike, inverted
from model.scoring import Embedding
from samples import ENCODER_ID, N_EMBEDDING, batch, new_reference, numbers, random_embeddings, references

OTHER = "another tenant"
THEIRS = 100
"""Added to the other tenant's numbers, since a number is one tenant's."""


def test_searches_find_the_old_until_a_rebuild_is_done(gallery: Gallery) -> None:
    old, new = random_embeddings(1, 2)
    gallery.upsert(new_reference(1, old))
    found_meanwhile: list[list[int]] = []

    def slowly() -> Iterator[ReferenceBatch]:
        yield batch([new_reference(2, new)])
        found_meanwhile.append(numbers(gallery.search(ME, new, 10)))

    gallery.rebuild(slowly())
    assert found_meanwhile == [[1]]
    assert numbers(gallery.search(ME, new, 10)) == [2]


def test_a_change_beside_a_rebuild_is_not_lost(gallery: Gallery) -> None:
    """What was enrolled or erased after the rebuild had read its row is not in what it read."""
    bystander, gone, late = random_embeddings(1, 3)
    read, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[ReferenceBatch]:
        yield batch([new_reference(1, bystander), new_reference(2, gone)])
        read.set()
        assert go_on.wait(timeout=10)

    with ThreadPoolExecutor(3) as pool:
        rebuilt = pool.submit(gallery.rebuild, slowly())
        assert read.wait(timeout=10)
        changes = [
            pool.submit(gallery.upsert, new_reference(3, late)),
            pool.submit(gallery.remove, ME, [2]),
        ]
        # Long enough for a change that does not wait to be overwritten; those that wait are still at it.
        read.clear()
        read.wait(timeout=0.1)
        go_on.set()
        for done in (rebuilt, *changes):
            done.result(timeout=10)
    assert sorted(numbers(gallery.search(ME, late, 10))) == [1, 3]


def test_searches_beside_changes_stay_exact(gallery: Gallery) -> None:
    embeddings = random_embeddings(1, 130)
    constant = [batch(references(embeddings[:100]))]
    passing = [new_reference(100 + n, embedding) for n, embedding in enumerate(embeddings[100:])]
    gallery.rebuild(constant)
    finished = threading.Event()

    def search(seed: int) -> int:
        rng = np.random.default_rng(seed)
        n_searches = 0
        while n_searches < 50 or not finished.is_set():
            n = int(rng.integers(100))
            found = gallery.search(ME, embeddings[n], 5)
            assert found[0].number == n
            assert found[0].score == pytest.approx(1.0, abs=SCORE_TOLERANCE)
            assert len(set(numbers(found))) == 5
            n_searches += 1
        return n_searches

    def change() -> None:
        try:
            for round_ in range(3):
                for reference in passing:
                    gallery.upsert(reference)
                gallery.remove(ME, [reference.number for reference in passing[round_:]])
                gallery.rebuild(constant)
        finally:
            finished.set()

    with ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(search, seed) for seed in range(3)]
        pool.submit(change).result(timeout=60)
        assert all(searched.result(timeout=60) >= 50 for searched in searches)
    assert gallery.size(ME) == 100


TENANTS = st.sampled_from([ME, OTHER])
SPEAKERS = st.integers(0, 7)
VOICES = random_embeddings(99, 12)
EMBEDDINGS = st.sampled_from(list(VOICES))


def number_of(tenant: str, speaker: int) -> int:
    return speaker + (THEIRS if tenant == OTHER else 0)


def reference(tenant: str, speaker: int, embedding: Embedding) -> Reference:
    return new_reference(number_of(tenant, speaker), embedding, tenant=tenant)


class AnyHistory(RuleBasedStateMachine):
    """FAISS and the exact scan, told the same."""

    def make(self) -> FaissGallery:
        return FaissGallery(ENCODER_ID, N_EMBEDDING)

    def __init__(self) -> None:
        super().__init__()
        self.faiss = self.make()
        self.oracle = FakeGallery(ENCODER_ID, N_EMBEDDING)

    @rule(tenant=TENANTS, speaker=SPEAKERS, embedding=EMBEDDINGS)
    def upsert(self, tenant: str, speaker: int, embedding: Embedding) -> None:
        for gallery in (self.faiss, self.oracle):
            gallery.upsert(reference(tenant, speaker, embedding))

    @rule(tenant=TENANTS, speaker=SPEAKERS)
    def remove(self, tenant: str, speaker: int) -> None:
        for gallery in (self.faiss, self.oracle):
            gallery.remove(tenant, [number_of(tenant, speaker)])

    @rule(rows=st.lists(st.tuples(TENANTS, SPEAKERS, EMBEDDINGS), max_size=6))
    def rebuild(self, rows: list[tuple[str, int, Embedding]]) -> None:
        told = [reference(tenant, speaker, embedding) for tenant, speaker, embedding in rows]
        for gallery in (self.faiss, self.oracle):
            gallery.rebuild([batch(told)] if told else [])

    @rule(tenant=TENANTS, embedding=EMBEDDINGS, n_candidates=st.integers(1, 10))
    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> None:
        everybody = {one.number: one.score for one in self.oracle.search(tenant, embedding, 100)}
        expected = self.oracle.search(tenant, embedding, n_candidates)
        assert_alike(self.faiss.search(tenant, embedding, n_candidates), expected, everybody)

    @invariant()
    def sizes_agree(self) -> None:
        for tenant in (ME, OTHER):
            assert self.faiss.size(tenant) == self.oracle.size(tenant)

    def teardown(self) -> None:
        self.faiss.close()


class AnyHistoryOfAnInvertedOne(AnyHistory):
    """Each tenant goes to and fro between scanning and an inverted index."""

    def make(self) -> FaissGallery:
        return inverted(N_EMBEDDING)


AnyHistory.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None, derandomize=True)
AnyHistoryOfAnInvertedOne.TestCase.settings = AnyHistory.TestCase.settings
TestAnyHistory = AnyHistory.TestCase
TestAnyHistoryOfAnInvertedOne = AnyHistoryOfAnInvertedOne.TestCase
