"""Who may talk to a service without keys: programs on this machine, and no web page of another origin.

A page anywhere on the web can post a form to a loopback address without asking first, and a host name that resolves
to loopback can be made to look like the page's own (DNS rebinding). The `Host` and `Origin` headers tell.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from app.errors import Forbidden
from app.settings import is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}


class KeylessRule:
    def __init__(self, loopback_only: bool) -> None:
        self._loopback_only = loopback_only

    def check(self, headers: Headers) -> None:
        """Raises Forbidden."""
        if error := self._refusal(headers):
            raise error

    def _refusal(self, headers: Headers) -> Forbidden | None:
        hosts = headers.getlist("host")
        host = hosts[0] if len(hosts) == 1 else ""
        if self._loopback_only and not is_loopback(_split(f"//{host}")[0]):
            return Forbidden(
                f"The Host is {host[:100]!r}; without keys this service answers to loopback names only, such as "
                "localhost or 127.0.0.1."
            )
        if headers.get("sec-fetch-site", "").strip().lower() == "cross-site":
            return Forbidden("Sec-Fetch-Site is 'cross-site'; without keys no other web site may send requests here.")
        for origin in headers.getlist("origin"):
            if not _is_same_origin(origin, host):
                return Forbidden(
                    f"The Origin is {origin[:100]!r}, and the Host {host[:100]!r}; without keys no other web site may "
                    "send requests here."
                )
        return None


def _is_same_origin(origin: str, host: str) -> bool:
    """The scheme is left out of it: a proxy that ends TLS changes it."""
    scheme = origin.partition("://")[0].lower()
    default_port = _DEFAULT_PORTS.get(scheme)
    if default_port is None:  # "null", an extension, a file
        return False
    own, other = _split(f"//{host}"), _split(origin)
    return other[0] != "" and (own[0], own[1] or default_port) == (other[0], other[1] or default_port)


def _split(url: str) -> tuple[str, int | None]:
    """Host name in lower case and port; an empty name where it is malformed."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "", None
