"""How a command fails: with a sentence, and status 2 unless it says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from model.errors import VouchError


@contextmanager
def sentences(status: int = 2) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        typer.echo(f"vouch: {field_sentences(error)}", err=True)
    except VouchError as error:
        typer.echo(f"vouch: {error}", err=True)
    else:
        return
    raise typer.Exit(status) from None


def field_sentences(error: ValidationError) -> str:
    """One for each refused field, with the field in front."""
    return " ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}." for one in error.errors())
