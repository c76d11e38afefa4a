"""What SQLAlchemy raises -> the service's own errors, with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from app.errors import StoreError
from model.errors import InvalidArgument

_IN_THE_WAY = {"40001", "40P01"}
"""SQLSTATEs of a serialization failure and of a deadlock."""
_WRITTEN_MEANWHILE = {"23505", "23503"}
"""SQLSTATEs of a key that is taken and of one that nobody has any more."""

_ADVICE = "Check that the database can be reached and has space, then try again."
_ADVICE_BY_SQLSTATE = {
    "25006": "The server is a standby, or takes no writes at the moment. Name the primary in VOUCH_DATABASE_URL, or several "
    "hosts with target_session_attrs=read-write.",
    "25P03": "This process was too busy to go on within VOUCH_DATABASE_TIMEOUT_S. Try again.",
    "42501": "Let the user of VOUCH_DATABASE_URL own the database, or its schema.",
    "53100": "Free some space on the server and try again.",
    "55P03": "Others held it for VOUCH_DATABASE_TIMEOUT_S. Try again; where that does not help, look for a long transaction "
    "in pg_stat_activity.",
    "57014": "It took longer than VOUCH_DATABASE_TIMEOUT_S. Try again; where that does not help, look at the load of the "
    "server, or allow more time.",
    "57P01": "The server is stopping, or somebody ended the connection. Try again.",
    "57P02": "The server is starting again after a crash. Try again.",
    "57P03": "The server is starting or stopping. Try again.",
}
_TOO_MANY = (
    "All processes together want more connections than the server allows. Lower VOUCH_DATABASE_POOL, or raise "
    "max_connections of the server."
)
# What has no SQLSTATE: SQLite's errors, and those before there is a connection.
_ADVICE_BY_WORDS = {
    "is full": "Free some space and try again.",
    "readonly": "Let this process write to the file and to its folder, where the journal goes.",
    "not a database": "Restore a backup.",
    "malformed": "Restore a backup.",
    "QueuePool": "Every connection of this process was taken for VOUCH_DATABASE_TIMEOUT_S. Try again, or raise "
    "VOUCH_DATABASE_POOL.",
    "too many": _TOO_MANY,
    "connection slots": _TOO_MANY,
    "password": "Check the user and the password in VOUCH_DATABASE_URL.",  # nosec B105 # advice, and no password
    "role": "Check the user in VOUCH_DATABASE_URL.",
    "does not exist": "Make it with CREATE DATABASE, or name another in VOUCH_DATABASE_URL.",
    "starting up": "The server is starting. Try again.",
    "shutting down": "The server is stopping. Try again.",
}


class InTheWay(StoreError):
    """Another transaction came first, and this one is undone: it may be run again."""


@contextmanager
def named_errors(what_failed: str) -> Iterator[None]:
    """Turns whatever SQLAlchemy raises inside into a sentence with the driver's own words.

    InvalidArgument for a value that the database cannot hold (half a surrogate pair), InTheWay for a deadlock or a
    serialization failure, else StoreError.
    """
    try:
        yield
    except IntegrityError:
        raise
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            "A text holds half of a surrogate pair, which is no character. Send valid Unicode."
        ) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(
            f"{what_failed}: it is damaged, and holds something that is no text. Restore a backup."
        ) from error
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split()).rstrip(".?")
        if isinstance(error, DataError):
            raise InvalidArgument(f"A value cannot be stored: {reason}.") from error
        if _sqlstate(error) in _IN_THE_WAY:
            raise InTheWay(f"{what_failed}: {reason}. Others changed the same rows each time. Try again.") from error
        raise StoreError(f"{what_failed}: {reason}. {_advice(_sqlstate(error), reason)}") from error


def was_written_meanwhile(error: IntegrityError) -> bool:
    """Whether it is about a row that another transaction wrote or deleted since this one looked."""
    return _sqlstate(error) in _WRITTEN_MEANWHILE


def _sqlstate(error: SQLAlchemyError) -> str | None:
    """None on SQLite, and where there was no connection."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def _advice(sqlstate: str | None, reason: str) -> str:
    if sqlstate is not None:
        return _ADVICE_BY_SQLSTATE.get(sqlstate, _ADVICE)
    return next((advice for words, advice in _ADVICE_BY_WORDS.items() if words in reason), _ADVICE)
