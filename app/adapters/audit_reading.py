"""The audit trail read back: is it as it was written, and what does it say of somebody?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.adapters.audit_files import AUDIT_FOLDER, audit_files
from app.adapters.audit_found import CheckedTrail, asked_entry, lacking
from app.adapters.audit_lines import FILE, TrailKeys, fingerprint, is_chained, mac_of, read_line
from app.adapters.database import is_sealed
from app.adapters.engine import parse_url
from app.adapters.sql_audit_reading import SqlTrail
from app.adapters.sql_secrets import open_master_key, read_secrets
from app.errors import StoreError
from app.settings import Settings


class Trail:
    """In files. Read beside the service that writes it."""

    def __init__(self, folder: Path, keys: TrailKeys) -> None:
        self._folder = folder
        self._keys = keys

    def entries(self, tenant: str | None = None, speaker_id: str | None = None) -> Iterator[dict[str, Any]]:
        """The fields of each entry, oldest first; of one tenant, and of one of its speakers, where they are named.

        A line that cannot be read is left out: `check` tells of it. Raises StoreError.
        """
        speaker = None if speaker_id is None else self._keys.speaker(tenant, speaker_id)
        for path in self._files():
            for line in _lines(path):
                if (fields := asked_entry(line, tenant, speaker)) is not None:
                    yield fields

    def check(self, held_mac: str | None = None) -> CheckedTrail:
        """Every line against the one before it; `held_mac`, where given, must be the mac of one of them. Raises StoreError."""
        n_entries, first_at, last_at, problem, is_held = 0, None, None, None, held_mac is None
        last_line, files = b"", self._files()
        for path in files:
            before, after = b"", last_line
            for number, line in enumerate(_lines(path), start=1):
                problem = problem or self._problem(line, before, None if path == files[0] else after, path, number)
                is_held = is_held or f'"mac":"{held_mac}"}}'.encode() in line
                before = last_line = line
                try:
                    fields = read_line(line)
                except ValueError:
                    continue
                n_entries += fields.get("action") != FILE
                first_at, last_at = first_at or fields["at"], fields["at"]
        if held_mac is not None and not is_held:
            problem = problem or lacking(held_mac)
        return CheckedTrail(
            n_entries=n_entries,
            n_files=len(files),
            n_chains=0,
            first_at=first_at,
            last_at=last_at,
            last_mac=mac_of(last_line) or None,
            problem=problem,
        )

    def _problem(self, line: bytes, before: bytes, after: bytes | None, path: Path, number: int) -> str | None:
        """`after` is the last line of the file before, None where that is gone."""
        if not is_chained(line, before, self._keys):
            return f"{path}, line {number}: it was changed, or what stood before it was changed, moved or taken out."
        if number == 1 and read_line(line).get("action") != FILE:
            return f"{path}, line 1: the beginning of the file is missing."
        if number == 1 and after is not None and read_line(line)["after"] != fingerprint(after):
            return f"{path}, line 1: the end of the file before it, or a file between them, is missing."
        return None

    def _files(self) -> list[Path]:
        try:
            return audit_files(self._folder)
        except OSError as error:
            raise StoreError(f"The audit trail in {self._folder} cannot be read ({error.strerror}).") from error


def open_trail(settings: Settings) -> Trail | SqlTrail:
    """Beside a running service too. Raises StoreError, SettingsError."""
    if not is_sealed(settings.store_url):
        raise StoreError("There is no database yet, and so no audit trail: VOUCH_DATA_DIR says where it is looked for.")
    secrets = read_secrets(settings.store_url, open_master_key(settings, may_make=False))
    keys = TrailKeys.of(secrets.speaker_ids)
    if parse_url(settings.store_url).get_backend_name() == "sqlite":
        return Trail(settings.data_dir / AUDIT_FOLDER, keys)
    return SqlTrail(settings.store_url, keys)


def _lines(path: Path) -> Iterator[bytes]:
    """Without their ends. What follows the last end is being written just now. Raises StoreError."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except OSError as error:
        raise StoreError(f"The audit trail {path} cannot be read ({error.strerror}).") from error
