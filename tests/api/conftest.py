from __future__ import annotations

from collections.abc import Iterator

import pytest

from api_client import DocumentedClient, serving


@pytest.fixture
def client() -> Iterator[DocumentedClient]:
    """A fresh service with the default settings."""
    with serving() as client:
        yield client
