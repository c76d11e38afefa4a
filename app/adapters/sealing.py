"""Embeddings and fingerprints as they are stored: sealed under a key of their speaker's own, which is sealed under the master key.

AES-256-GCM, with tenant, speaker and encoder as associated data: an embedding that was copied to another speaker's row, or
to another encoder's name, does not open. Without its speaker's key it is noise, so erasing that key erases the voice. A
fingerprint has a kind of its own where an embedding has its encoder.
"""

from __future__ import annotations

import secrets

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.adapters.master_key import KEY_BYTES, NONCE_BYTES, MasterKey
from app.errors import StoreError
from model.fingerprint import Fingerprint
from model.scoring import Embedding

STORED_DTYPE = np.dtype("<f4")
"""Written out, whatever the machine: a database file may move from one to another."""
STORED_WORD_DTYPE = np.dtype("<u4")
FINGERPRINT = "\0fingerprint"
"""No encoder's id has a NUL in it."""
N_EXTRA_BYTES = NONCE_BYTES + 16
"""Of a sealed embedding: the nonce before it and the tag behind it."""


class SpeakerSeal:
    """One speaker's key. For as long as the speaker's rows are at hand, and no longer."""

    def __init__(self, key: bytes, tenant: str, speaker_id: str) -> None:
        self._cipher = AESGCM(key)
        self._context = _context(tenant, speaker_id)

    def seal(self, embedding: Embedding, encoder_id: str) -> bytes:
        """(n_embedding,) -> 4 * n_embedding + N_EXTRA_BYTES bytes."""
        return self.seal_bytes(embedding.astype(STORED_DTYPE, copy=False).tobytes(), encoder_id)

    def seal_bytes(self, plain: bytes, encoder_id: str) -> bytes:
        """The inverse of `open_bytes`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self._context + encoder_id.encode())

    def open_bytes(self, sealed: bytes, encoder_id: str) -> bytes:
        """The stored numbers. Raises StoreError where they are not what was sealed for this speaker and encoder."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self._context + encoder_id.encode())
        except (InvalidTag, ValueError) as error:  # the latter where it is cut off
            raise StoreError(
                "A stored embedding or fingerprint is damaged, or was sealed for another speaker or encoder. Restore a backup, or remove "
                "the speaker's enrollments and enrol again."
            ) from error

    def seal_fingerprint(self, words: Fingerprint) -> bytes:
        """(n_words,) -> 4 * n_words + N_EXTRA_BYTES bytes."""
        return self.seal_bytes(words.astype(STORED_WORD_DTYPE, copy=False).tobytes(), FINGERPRINT)

    def open_fingerprint(self, sealed: bytes) -> Fingerprint:
        """The inverse of `seal_fingerprint`. Raises StoreError."""
        return np.frombuffer(self.open_bytes(sealed, FINGERPRINT), dtype=STORED_WORD_DTYPE).astype(np.uint32)

    def open(self, sealed: bytes, encoder_id: str) -> Embedding:
        """The inverse of `seal`. Raises StoreError."""
        return np.frombuffer(self.open_bytes(sealed, encoder_id), dtype=STORED_DTYPE).astype(np.float32)


class Sealer:
    """Makes and opens speakers' keys."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master

    def new_key(self, tenant: str, speaker_id: str) -> bytes:
        """A new speaker's key, sealed."""
        return self._master.seal(secrets.token_bytes(KEY_BYTES), _context(tenant, speaker_id))

    def of(self, tenant: str, speaker_id: str, sealed_key: bytes) -> SpeakerSeal:
        """Raises StoreError where the key was sealed under another master key, or for another speaker."""
        return SpeakerSeal(self._master.open(sealed_key, _context(tenant, speaker_id)), tenant, speaker_id)

    def sealed_anew(self, tenant: str, speaker_id: str, sealed_key: bytes) -> bytes | None:
        """The same key under the master's first one; None where it is so already."""
        if self._master.is_current(sealed_key):
            return None
        context = _context(tenant, speaker_id)
        return self._master.seal(self._master.open(sealed_key, context), context)


def n_elements(sealed: bytes) -> int:
    """How long an embedding is, without opening it."""
    return max(0, len(sealed) - N_EXTRA_BYTES) // STORED_DTYPE.itemsize


def n_sealed_bytes(n_embedding: int) -> int:
    return n_embedding * STORED_DTYPE.itemsize + N_EXTRA_BYTES


def _context(tenant: str, speaker_id: str) -> bytes:
    """No tenant and no speaker's id has a NUL in it."""
    return f"{tenant}\0{speaker_id}\0".encode()
