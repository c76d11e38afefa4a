"""The file that a first API key is handed over in."""

from __future__ import annotations

from pathlib import Path

from app.access import PREFIX
from app.adapters.files import sync_folder, write_private
from app.errors import SettingsError


def write_bootstrap_key(path: Path, text: str) -> None:
    """Whole or not at all, for its owner alone. Raises SettingsError; a file that holds anything but a key stays."""
    new = path.with_name(path.name + ".new")
    try:
        if path.exists() and not path.read_bytes().startswith(f"{PREFIX}_".encode()):
            raise SettingsError(
                f"VOUCH_BOOTSTRAP_KEY_FILE is {str(path)!r}, which holds something that is no key. Name another file."
            )
        write_private(new, f"{text}\n")
        new.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise SettingsError(
            f"VOUCH_BOOTSTRAP_KEY_FILE is {str(path)!r}, which cannot be written ({error.strerror})."
        ) from error
