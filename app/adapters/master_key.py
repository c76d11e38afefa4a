"""The master key: under it the service's own secrets are sealed, and under those everything that must be.

It comes from the environment or from a file, and is in no database and in no backup. AES-256-GCM throughout.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.adapters.files import sync_folder, write_private
from app.errors import SettingsError, StoreError

_log = logging.getLogger("vouch")

KEY_BYTES = 32
NONCE_BYTES = 12
_VERSION = b"\x01"
_ID_BYTES = 4
_HEAD_BYTES = len(_VERSION) + _ID_BYTES


class MasterKey:
    """Several keys while one takes over from another: the first one seals, and every one opens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Each of 32 bytes, at least one."""
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._current = _id_of(keys[0])

    @property
    def has_several(self) -> bool:
        return len(self._ciphers) > 1

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """What only `open` with the same context gives back."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = _VERSION + self._current
        return head + nonce + self._ciphers[self._current].encrypt(nonce, plain, head + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Raises StoreError where the key is not here, or the bytes are not what was sealed for this context."""
        head, nonce, body = (
            sealed[:_HEAD_BYTES],
            sealed[_HEAD_BYTES:][:NONCE_BYTES],
            sealed[_HEAD_BYTES + NONCE_BYTES :],
        )
        cipher = self._ciphers.get(head[len(_VERSION) :])
        if not head.startswith(_VERSION) or cipher is None:
            raise StoreError(
                "The database was sealed under another master key than this one. Give the service the key that it had "
                "before, by VOUCH_MASTER_KEY or VOUCH_MASTER_KEY_FILE."
            )
        try:
            return cipher.decrypt(nonce, body, head + context)
        except (InvalidTag, ValueError) as error:  # the latter where it is cut off
            raise StoreError(
                "What the master key sealed in the database is damaged, or was sealed for something else. Restore the "
                "database from a backup."
            ) from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed under the first key."""
        return sealed[len(_VERSION) : _HEAD_BYTES] == self._current


def parse_master_key(text: str, source: str) -> MasterKey:
    """Keys in base64, 32 bytes each, apart by white space. Raises SettingsError; `source` says where the text is from."""
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise SettingsError(  # the text is not repeated: it may be nearly right
                f"{source} holds something that is no master key: {KEY_BYTES} random bytes in base64, which "
                "`openssl rand -base64 32` makes."
            )
        keys.append(key)
    if not keys:
        raise SettingsError(f"{source} is empty; it must hold a master key, which `openssl rand -base64 32` makes.")
    return MasterKey(keys)


def read_master_key(path: Path) -> MasterKey:
    """Raises SettingsError where the file cannot be read. Containers mount secrets that everybody may read: a warning, then."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingsError(f"The master key {path} cannot be read ({error.strerror}).") from error
    if path.stat().st_mode & 0o007:
        _log.warning("everybody on this machine may read the master key %s; `chmod o= %s` ends that", path, path)
    return parse_master_key(text, f"The file {path}")


def make_master_key(path: Path) -> None:
    """Writes a new key, whole or not at all. Raises SettingsError; a key that is there stays."""
    _write(path, [_new_key()], may_replace=False)
    _log.warning(
        "made a new master key, %s. Without it nothing of the database can be used: keep a copy elsewhere, and not beside "
        "the backups.",
        path,
    )


def add_master_key(path: Path) -> None:
    """Puts a new key before those that the file holds. Raises SettingsError."""
    _write(path, [_new_key(), *_words(path)], may_replace=True)


def keep_first_key(path: Path) -> None:
    """Takes every other key out of the file. Raises SettingsError."""
    _write(path, _words(path)[:1], may_replace=True)


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError as error:
        raise SettingsError(f"The master key {path} cannot be read ({error.strerror}).") from error


def _write(path: Path, keys: Sequence[str], *, may_replace: bool) -> None:
    new = path.with_name(path.name + ".new")
    try:
        write_private(new, "".join(f"{key}\n" for key in keys))
        if may_replace:
            new.replace(path)
        else:
            os.link(new, path)  # which never replaces a key
            new.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise SettingsError(f"The master key {path} cannot be written ({error.strerror}).") from error


def _id_of(key: bytes) -> bytes:
    """Tells keys apart; says nothing about a random key."""
    return hashlib.sha256(b"vouch master key" + key).digest()[:_ID_BYTES]
