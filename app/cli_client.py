"""A running service, by its client, whose errors are the service's own again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import vouch_client
from model.errors import InvalidArgument, ServiceError, VouchError


@contextmanager
def client(url: str, key: str | None) -> Iterator[vouch_client.Vouch]:
    """Raises InvalidArgument for what is no URL or no key."""
    with errors_of_here():
        vouch = vouch_client.Vouch(url, key or "")
    with vouch:
        yield vouch


@contextmanager
def errors_of_here() -> Iterator[None]:
    """A problem as the error that the service had, so that a command goes by classes, whoever it asks."""
    try:
        yield
    except vouch_client.Problem as error:
        raise _by_code().get(error.code, ServiceError)(error.detail) from None
    except vouch_client.VouchError as error:
        raise ServiceError(str(error)) from None
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def _by_code() -> dict[str, type[VouchError]]:
    """The class of each code; of classes that share one, that which is nearest to the root."""
    found: dict[str, type[VouchError]] = {}
    level: list[type[VouchError]] = [VouchError]
    while level:
        for error in level:
            found.setdefault(error.code, error)
        level = [below for error in level for below in error.__subclasses__()]
    return found
