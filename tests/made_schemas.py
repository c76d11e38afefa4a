"""Databases as earlier releases left them, as SQL text: `tests/contract/schemas/REVISION.sql`.

    PYTHONPATH=. python tests/made_schemas.py [REVISION …]

writes the file of each revision that has none yet, or of those that are named. A file stays as it is once its revision
was released: that is what it is for.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from alembic.script import ScriptDirectory
from sqlalchemy import URL

from app.adapters.database import MIGRATIONS, migrate
from app.adapters.master_key import parse_master_key
from app.adapters.sealing import Sealer, SpeakerSeal

SCHEMAS = Path(__file__).parent / "contract" / "schemas"
MASTER_KEY = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
"""Under which these files' secrets are sealed."""
MASTER = parse_master_key(MASTER_KEY, "tests")
SEALER = Sealer(MASTER)
EMBEDDINGS = np.linspace(0.25, 1.0, 3 * 16, dtype="<f4").reshape(3, 16)
"""Of the enrollments, oldest first."""
SECRETS = {"api_keys": b"a" * 32, "speaker_ids": b"s" * 32}
MARK = "0" * 63 + "1"
MADE_AT = "2026-01-02 03:04:05.000006"


def revisions() -> list[str]:
    """Oldest first."""
    return [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]


def filled(revision: str) -> str:
    """A database at this revision, with alice, who has clips, bob, who has none, and a neighbour's alice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vouch.db"
        migrate(URL.create("sqlite", database=str(path)), MASTER, revision=revision)
        with closing(sqlite3.connect(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            with connection:
                columns = {row[1] for row in connection.execute("PRAGMA table_info(speakers)")}
                is_sealed = "data_key" in columns
                keys = {row[0]: SEALER.new_key(str(row[1]), str(row[2])) for row in _speakers()} if is_sealed else {}
                for row in _speakers():
                    values = (*row, keys[row[0]]) if is_sealed else row
                    values += (None,) * (len(columns) - len(values))  # what came later, and what nobody here has
                    connection.execute(f"INSERT INTO speakers VALUES ({', '.join('?' * len(values))})", values)
                seals = {
                    (tenant, speaker_id): SEALER.of(str(tenant), str(speaker_id), keys[number])
                    for number, tenant, speaker_id, *_ in _speakers()
                    if is_sealed
                }
                connection.executemany(f"INSERT INTO enrollments VALUES ({', '.join('?' * 14)})", _enrollments(seals))
                # Whose answer it was: by id at first, by number since embeddings are sealed.
                connection.execute(
                    "INSERT INTO idempotency VALUES ('default', 'key', 'print', ?, '[\"e1\", \"e2\"]', ?)",
                    [2 if is_sealed else "alice", MADE_AT],
                )
                if "secrets" in tables:
                    connection.executemany("INSERT INTO secrets VALUES (?, ?)", _secrets())
                if "erasures" in tables:
                    connection.execute("INSERT INTO erasures VALUES (?, ?)", [MARK, MADE_AT])
            return "\n".join(connection.iterdump()) + "\n"


def load(revision: str, path: Path) -> None:
    """Makes the database file of a revision."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / f"{revision}.sql").read_text(encoding="utf-8"))


def _speakers() -> Iterable[tuple[object, ...]]:
    yield 2, "default", "alice", "Älice", '{"n": [1]}', '{"purpose": "login"}', MADE_AT, MADE_AT
    yield 3, "default", "bob", None, "{}", None, MADE_AT, MADE_AT
    yield 7, "neighbour", "alice", None, "{}", None, MADE_AT, MADE_AT


def _enrollments(seals: Mapping[tuple[object, object], SpeakerSeal]) -> Iterable[tuple[object, ...]]:
    of = [("default", "e1"), ("default", "e2"), ("neighbour", "e3")]
    for number, ((tenant, enrollment_id), embedding) in enumerate(zip(of, EMBEDDINGS, strict=True), start=5):
        heard = (4.0 + number, 2.0 + number, 20.5, 0.0, "wav", 16_000, 1)
        seal, plain = seals.get((tenant, "alice")), embedding.tobytes()
        stored = plain if seal is None else seal.seal_bytes(plain, "encoder-a")
        yield number, tenant, enrollment_id, "alice", "encoder-a", stored, *heard, MADE_AT


def _secrets() -> Iterable[tuple[str, bytes]]:
    return [(name, MASTER.seal(secret, name.encode())) for name, secret in SECRETS.items()]


def main() -> None:
    for revision in sys.argv[1:] or [one for one in revisions() if not (SCHEMAS / f"{one}.sql").exists()]:
        (SCHEMAS / f"{revision}.sql").write_text(filled(revision), encoding="utf-8")


if __name__ == "__main__":
    main()
