"""The file that a first API key is handed over in."""

from __future__ import annotations

import os
from pathlib import Path

from app.access import PREFIX
from app.errors import SettingsError


def write_bootstrap_key(path: Path, text: str) -> None:
    """Whole or not at all, for its owner alone. Raises SettingsError; a file that holds anything but a key stays."""
    new = path.with_name(path.name + ".new")
    try:
        if path.exists() and not path.read_bytes().startswith(f"{PREFIX}_".encode()):
            raise SettingsError(
                f"VOUCH_BOOTSTRAP_KEY_FILE is {str(path)!r}, which holds something that is no key. Name another file."
            )
        new.unlink(missing_ok=True)
        number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise SettingsError(
            f"VOUCH_BOOTSTRAP_KEY_FILE is {str(path)!r}, which cannot be written ({error.strerror})."
        ) from error
