"""What erased rows may have left in a database file, and whether a block of the file holds any of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

N_SHORTEST = 16
"""Bytes in a row of a secret that count as a copy of it: fewer are chance, or say nothing."""
_WORD = np.dtype("<u8")
_KEY_BYTES = 4
"""Of a word, by which it is looked up first."""
_SHORTEST_NAME = _WORD.itemsize + _KEY_BYTES - 1
"""In which there is a word's beginning wherever it lies."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the product's high bits depend on all of the factor's
_LONGEST_HEADER = 40
"""Of a record that begins with a name: ten columns, and lengths of up to three bytes."""


@dataclass(eq=False)
class Traces:
    """Of one erasure."""

    secrets: list[bytes] = field(default_factory=list)
    """Random bytes that no other row holds, N_SHORTEST of them or more."""
    names: list[tuple[str, str]] = field(default_factory=list)
    """A tenant with an id or a key of its own, as they begin the rows of tables and the entries of indexes."""
    are_known: bool = True
    """Else nothing can be looked for."""


class Needles:
    """Looks for all traces at once, in one pass over the file's words of 8 bytes, whatever their number.

    A run of N_SHORTEST bytes has such a word in it wherever it lies, so the words of the secrets, at every offset, are
    looked for among those of the file.
    """

    def __init__(self, traces: Iterable[Traces]) -> None:
        traces = list(traces)
        self._secrets = [secret for one in traces for secret in one.secrets if len(secret) >= N_SHORTEST]
        names = [_Name(*name) for one in traces for name in one.names]
        self._names = [name for name in names if len(name.text) >= _SHORTEST_NAME]
        # "default" and an id of three letters: they are looked for by themselves.
        self._short_names = [name for name in names if len(name.text) < _SHORTEST_NAME]
        self._beginnings = _beginnings(self._secrets, self._names)
        keys = np.concatenate([np.empty(0, _WORD), *(group.firsts for group in self._beginnings)])
        # Some 64 places a key, so that few other words get past the table.
        n_bits = min(26, max(16, (64 * len(keys)).bit_length()))
        self._shift = np.uint64(64 - n_bits)
        self._may_be = np.zeros(2**n_bits, dtype=np.bool_)
        self._may_be[self._places(keys)] = True

    def are_in(self, block: bytes) -> bool:
        """Of a block that begins where a page does. A run that two blocks share is not found: rows lie within pages."""
        words = np.frombuffer(block, dtype=_WORD, count=len(block) // _WORD.itemsize)
        rows = np.flatnonzero(self._may_be[self._places(words)])
        return any(
            self._is_copy(block, row * _WORD.itemsize)
            for beginnings in self._beginnings
            for row in beginnings.among(words, rows).tolist()
        ) or any(name.is_in(block) for name in self._short_names)

    def _places(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        places = words & _mask(_KEY_BYTES)
        places *= _SPREAD
        places >>= self._shift
        return places.view(np.int64)

    def _is_copy(self, block: bytes, place: int) -> bool:
        """Whether the word at this place is part of a copy."""
        first = max(0, place + _WORD.itemsize - N_SHORTEST)
        runs = [block[start : start + N_SHORTEST] for start in range(first, place + 1)]
        return any(run in secret for secret in self._secrets for run in runs if len(run) == N_SHORTEST) or any(
            name.is_in(block[max(0, place - name.n_around) : place + name.n_around]) for name in self._names
        )


@dataclass(frozen=True, eq=False)
class _Beginnings:
    """Words with what follows them, as far as that is known."""

    n_first: int
    """Bytes of the words that are known, the first ones."""
    n_next: int
    """And of the next words."""
    firsts: NDArray[np.uint64]
    """Sorted, as are `nexts`."""
    nexts: NDArray[np.uint64]

    def among(self, words: NDArray[np.uint64], rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of these rows that may begin one."""
        rows = rows[_are_in(self.firsts, words[rows] & _mask(self.n_first))]
        if self.n_next:
            rows = rows[rows + 1 < len(words)]
            rows = rows[_are_in(self.nexts, words[rows + 1] & _mask(self.n_next))]
        return rows


def _are_in(ordered: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """`np.isin`, which would order both anew for every block."""
    found: NDArray[np.bool_] = ordered[np.minimum(np.searchsorted(ordered, words), len(ordered) - 1)] == words
    return found


def _beginnings(secrets: Iterable[bytes], names: Iterable[_Name]) -> list[_Beginnings]:
    found: dict[tuple[int, int], list[NDArray[np.uint64]]] = {}
    for secret in secrets:
        words = _words(secret)
        found.setdefault((_WORD.itemsize, 0), []).append(np.stack([words, np.zeros_like(words)]))
    for name in names:
        for known in name.ends():
            first, following = known[: _WORD.itemsize], known[_WORD.itemsize :]
            pair = np.array([[int.from_bytes(first, "little")], [int.from_bytes(following, "little")]], dtype=_WORD)
            found.setdefault((len(first), len(following)), []).append(pair)
    joined = {lengths: np.concatenate(pairs, axis=1) for lengths, pairs in found.items()}
    return [_Beginnings(*lengths, np.unique(pairs[0]), np.unique(pairs[1])) for lengths, pairs in joined.items()]


class _Name:
    """How SQLite writes a record whose first texts are these: a header with its own size and the columns' lengths, and then
    the texts, one after the other (https://sqlite.org/fileformat2.html#record_format). The header tells "user1" from "user10".
    """

    def __init__(self, tenant: str, name: str) -> None:
        first, second = tenant.encode(), name.encode()
        self.text = first + second
        self.n_around = len(self.text) + _LONGEST_HEADER
        self._columns = _varint(2 * len(first) + 13) + _varint(2 * len(second) + 13)

    def ends(self) -> Iterator[bytes]:
        """One for each way in which words can lie, so that a word of the file begins where one of them does."""
        for start in range(len(self.text) - _SHORTEST_NAME, len(self.text) - _KEY_BYTES + 1):
            yield self.text[start:]

    def is_in(self, block: bytes) -> bool:
        place = block.find(self.text)
        while place >= 0:
            for size in range(len(self._columns) + 1, min(place, _LONGEST_HEADER) + 1):
                header = block[place - size : place]
                # A table's row has its number first, which is no column of the record.
                if header[0] == size and header[1:].removeprefix(b"\0").startswith(self._columns):
                    return True
            place = block.find(self.text, place + 1)
        return False


def _words(secret: bytes) -> NDArray[np.uint64]:
    """At every offset."""
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(secret, dtype=np.uint8), _WORD.itemsize)
    return np.ascontiguousarray(windows).view(_WORD).ravel()


def _mask(n_bytes: int) -> np.uint64:
    """Of a word's first bytes."""
    return np.uint64(2 ** (8 * n_bytes) - 1)


def _varint(number: int) -> bytes:
    """SQLite's: seven bits a byte, the highest first, all but the last one with their high bit set."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))
