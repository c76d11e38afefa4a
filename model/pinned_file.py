"""A file that is held to a hash: read once, so that what is parsed is what was hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from model.errors import BundleError


def read_pinned(path: Path, sha256: str | None) -> bytes:
    """The file's bytes, of the SHA-256 that is given in hexadecimal digits; None where nothing says which bytes it should have.

    Raises BundleError where it has another, or cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise BundleError(
            f"{path.name} in {path.parent} was altered: its SHA-256 is {found}, and it should be {sha256}. Copy it anew."
        )
    return content
