from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

import shipped
from app.main import create_app


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    app = create_app(shipped.settings(tmp_path_factory.mktemp("data")))
    with TestClient(app, base_url=shipped.BASE_URL) as client:
        yield client
