"""A clip, in whatever form a caller has it."""

from __future__ import annotations

import os
from typing import BinaryIO

Clip = bytes | str | os.PathLike[str] | BinaryIO
"""The bytes of an audio file, the path of one, or one opened in binary mode."""


def read_clip(clip: Clip) -> bytes:
    """The whole file, since a retry sends it again. Raises OSError for what cannot be read, TypeError for what is no clip."""
    if isinstance(clip, bytes):
        return clip
    if isinstance(clip, str | os.PathLike):
        with open(clip, "rb") as file:  # noqa: PTH123  # any os.PathLike, not only pathlib's
            return file.read()
    data = clip.read()
    if not isinstance(data, bytes):
        raise TypeError(f"A clip's file gave {type(data).__name__}; open it in binary mode ('rb').")
    return data
