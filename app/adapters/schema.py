"""The schema of a database by itself: brought to this release's before a service starts."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext

from app.adapters.data_dir import make_data_dir
from app.adapters.database import is_sealed, open_database
from app.adapters.database_errors import named_errors
from app.adapters.engine import make_engine, parse_url
from app.adapters.sql_secrets import open_master_key, open_secrets
from app.settings import Settings


@dataclass(frozen=True)
class Migrated:
    """Revisions, as alembic has them."""

    before: str | None
    """None where there was no schema."""
    after: str | None


def migrate_schema(settings: Settings) -> Migrated:
    """As a start of the service does it; on PostgreSQL beside running ones too. Raises StoreError, SettingsError."""
    make_data_dir(settings)
    is_new = not is_sealed(settings.store_url)
    master = open_master_key(settings, may_make=is_new)
    before = _revision(settings.store_url)
    with closing(open_database(settings.store_url, master)) as database:
        if not is_new:
            open_secrets(database, master)  # another key is told now, and not by the service that starts next
    return Migrated(before, _revision(settings.store_url))


def _revision(database_url: str) -> str | None:
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists()):
        return None
    engine = make_engine(url)
    try:
        with named_errors(f"The database {url.render_as_string()} cannot be read"), engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
