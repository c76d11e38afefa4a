"""One tenant's references in FAISS: float16, in shards, each an inverted file that can add and remove in no time.

Both ways of searching use the same kind of index. `Everything` spreads the rows over lists of a fixed size and scans
them all: exact but for the rounding, without training. `Centroids` puts a row into the list of its nearest centroid and
scans the lists that are nearest to the probe. What a change costs does not grow with the gallery: no array or table is
larger than a shard, so none is moved at a stroke when it grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from model.scoring import Embedding

N_LIST_ROWS = 256
"""Of a list that is scanned with all others: few, since the last one is half empty on average."""
N_SHARD_ROWS = 128 * N_LIST_ROWS
"""Scanned in about a millisecond: as long as a change may have to wait for a search."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Probe:
    """An embedding, and the lists in which its neighbours are looked for."""

    embedding: Embedding
    """(1, n_embedding), unit."""
    lists: Numbers
    """(1, n_probed)"""


class Layout(Protocol):
    """Which list a row goes to, and which lists a search scans."""

    @property
    def n_lists(self) -> int: ...

    @property
    def n_probed(self) -> int: ...

    @property
    def n_reserved_rows(self) -> int:
        """For how many rows a list has memory from the start, where it is not known how many will come."""
        ...

    def lists_of(self, embeddings: Embedding, size_of: Callable[[int], int]) -> Numbers:
        """(n, n_embedding) -> (n,): the lists for rows that are new in a shard. `size_of` gives that of a list."""
        ...

    def probe(self, embedding: Embedding) -> Probe: ...


@dataclass(frozen=True)
class Everything:
    """Rows fill the lists one after another, in any order; all lists are scanned."""

    n_lists: int = N_SHARD_ROWS // N_LIST_ROWS
    n_reserved_rows: int = N_LIST_ROWS

    @property
    def n_probed(self) -> int:
        return self.n_lists

    def lists_of(self, embeddings: Embedding, size_of: Callable[[int], int]) -> Numbers:
        lists = np.zeros(len(embeddings), dtype=np.int64)
        n_placed = 0
        for number in range(self.n_lists):
            n_here = min(N_LIST_ROWS - size_of(number), len(lists) - n_placed)
            lists[n_placed : n_placed + n_here] = number
            n_placed += n_here
            if n_placed == len(lists):
                break
        assert n_placed == len(lists), "a shard is no larger than its lists"
        return lists

    def probe(self, embedding: Embedding) -> Probe:
        return Probe(embedding[np.newaxis], np.arange(self.n_lists)[np.newaxis])


class Centroids:
    """A row lies in the list of the centroid with which it has the highest cosine."""

    def __init__(self, centroids: Embedding, n_probed: int) -> None:
        """`centroids` are unit, of shape (n_lists, n_embedding)."""
        self.centroids = centroids
        self._index = faiss.IndexFlatIP(centroids.shape[1])
        self._index.add(centroids)
        self.n_lists, self.n_probed, self.n_reserved_rows = len(centroids), n_probed, 0

    def lists_of(self, embeddings: Embedding, size_of: Callable[[int], int]) -> Numbers:  # noqa: ARG002 - of the protocol
        return self._nearest(embeddings, 1)[:, 0]

    def probe(self, embedding: Embedding) -> Probe:
        return Probe(embedding[np.newaxis], self._nearest(embedding[np.newaxis], self.n_probed))

    def _nearest(self, embeddings: Embedding, n: int) -> Numbers:
        lists: Numbers = self._index.search(embeddings, n)[1]
        return lists


class TenantIndex:
    """Unit embeddings by number. Not thread-safe, but searches may run beside each other.

    A row stays in its shard as long as it is in the index. So whoever searches shard by shard, and lets changes happen
    in between, misses nobody who was there all the time.
    """

    def __init__(self, n_embedding: int, layout: Layout) -> None:
        self.layout = layout
        self._n_embedding = n_embedding
        self.shards: list[Shard] = []
        self.suits_up_to: int | None = None
        """Size up to which this index was found to be the best there is; None where nobody has looked."""

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def put(self, number: int, embedding: Embedding) -> None:
        """Replaces what there was of this number."""
        numbers = np.array([number], dtype=np.int64)
        for shard in self.shards:
            if shard.drop(numbers):
                shard.add(numbers, embedding[np.newaxis])
                return
        self.fill(numbers, embedding[np.newaxis])

    def fill(self, numbers: Numbers, embeddings: Embedding) -> None:
        """Adds rows, (n,) and (n, n_embedding), whose numbers are not in the index: FAISS would keep both."""
        n_done = 0
        while n_done < len(numbers):
            shard = self._shard_with_room()
            part = slice(n_done, n_done + N_SHARD_ROWS - len(shard))
            shard.add(numbers[part], embeddings[part])
            n_done = part.stop

    def drop(self, numbers: Numbers) -> None:
        """Those absent are passed over."""
        for shard in self.shards:
            shard.drop(numbers)

    def _shard_with_room(self) -> Shard:
        for shard in self.shards:
            if len(shard) < N_SHARD_ROWS:
                return shard
        self.shards.append(Shard(self._n_embedding, self.layout))
        return self.shards[-1]


class Shard:
    """At most N_SHARD_ROWS rows."""

    def __init__(self, n_embedding: int, layout: Layout) -> None:
        self._layout = layout
        # It names the lists for FAISS, and is never asked: the layout is.
        unused = faiss.IndexFlatIP(n_embedding)
        by_residual = False
        # FAISS's type stubs know the C++ signatures, not those that Python calls.
        self._ivf: Any = faiss.IndexIVFScalarQuantizer(
            unused,
            n_embedding,
            layout.n_lists,
            faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT,
            by_residual,
        )
        self._ivf.is_trained = True
        self._ivf.nprobe = layout.n_probed
        # Finds the row of a number, so that removing one is no scan.
        self._ivf.set_direct_map_type(self._ivf.direct_map.Hashtable)

    def __len__(self) -> int:
        return int(self._ivf.ntotal)

    @property
    def n_lists(self) -> int:
        return self._layout.n_lists

    def add(self, numbers: Numbers, embeddings: Embedding) -> None:
        """The numbers are not in the shard, and there is room."""
        faiss.omp_set_num_threads(1)
        lists = np.ascontiguousarray(self._layout.lists_of(embeddings, self._ivf.invlists.list_size), dtype=np.int64)
        self._reserve(lists)
        embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
        numbers = np.ascontiguousarray(numbers, dtype=np.int64)
        self._ivf.add_core(len(numbers), *(faiss.swig_ptr(array) for array in (embeddings, numbers, lists)))

    def drop(self, numbers: Numbers) -> int:
        """How many of them were there. The last row of each list fills the gap."""
        return int(self._ivf.remove_ids(faiss.IDSelectorArray(numbers)))

    def nearest(self, probe: Probe, n: int) -> list[tuple[float, int]]:
        """At most n scores and numbers. FAISS lets go of the interpreter, so searches run side by side."""
        n = min(n, len(self))
        if not n:
            return []
        faiss.omp_set_num_threads(1)
        # The distances to the centroids are asked for, and not used by this kind of index.
        scores, numbers = self._ivf.search_preassigned(
            probe.embedding, n, probe.lists, np.zeros(probe.lists.shape, np.float32)
        )
        return [pair for pair in zip(scores[0].tolist(), numbers[0].tolist(), strict=True) if pair[1] >= 0]

    def numbers(self) -> Numbers:
        """(n,): a copy of them all."""
        lists = self._ivf.invlists
        sizes = ((number, lists.list_size(number)) for number in range(self.n_lists))
        found = [faiss.rev_swig_ptr(lists.get_ids(number), size).copy() for number, size in sizes if size]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def rows(self, list_number: int) -> tuple[Numbers, Embedding]:
        """A copy of one list: numbers, (n,), and embeddings, (n, n_embedding), as float32."""
        lists = self._ivf.invlists
        n = lists.list_size(list_number)
        if not n:
            return np.zeros(0, np.int64), np.zeros((0, self._ivf.d), np.float32)
        codes = faiss.rev_swig_ptr(lists.get_codes(list_number), n * self._ivf.code_size)
        numbers = faiss.rev_swig_ptr(lists.get_ids(list_number), n)
        return numbers.copy(), codes.view(np.float16).reshape(n, self._ivf.d).astype(np.float32)

    def _reserve(self, lists: Numbers) -> None:
        """Gives empty lists the memory that they will need; one that grows by itself takes up to twice as much.

        But for the first: a small tenant has no other.
        """
        invlists = self._ivf.invlists
        for number, n_new in zip(*(column.tolist() for column in np.unique(lists, return_counts=True)), strict=True):
            if not invlists.list_size(number):
                invlists.resize(number, max(n_new, self._layout.n_reserved_rows if number else 0))
                invlists.resize(number, 0)
