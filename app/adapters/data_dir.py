"""The data directory, which is this user's alone."""

from __future__ import annotations

from app.errors import SettingsError
from app.settings import Settings


def make_data_dir(settings: Settings) -> None:
    """Where it is not there yet. Raises SettingsError."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"VOUCH_DATA_DIR is {str(settings.data_dir)!r}, which cannot be made ({error.strerror}). Name a folder that "
            "this user may write to."
        ) from error
