"""A tenant's index takes the form that suits its size, beside searches and changes, and nothing is lost on the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.adapters.faiss_gallery import FaissGallery
from app.adapters.faiss_index import N_SHARD_ROWS, Centroids, Numbers, TenantIndex
from app.adapters.faiss_inverted import MIN_AGREEMENT, Found, Rows, find_centroids
from app.records import DEFAULT_TENANT as ME
from fake_gallery import FakeGallery
from galleries import Settled, assert_alike, families, look_everywhere, probes_of
from model.scoring import Embedding
from samples import ENCODER_ID, N_EMBEDDING, batch, new_reference, numbers, random_embeddings, references

N = 192


def nothing() -> None:
    """Nobody wants it to end."""


def filled(embeddings: Embedding, exact_up_to: int) -> Settled:
    gallery = Settled(ENCODER_ID, embeddings.shape[1], exact_up_to)
    gallery.rebuild([batch(references(embeddings))])
    return gallery


def test_a_large_gallery_looks_into_some_lists_and_finds_whom_the_scan_finds() -> None:
    """Recall of the very index that a service would build, against the exact oracle."""
    stored = families(1, 6000)
    inverted, exact = filled(stored, 1000), filled(stored, 10_000)
    assert (inverted.is_exact(ME), exact.is_exact(ME)) == (False, True)
    probes = probes_of(stored[::6], 2)
    best = np.argmax(probes.astype(np.float64) @ stored.astype(np.float64).T, axis=1)
    found = [inverted.search(ME, probe, 11) for probe in probes]
    agreement = np.mean([expected in numbers(one) for one, expected in zip(found, best.tolist(), strict=True)])
    assert agreement >= MIN_AGREEMENT
    inverted.close()
    exact.close()


def test_the_lists_looked_into_are_few_and_enough() -> None:
    stored = families(1, 6000)
    rows = [(np.arange(len(stored)), stored)]
    found = find_centroids(lambda: rows, len(stored), nothing)
    assert found.centroids is not None
    assert found.n_probed == found.centroids.n_probed <= found.n_lists / 4
    index = TenantIndex(N, found.centroids)
    index.fill(*rows[0])
    (shard,) = index.shards
    sizes = [len(shard.rows(n)[0]) for n in range(shard.n_lists)]
    assert sum(sizes) == len(stored)
    assert max(sizes) < len(stored) / 4, "the rows are spread over the lists"


def test_voices_without_groups_stay_scanned(caplog: pytest.LogCaptureFixture) -> None:
    stored = random_embeddings(1, 3000, N)
    with caplog.at_level(logging.WARNING):
        gallery = filled(stored, 1000)
    assert gallery.is_exact(ME)
    assert "3,000 speakers stay scanned" in caplog.text
    caplog.clear()
    gallery.upsert(new_reference(3000, stored[0]))
    assert caplog.text == "", "it is not tried again at every change"
    gallery.close()


def test_an_index_grows_and_shrinks_into_the_other_form() -> None:
    stored = random_embeddings(1, 40)
    gallery = Settled(ENCODER_ID, N_EMBEDDING, exact_up_to=20, find=look_everywhere)
    forms = []
    for number, embedding in enumerate(stored):
        gallery.upsert(new_reference(number, embedding))
        forms.append(gallery.is_exact(ME))
    assert forms == [True] * 20 + [False] * 20
    gallery.remove(ME, range(20, 40))
    assert (gallery.size(ME), gallery.is_exact(ME)) == (20, False), "not to and fro"
    gallery.remove(ME, range(11))
    assert (gallery.size(ME), gallery.is_exact(ME)) == (9, True)
    assert sorted(numbers(gallery.search(ME, stored[0], 100))) == list(range(11, 20))
    gallery.close()


def test_an_index_that_outgrew_its_lists_is_trained_again() -> None:
    n_trained: list[int] = []

    def counted(rows: Callable[[], Rows], n_rows: int, proceed: Callable[[], None]) -> Found:
        n_trained.append(n_rows)
        return look_everywhere(rows, n_rows, proceed)

    gallery = Settled(ENCODER_ID, N_EMBEDDING, exact_up_to=10, find=counted)
    stored = random_embeddings(1, 200)
    for number, embedding in enumerate(stored):
        gallery.upsert(new_reference(number, embedding))
    assert n_trained == [11, 45, 181]
    assert sorted(numbers(gallery.search(ME, stored[0], 1000))) == list(range(200))
    gallery.close()


class Paused:
    """Finds centroids when it is told to, so that a test decides what happens before."""

    def __init__(self) -> None:
        self.has_begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, rows: Callable[[], Rows], n_rows: int, proceed: Callable[[], None]) -> Found:
        self.has_begun.set()
        assert self.go_on.wait(timeout=20)
        proceed()
        return look_everywhere(rows, n_rows, proceed)


def test_what_changes_while_an_index_is_built_is_in_it() -> None:
    """Some before the rows are copied and, from another thread, some beside it; the oracle is told the same."""
    stored, later = random_embeddings(1, 3000), random_embeddings(2, 3000)
    find = Paused()
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, exact_up_to=2000, find=find)
    oracle = FakeGallery(ENCODER_ID, N_EMBEDDING)

    def change(first: int) -> None:
        """Replaced, removed, removed and back again, and new."""
        for number in range(first, 2500, 10):
            for told in (gallery, oracle):
                told.upsert(new_reference(number, later[number]))
                told.remove(ME, [number + 1, number + 2])
                told.upsert(new_reference(number + 2, later[number + 2]))
                told.upsert(new_reference(number + 5000, later[number + 3]))

    for told in (gallery, oracle):
        told.rebuild([batch(references(stored))])
    assert find.has_begun.wait(timeout=20)
    change(0)
    assert gallery.is_exact(ME)
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change, 4)
        find.go_on.set()
        changing.result(timeout=60)
    gallery.wait()
    assert not gallery.is_exact(ME)
    assert gallery.size(ME) == oracle.size(ME) == 3000
    for probe in (*random_embeddings(3, 10), *later[:30]):
        expected = oracle.search(ME, probe, 3000)
        assert_alike(gallery.search(ME, probe, 3000), expected, {one.number: one.score for one in expected})
    gallery.close()


class Interrupted(Centroids):
    """Calls `act` once, when the first shard has been copied and the second has not."""

    def __init__(self, centroids: Embedding, act: Callable[[], None]) -> None:
        super().__init__(centroids, len(centroids))
        self._acts = [act]

    def lists_of(self, embeddings: Embedding, size_of: Callable[[int], int]) -> Numbers:
        if self._acts:
            self._acts.pop()()
        return super().lists_of(embeddings, size_of)


def test_who_moves_while_the_rows_are_copied_does_not_come_twice() -> None:
    """FAISS would keep both rows, and erase one."""
    n = N_SHARD_ROWS + 100
    stored = random_embeddings(1, n)

    def move() -> None:
        """Number 5 leaves the first shard, whose place somebody else takes, and comes back into the second."""
        gallery.remove(ME, [5])
        gallery.upsert(new_reference(n, stored[7]))
        gallery.upsert(new_reference(5, stored[5]))

    def find(rows: Callable[[], Rows], n_rows: int, proceed: Callable[[], None]) -> Found:
        return Found(Interrupted(stored[:4], move), 4, 4)

    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, exact_up_to=1000, find=find)
    gallery.rebuild([batch(references(stored))])
    gallery.wait()
    assert not gallery.is_exact(ME)
    assert gallery.size(ME) == n + 1
    gallery.remove(ME, [5])
    assert gallery.size(ME) == n
    assert 5 not in numbers(gallery.search(ME, stored[5], 100))
    gallery.close()


def test_searches_beside_a_takeover_miss_nobody() -> None:
    stored = random_embeddings(1, 3000)
    find = Paused()
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, exact_up_to=2000, find=find)
    gallery.rebuild([batch(references(stored))])
    is_done = threading.Event()

    def search(seed: int) -> int:
        rng, n_searches = np.random.default_rng(seed), 0
        while n_searches < 50 or not is_done.is_set():
            number = int(rng.integers(len(stored)))
            assert gallery.search(ME, stored[number], 2)[0].number == number
            n_searches += 1
        return n_searches

    with ThreadPoolExecutor(2) as pool:
        searches = [pool.submit(search, seed) for seed in range(2)]
        find.go_on.set()
        try:
            gallery.wait()
        finally:
            is_done.set()
        assert all(done.result(timeout=20) >= 50 for done in searches)
    assert not gallery.is_exact(ME)
    gallery.close()


def test_a_rebuild_overtakes_an_index_that_is_being_built() -> None:
    old, new = random_embeddings(1, 30), random_embeddings(2, 5)
    find = Paused()
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, exact_up_to=20, find=find)
    gallery.rebuild([batch(references(old))])
    assert find.has_begun.wait(timeout=20)
    gallery.rebuild([batch(references(new))])
    find.go_on.set()
    gallery.wait()
    assert (gallery.size(ME), gallery.is_exact(ME)) == (5, True)
    assert gallery.search(ME, new[3], 1)[0].number == 3
    gallery.close()


def test_closing_ends_what_runs_in_the_background() -> None:
    find = Paused()
    gallery = FaissGallery(ENCODER_ID, N_EMBEDDING, exact_up_to=20, find=find)
    gallery.rebuild([batch(references(random_embeddings(1, 30)))])
    assert find.has_begun.wait(timeout=20)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(gallery.close)
        find.go_on.set()
        closing.result(timeout=20)
    # Whatever comes late is answered, and begins nothing.
    gallery.upsert(new_reference(99, random_embeddings(3, 1)[0]))
    assert gallery.size(ME) == 31
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gallery")]


def test_an_index_that_cannot_be_built_leaves_the_old_one(caplog: pytest.LogCaptureFixture) -> None:
    def broken(rows: Callable[[], Rows], n_rows: int, proceed: Callable[[], None]) -> Found:
        raise MemoryError("no room for centroids")

    gallery = Settled(ENCODER_ID, N_EMBEDDING, exact_up_to=20, find=broken)
    stored = random_embeddings(1, 30)
    gallery.rebuild([batch(references(stored))])
    assert "no room for centroids" in caplog.text
    assert gallery.is_exact(ME)
    assert gallery.search(ME, stored[3], 1)[0].number == 3
    gallery.close()


@pytest.mark.parametrize("n_probed", [1, 8])
def test_a_row_is_found_where_its_centroid_is(n_probed: int) -> None:
    centroids = random_embeddings(1, 8)
    index = TenantIndex(N_EMBEDDING, Centroids(centroids, n_probed))
    index.fill(np.arange(8), centroids)
    for number, centroid in enumerate(centroids):
        found = index.shards[0].nearest(index.layout.probe(centroid), 8)
        assert found[0][1] == number
        assert len(found) == n_probed
