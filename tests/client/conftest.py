from __future__ import annotations

import pytest

from vouch_clients import KINDS, Kind


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each client in turn."""
    found: Kind = request.param
    return found


@pytest.fixture(autouse=True)
def _no_service_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs these tests may have a service of their own."""
    for name in ("VOUCH_URL", "VOUCH_API_KEY"):
        monkeypatch.delenv(name, raising=False)
