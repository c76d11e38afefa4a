"""Replaces a tenant's index by one that suits its size, while searches and changes go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from app.adapters.faiss_index import Centroids, Everything, Layout, Numbers, TenantIndex
from app.adapters.faiss_inverted import FindCentroids
from app.adapters.readers_writer_lock import ReadersWriterLock
from model.scoring import Embedding

_log = logging.getLogger(__name__)

Changes = Mapping[int, Embedding | None]
"""What became of a number; None where it was removed."""

_N_LAST_CHANGES = 64
"""So few are applied while other changes wait."""
_SHRUNK = 0.5
"""Of `exact_up_to`: under this an inverted index goes back to scanning, so that none changes to and fro."""
_GROWN = 4
"""Times its size when trained: an inverted index is trained again. Its lists are twice as long as they should be then."""
_GROWN_AFTER_FAILURE = 2


class _Stopped(Exception):
    """The gallery is closed, or was rebuilt: nobody wants the new index any more."""


@dataclass
class _Task:
    """One replacement under way."""

    old: TenantIndex
    changes: dict[int, Embedding | None]
    """Of `old`, since they were last applied to the new index."""


class Regrouping:
    """Works on its gallery's own indexes and locks, one tenant at a time, on a thread that starts when it is needed.

    The new index is filled beside the old one, list by list; what changes meanwhile is noted and applied afterwards, the
    last of it while changes wait, and then the new one takes the old one's place. So no update is lost.
    """

    def __init__(
        self,
        tenants: dict[str, TenantIndex],
        lock: ReadersWriterLock,
        changing: threading.Lock,
        n_embedding: int,
        exact_up_to: int,
        find: FindCentroids,
    ) -> None:
        self._tenants = tenants
        self._lock = lock
        self._changing = changing
        self._n_embedding = n_embedding
        self._exact_up_to = exact_up_to
        self._find = find
        self._tasks: dict[str, _Task] = {}
        self._is_closing = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gallery")
        self._last: Future[None] | None = None

    def consider(self, tenant: str, index: TenantIndex) -> None:
        """Begins a replacement where the index does not suit its size. The caller holds `changing`."""
        task = self._tasks.get(tenant)
        if self._is_closing.is_set() or (task is not None and task.old is index) or not self._is_unsuited(index):
            return
        task = self._tasks[tenant] = _Task(index, {})
        self._last = self._thread.submit(self._replace, tenant, task)

    def note(self, tenant: str, changes: Changes) -> None:
        """Before a change is applied; the caller holds `changing` until it is.

        What is noted is not copied any more, since a row may move to a list that is not copied yet and come twice.
        """
        task = self._tasks.get(tenant)
        if task is not None:
            task.changes.update(changes)

    def wait(self) -> None:
        """Until nothing is under way. For tests and benchmarks."""
        while (last := self._last) is not None:
            last.result()
            if last is self._last:
                return

    def close(self) -> None:
        with self._changing:
            self._is_closing.set()
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _is_unsuited(self, index: TenantIndex) -> bool:
        if isinstance(index.layout, Centroids) and len(index) < _SHRUNK * self._exact_up_to:
            return True
        return len(index) > (index.suits_up_to or self._exact_up_to)

    def _replace(self, tenant: str, task: _Task) -> None:
        began, n_rows = time.monotonic(), len(task.old)
        try:
            layout = self._layout_for(tenant, task)
            if layout is not None:
                new = TenantIndex(self._n_embedding, layout)
                for numbers, embeddings in self._rows(tenant, task):
                    new.fill(numbers, embeddings)
                self._catch_up(tenant, task, new)
                _log.info("gallery: %s speakers regrouped in %.1f s", f"{n_rows:,}", time.monotonic() - began)
        except _Stopped:
            _log.info("gallery: a regrouping was given up, since the gallery was closed or rebuilt")
        except Exception:
            # The old index goes on serving, as it did until now.
            _log.exception("gallery: %s speakers could not be regrouped; they are scanned as before", f"{n_rows:,}")
            self._put_off(task.old)
        finally:
            with self._changing:
                if self._tasks.get(tenant) is task:
                    del self._tasks[tenant]
                index = self._tenants.get(tenant)
                if index is not None:
                    self.consider(tenant, index)

    def _layout_for(self, tenant: str, task: _Task) -> Layout | None:
        """None where the old index is to stay."""
        n_rows = len(task.old)
        is_inverted = isinstance(task.old.layout, Centroids)
        if n_rows <= self._exact_up_to:
            _log.info("gallery: %s speakers are few enough to scan", f"{n_rows:,}")
            return Everything() if is_inverted else None
        found = self._find(lambda: self._rows(tenant, task), n_rows, lambda: self._proceed(tenant, task))
        if found.centroids is None:
            _log.warning(
                "gallery: %s speakers stay scanned one by one: for the same answers an inverted index would have to look "
                "into %s of its %s lists",
                f"{n_rows:,}",
                f"{found.n_probed:,}",
                f"{found.n_lists:,}",
            )
            self._put_off(task.old)
            return Everything() if is_inverted else None
        _log.info(
            "gallery: an inverted index for %s speakers, looking into %d of %d lists",
            f"{n_rows:,}",
            found.n_probed,
            found.n_lists,
        )
        return found.centroids

    def _put_off(self, index: TenantIndex) -> None:
        with self._changing:
            index.suits_up_to = _GROWN_AFTER_FAILURE * len(index)

    def _rows(self, tenant: str, task: _Task) -> Iterator[tuple[Numbers, Embedding]]:
        """The old index, shard by shard, without what changed since the task began; changes go on in between."""
        for shard in task.old.shards:
            self._proceed(tenant, task)
            lists = []
            for list_number in range(shard.n_lists):
                with self._lock.reading():
                    numbers, embeddings = shard.rows(list_number)
                    is_as_it_was = np.array([number not in task.changes for number in numbers.tolist()], dtype=np.bool_)
                lists.append((numbers[is_as_it_was], embeddings[is_as_it_was]))
            yield np.concatenate([one[0] for one in lists]), np.concatenate([one[1] for one in lists])

    def _catch_up(self, tenant: str, task: _Task, new: TenantIndex) -> None:
        while True:
            with self._changing:
                self._proceed(tenant, task)
                changes, task.changes = task.changes, {}
                if len(changes) <= _N_LAST_CHANGES:
                    _apply(changes, new)
                    if isinstance(new.layout, Centroids):
                        new.suits_up_to = _GROWN * len(new)
                    elif len(new) > self._exact_up_to:
                        new.suits_up_to = task.old.suits_up_to
                    with self._lock.writing():
                        self._tenants[tenant] = new
                    return
            _apply(changes, new)

    def _proceed(self, tenant: str, task: _Task) -> None:
        if self._is_closing.is_set() or self._tenants.get(tenant) is not task.old:
            raise _Stopped


def _apply(changes: Changes, index: TenantIndex) -> None:
    removed = [number for number, embedding in changes.items() if embedding is None]
    if removed:
        index.drop(np.array(removed, dtype=np.int64))
    for number, embedding in changes.items():
        if embedding is not None:
            index.put(number, embedding)
