"""How a command fails: with a sentence, and status 2 unless it says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from model.errors import InvalidArgument, VouchError


@contextmanager
def sentences(status: int = 2) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        typer.echo(f"vouch: {_field_sentences(error)}", err=True)
    except VouchError as error:
        typer.echo(f"vouch: {error}", err=True)
    else:
        return
    raise typer.Exit(status) from None


@contextmanager
def refused_fields() -> Iterator[None]:
    """Raises InvalidArgument, with a sentence for each field, where a schema refuses what it is given."""
    try:
        yield
    except ValidationError as error:
        raise InvalidArgument(_field_sentences(error)) from None


def _field_sentences(error: ValidationError) -> str:
    """One for each refused field, with the field in front."""
    return " ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}." for one in error.errors())
