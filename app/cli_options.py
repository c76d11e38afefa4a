"""Options that commands share, and how they find a service and its key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from app.errors import StoreInUse
from model.errors import ServiceError

Url = Annotated[str | None, typer.Option(envvar="VOUCH_URL", help="A running service, such as http://127.0.0.1:8000.")]
KeyFile = Annotated[Path | None, typer.Option(help="File of the service's API key; default VOUCH_API_KEY.")]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON, for programs.")]


def read_key(key_file: Path | None) -> str | None:
    """The key of the file, or else of `VOUCH_API_KEY`; None where there is none. Raises ServiceError."""
    if key_file is None:
        return os.environ.get("VOUCH_API_KEY", "").strip() or None
    try:
        return key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"The key file {key_file} cannot be read ({type(error).__name__}).") from None


def ask_the_service(error: StoreInUse, scope: str) -> ServiceError:
    """What to do where a running service has the database. `scope` says which scope the key needs."""
    return ServiceError(
        f"A running service has the database ({error}) Ask that service: set --url or VOUCH_URL to its address, such "
        f"as http://127.0.0.1:8000, and VOUCH_API_KEY to a key with the scope {scope}."
    )
