"""What SQLAlchemy raises -> the service's own errors, with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from app.errors import StoreError
from model.errors import InvalidArgument


@contextmanager
def named_errors(what_failed: str) -> Iterator[None]:
    """Turns whatever SQLAlchemy raises inside into a sentence with the driver's own words.

    InvalidArgument for a value that the database cannot hold (half a surrogate pair), else StoreError.
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
        reason = getattr(error, "orig", None) or error
        if isinstance(error, DataError):
            raise InvalidArgument(f"A value cannot be stored: {reason}.") from error
        raise StoreError(f"{what_failed}: {str(reason).strip().rstrip('.')}. {_advice(str(reason))}") from error


def _advice(reason: str) -> str:
    if "is full" in reason:
        return "Free some space and try again."
    if "readonly" in reason:
        return "Let this process write to the file and to its folder, where the journal goes."
    if "not a database" in reason or "malformed" in reason:
        return "Restore a backup."
    return "Check that the database can be reached and has space, then try again."
