"""Where the service is, the key that opens it, and how it is reached."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

DEFAULT_URL = "http://127.0.0.1:8000"
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Address:
    url: str
    """Without a slash at its end."""
    key: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str | None, key: str | None) -> Address:
        """What is None comes from `VOUCH_URL` or `VOUCH_API_KEY`; an empty key is none. Raises ValueError."""
        found_url = (os.environ.get("VOUCH_URL", "") if url is None else url).strip().rstrip("/") or DEFAULT_URL
        found_key = (os.environ.get("VOUCH_API_KEY", "") if key is None else key).strip()
        _check_url(found_url)
        if found_key and not _KEY.fullmatch(found_key):
            # Not shown: whatever else it is, it was meant to be a secret.
            raise ValueError(
                "The API key holds spaces, control characters or letters beyond ASCII; give it as it was shown."
            )
        return cls(found_url, found_key or None)

    @property
    def is_loopback(self) -> bool:
        host = (urlsplit(self.url).hostname or "").rstrip(".")
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def at(self, path: Sequence[str]) -> str:
        """The URL of a path whose segments are not yet quoted. Raises ValueError for one that would be another path."""
        for segment in path:
            # Dots are taken as folders on the way, and nothing as the path above: an erasure must not go astray.
            if segment in ("", ".", ".."):
                raise ValueError(f"{segment!r} is no id; ids are 1 to 128 of A-Z a-z 0-9 . _ ~ -, and not dots alone.")
        return "/".join([self.url, *(quote(segment, safe="") for segment in path)])


def http_options(address: Address, timeout_s: float) -> dict[str, Any]:
    """What both clients of the HTTP library are made with."""
    return {
        "timeout": httpx2.Timeout(timeout_s, connect=min(timeout_s, 5.0)),
        # A proxy would be asked for its own loopback.
        "trust_env": not address.is_loopback,
        # Well before a server closes an idle connection: a verification that went into a closing one is not sent again.
        "limits": httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0),
        # The key is for the address that was named, and for no other.
        "follow_redirects": False,
    }


def _check_url(url: str) -> None:
    if "@" in url:
        # Not shown: it may be a password.
        raise ValueError("The service's URL holds a user name or a password; give the API key as `key` instead.")
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or "?" in url or "#" in url:
        raise ValueError(f"The service's URL is {url!r}; it must be such as {DEFAULT_URL}.")
