"""Times in a database are of one zone, or are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.tables import UtcDateTime

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_a_time_without_a_zone_is_not_stored() -> None:
    with pytest.raises(ValueError, match=r"a stored time needs a time zone; got datetime\.datetime\(2026"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1, 12), sqlite.dialect())


def test_the_same_moment_is_stored_and_read_alike_in_every_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    lite, server = sqlite.dialect(), postgresql.dialect()
    stored = UtcDateTime().process_bind_param(elsewhere, lite)
    assert stored == NOON.replace(tzinfo=None)
    assert UtcDateTime().process_bind_param(elsewhere, server) == NOON
    for value in (stored, elsewhere):
        read = UtcDateTime().process_result_value(value, server)
        assert read == NOON
        assert read.tzinfo is UTC
    assert UtcDateTime().process_bind_param(None, lite) is UtcDateTime().process_result_value(None, lite) is None
